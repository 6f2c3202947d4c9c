/**
 * Which other servers are asked: what the ConfigMap `kube-system/mk8s-dns` says, else the node's own ones. Pure.
 * The ConfigMap's keys are those of the earlier kube-dns: `upstreamNameservers`, a list, and `stubDomains`, a map of
 * domains to lists, as JSON; or addresses with commas or spaces between them.
 */
import { messageOf } from '../../base/errors.ts'
import { parseAddress } from '../../kube/cidr.ts'
import type { DnsServer, ForwardingConfig } from './messages.ts'

export interface ForwardingInput {
  /** The data of the ConfigMap; null where there is none. */
  readonly data: Readonly<Record<string, string>> | null
  /** The node's resolv.conf. */
  readonly hostResolver: string
  /** Addresses at which this DNS itself answers. */
  readonly own: readonly string[]
}

export interface PlannedForwarding {
  readonly config: ForwardingConfig
  /** One sentence each: what is wrong with the ConfigMap. The rest of it counts. */
  readonly problems: readonly string[]
}

const DNS_PORT = 53
const SERVERS_MAX = 8
const STUB_DOMAINS_MAX = 64
const NAME = 'ConfigMap kube-system/mk8s-dns'

export function planForwarding({ data, hostResolver, own }: ForwardingInput): PlannedForwarding {
  const problems: string[] = []
  const read = (what: string, text: unknown): readonly DnsServer[] => {
    const words = Array.isArray(text) ? text.map(String) : String(text).split(/[\s,]+/)
    const servers = words.filter(Boolean).flatMap(word => {
      const server = parseServer(word)
      if (server !== null && !isOwn(server, own)) return [server]
      problems.push(`${NAME}: ${what}: ${word} is ${server === null ? 'no address' : 'this DNS itself'}`)
      return []
    })
    return servers.slice(0, SERVERS_MAX)
  }
  const upstreams = (data?.['upstreamNameservers'] ?? '').trim()
  const configured = upstreams === '' ? [] : read('upstreamNameservers', listOf(upstreams))
  const stubs = Object.entries(mapOf(data?.['stubDomains'] ?? '', problems)).slice(0, STUB_DOMAINS_MAX)
  const stubDomains = Object.fromEntries(
    stubs.map(([domain, servers]) => [domainOf(domain), read(`stubDomains: ${domain}`, servers)] as const),
  )
  const config = {
    upstreams: configured.length > 0 ? configured : hostServers(hostResolver, own),
    stubDomains,
  }
  return { config, problems }
}

const domainOf = (text: string) => text.toLowerCase().replace(/^\.|\.$/g, '')

function listOf(text: string): unknown {
  if (!text.startsWith('[')) return text
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

function mapOf(text: string, problems: string[]): Record<string, unknown> {
  if (text.trim() === '') return {}
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return { ...value }
    problems.push(`${NAME}: stubDomains is no map`)
  } catch (error) {
    problems.push(`${NAME}: stubDomains is no JSON: ${messageOf(error)}`)
  }
  return {}
}

/** `1.1.1.1`, `1.1.1.1:5353`, `1.1.1.1#5353`, `[::1]:53`, `::1`. */
function parseServer(text: string): DnsServer | null {
  const [, bracketed, plain, port] = /^(?:\[([^\]]+)\]|([^[\]#]+?))(?:[:#](\d{1,5}))?$/.exec(text) ?? []
  const number = port === undefined ? DNS_PORT : Number(port)
  if (parseAddress(text) !== null) return { address: text, port: DNS_PORT }
  const address = bracketed ?? plain ?? ''
  const isGood = parseAddress(address) !== null && number > 0 && number < 65_536
  return isGood ? { address, port: number } : null
}

const isOwn = ({ address, port }: DnsServer, own: readonly string[]) =>
  port === DNS_PORT && own.includes(address)

/** Loopback ones are left out: what listens there may well ask us. */
function hostServers(resolver: string, own: readonly string[]): DnsServer[] {
  return resolver
    .split('\n')
    .map(line => line.trim().split(/\s+/))
    .flatMap(([word, address = '']) => (word === 'nameserver' ? [address.replace(/%.*$/, '')] : []))
    .filter(address => parseAddress(address) !== null && !/^127\.|^::1$/.test(address))
    .map(address => ({ address, port: DNS_PORT }))
    .filter(server => !isOwn(server, own))
    .slice(0, SERVERS_MAX)
}
