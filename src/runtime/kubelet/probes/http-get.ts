/** The HTTP of probes and hooks: a GET that follows redirects as long as they stay on the host. */
import { request as httpRequest, type IncomingMessage } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { bracketed } from '../../../base/bracketed.ts'
import { systemCodeOf } from '../../../base/errors.ts'
import type { Container, HTTPGetAction } from '../../../kube/types.ts'
import { mustPort } from './plan-probe.ts'

export interface HttpTarget {
  readonly container: Container
  readonly podAddress: string
}

export interface HttpAnswer {
  readonly status: number
  /** As much of it as is kept. */
  readonly body: string
}

export interface GetOptions {
  readonly timeoutMs: number
  readonly agent: string
}

const BODY_BYTES_MAX = 10 * 1_024
const REDIRECTS_MAX = 10
const REDIRECTS = [301, 302, 303, 307, 308]

/** Certificates, if any, are not checked. Rejects with upstream's words. */
export async function httpGet(
  action: HTTPGetAction,
  { container, podAddress }: HttpTarget,
  { timeoutMs, agent }: GetOptions,
): Promise<HttpAnswer> {
  const host = action.host || podAddress
  const path = action.path?.startsWith('/') ? action.path : `/${action.path ?? ''}`
  const first = new URL(
    `${action.scheme === 'HTTPS' ? 'https' : 'http'}://${bracketed(host)}:${mustPort(action.port, container)}`,
  )
  const headers = headersOf(action, agent)
  const signal = AbortSignal.timeout(timeoutMs)
  let at = `${first.origin}${path}`
  for (let redirects = 0; ; redirects++) {
    const answer = await getOnce(at, headers, signal)
    const next = REDIRECTS.includes(answer.status) ? nextUrl(answer.location, at) : null
    if (next === null || next.hostname !== first.hostname) return answer
    if (redirects === REDIRECTS_MAX - 1) throw new Error(`Get "${next.href}": stopped after 10 redirects`)
    at = next.href
  }
}

function nextUrl(location: string | undefined, at: string): URL | null {
  const next = location === undefined ? null : URL.parse(location, at)
  return next !== null && ['http:', 'https:'].includes(next.protocol) ? next : null
}

/** Several of one name are all sent; what is set to nothing is not sent at all. */
function headersOf({ httpHeaders = [] }: HTTPGetAction, agent: string): Headers {
  const own = Object.groupBy(httpHeaders, ({ name }) => name.toLowerCase())
  const headers: Headers = { 'user-agent': agent, accept: '*/*', connection: 'close' }
  for (const [name, all = []] of Object.entries(own)) {
    const values = all.map(({ value }) => value)
    if (values.every(value => value === '')) delete headers[name]
    else headers[name] = name === 'host' ? (values[0] ?? '') : values
  }
  return headers
}

type Headers = Record<string, string | string[]>

interface OneAnswer extends HttpAnswer {
  readonly location: string | undefined
}

function getOnce(url: string, headers: Headers, signal: AbortSignal): Promise<OneAnswer> {
  const { promise, resolve, reject } = Promise.withResolvers<OneAnswer>()
  const settings = { headers, signal, agent: false as const }
  const onAnswer = (answer: IncomingMessage) => {
    const kept: Buffer[] = []
    let size = 0
    const end = () => {
      const body = Buffer.concat(kept).subarray(0, BODY_BYTES_MAX).toString()
      resolve({ status: answer.statusCode ?? 0, location: answer.headers.location, body })
    }
    answer.on('data', (chunk: Buffer) => {
      kept.push(chunk)
      size += chunk.length
      if (size <= BODY_BYTES_MAX) return
      end()
      answer.destroy()
    })
    answer.once('end', end)
    answer.once('error', () => reject(new Error(signal.aborted ? LATE_BODY : 'unexpected EOF')))
  }
  const outgoing = url.startsWith('https:')
    ? httpsRequest(url, { ...settings, rejectUnauthorized: false }, onAnswer)
    : httpRequest(url, settings, onAnswer)
  outgoing.on('error', error => reject(new Error(sendError(url, error, signal))))
  outgoing.end()
  return promise
}

const LATE_BODY = 'context deadline exceeded (Client.Timeout or context cancellation while reading body)'

function sendError(url: string, error: Error, signal: AbortSignal): string {
  const head = `Get "${url}":`
  if (signal.aborted)
    return `${head} context deadline exceeded (Client.Timeout exceeded while awaiting headers)`
  const { hostname, port, protocol } = new URL(url)
  const address = `${hostname}:${port || (protocol === 'https:' ? 443 : 80)}`
  switch (systemCodeOf(error)) {
    case 'ECONNREFUSED':
      return `${head} dial tcp ${address}: connect: connection refused`
    case 'EHOSTUNREACH':
      return `${head} dial tcp ${address}: connect: no route to host`
    case 'ENETUNREACH':
      return `${head} dial tcp ${address}: connect: network is unreachable`
    case 'ECONNRESET':
      return `${head} EOF`
    default:
      return `${head} ${error.message}`
  }
}
