/** Headers of a request on its way to a backend, and of the answer on its way back. Pure. */
import type { HeaderChanges } from './route.ts'

/** Names and values in turn, as on the wire. */
export type RawHeaders = readonly string[]
export type HeaderList = [name: string, value: string][]

/** They are of one connection only. */
const HOP_BY_HOP = new Set([
  ...['connection', 'keep-alive', 'proxy-connection', 'proxy-authenticate', 'proxy-authorization'],
  ...['te', 'transfer-encoding', 'upgrade', 'http2-settings', 'expect', 'trailer'],
])
/** What only a proxy that is trusted may say. */
const FORWARDED = new Set([
  ...['forwarded', 'x-forwarded-for', 'x-forwarded-host', 'x-forwarded-proto', 'x-forwarded-port'],
  ...['x-forwarded-scheme', 'x-real-ip', 'x-original-forwarded-for', 'x-scheme'],
])

export interface Client {
  readonly address: string
  readonly isTrusted: boolean
  readonly scheme: 'http' | 'https'
  readonly port: number
  readonly host: string
}

export function pairsOf(raw: RawHeaders): HeaderList {
  const pairs: HeaderList = []
  for (let at = 0; at + 1 < raw.length; at += 2) pairs.push([raw[at] ?? '', raw[at + 1] ?? ''])
  return pairs
}

export function valuesOf(raw: RawHeaders, name: string): string[] {
  const found: string[] = []
  for (let at = 0; at + 1 < raw.length; at += 2) {
    const key = raw[at] ?? ''
    if (key.length === name.length && key.toLowerCase() === name) found.push(raw[at + 1] ?? '')
  }
  return found
}

/** Without what belongs to the connection that they came on. Trailers are announced again where they are sent. */
export function endToEnd(raw: RawHeaders): HeaderList {
  const named = valuesOf(raw, 'connection').flatMap(value => value.split(','))
  const dropped = new Set(named.map(name => name.trim().toLowerCase()))
  return pairsOf(raw).filter(([name]) => {
    const key = name.toLowerCase()
    return !name.startsWith(':') && !HOP_BY_HOP.has(key) && (!dropped.has(key) || KEPT.has(key))
  })
}

/** Nobody may have these taken away by naming them in Connection. */
const KEPT = new Set(['host', 'content-length', 'content-type', 'authorization', 'cookie', 'x-request-id'])

/** What backends see: one Host, one Cookie, and who asked as we know it. */
export function requestHeaders(raw: RawHeaders, client: Client, requestId: string): HeaderList {
  const before = valuesOf(raw, 'x-forwarded-for').join(', ')
  const believed = (name: string) => (client.isTrusted ? valuesOf(raw, name)[0] : undefined)
  const cookies = valuesOf(raw, 'cookie')
  const kept = endToEnd(raw).filter(([name]) => {
    const key = name.toLowerCase()
    return key !== 'host' && key !== 'cookie' && key !== 'x-request-id' && !FORWARDED.has(key)
  })
  const scheme = believed('x-forwarded-proto') ?? client.scheme
  const chain = client.isTrusted && before !== '' ? `${before}, ${client.address}` : client.address
  const first = chain.split(',')[0]?.trim() ?? client.address
  const node = client.address.includes(':') ? `"[${client.address}]"` : client.address
  const forwarded = `for=${node};host="${client.host}";proto=${client.scheme}`
  const earlier = believed('forwarded')
  return [
    ['Host', client.host],
    ...kept,
    ...(cookies.length === 0 ? [] : [['Cookie', cookies.join('; ')] as [string, string]]),
    ['X-Request-ID', valuesOf(raw, 'x-request-id')[0] ?? requestId],
    ['X-Real-IP', first],
    ['X-Forwarded-For', chain],
    ['X-Forwarded-Host', believed('x-forwarded-host') ?? client.host],
    ['X-Forwarded-Port', believed('x-forwarded-port') ?? String(client.port)],
    ['X-Forwarded-Proto', scheme],
    ['Forwarded', earlier === undefined ? forwarded : `${earlier}, ${forwarded}`],
  ]
}

export function changeHeaders(headers: HeaderList, changes: HeaderChanges | null): HeaderList {
  if (changes === null) return headers
  const gone = new Set(
    [...changes.remove, ...changes.set.map(([name]) => name)].map(name => name.toLowerCase()),
  )
  const kept = headers.filter(([name]) => !gone.has(name.toLowerCase()))
  for (const [name, value] of changes.set) kept.push([name, value])
  for (const [name, value] of changes.add) kept.push([name, value])
  return kept
}

/** Values of one name together, as writeHead takes them. */
export function grouped(headers: HeaderList): Record<string, string | string[]> {
  const names = new Map<string, string>()
  const found: Record<string, string | string[]> = {}
  for (const [name, value] of headers) {
    const known = names.get(name.toLowerCase())
    if (known === undefined) {
      names.set(name.toLowerCase(), name)
      found[name] = value
    } else found[known] = [found[known] ?? '', value].flat()
  }
  return found
}

/** What is wrong with how a request says where it ends and whom it asks; empty: nothing. */
export function framingProblem(raw: RawHeaders, version: string): string {
  const lengths = valuesOf(raw, 'content-length')
  const encodings = valuesOf(raw, 'transfer-encoding')
  if (lengths.length > 1 || lengths.some(length => !/^\d{1,15}$/.test(length))) return 'Content-Length'
  if (encodings.length > 0 && lengths.length > 0) return 'Content-Length with Transfer-Encoding'
  if (encodings.length > 1 || encodings.some(one => one.toLowerCase() !== 'chunked'))
    return 'Transfer-Encoding'
  if (encodings.length > 0 && version !== '1.1') return 'Transfer-Encoding'
  if (valuesOf(raw, 'host').length > 1) return 'Host'
  return ''
}
