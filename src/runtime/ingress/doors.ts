/** The ports of a node at which is routed: those that Ingresses and Gateways share, and those of Gateways alone. Pure. */
import type { Listener } from './gateway-types.ts'
import type { IngressSettings } from './world.ts'

export const HTTP_DOOR = 'http'
export const HTTPS_DOOR = 'https'

/** What a node's router opens. */
export interface DoorPlan {
  /** `http`, `https`, or a port in digits. */
  readonly key: string
  readonly port: number
  readonly isSecure: boolean
}

/** Those of mk8s and of a usual cluster, whatever `gateway-ports` says. */
const RESERVED = [
  ...[2379, 2380, 6443, 10_248, 10_249, 10_250, 10_256, 10_257, 10_259],
  ...[10_443, 10_500, 16_443, 19_001, 25_000],
]

/** Empty: no node serves it. */
export function doorOf(
  { protocol, port }: Pick<Listener, 'protocol' | 'port'>,
  { httpPort, httpsPort, gatewayPorts }: Pick<IngressSettings, 'httpPort' | 'httpsPort' | 'gatewayPorts'>,
): string {
  if (port === 80 || port === httpPort) return protocol === 'HTTP' ? HTTP_DOOR : ''
  if (port === 443 || port === httpsPort) return protocol === 'HTTP' ? '' : HTTPS_DOOR
  return mayOpen(port, gatewayPorts) ? String(port) : ''
}

function mayOpen(port: number, ranges: string): boolean {
  if (RESERVED.includes(port)) return false
  return ranges.split(',').some(range => {
    const [first = '', last = first] = range.trim().split('-')
    return first !== '' && Number(first) <= port && port <= Number(last)
  })
}

export type ClosedPorts = ReadonlyMap<number, string>

/** What a node's part says of ports that it cannot open, so that the leader can tell their Gateways. */
export const renderClosedPorts = (closed: ClosedPorts): string =>
  [...closed].map(([port, why]) => `port ${port} ${why}`).join('; ')

export function parseClosedPorts(text: string): ClosedPorts {
  const found = text.split('; ').flatMap(one => {
    const [, port, why = ''] = /^port (\d{1,5}) (.+)$/.exec(one) ?? []
    return port === undefined ? [] : [[Number(port), why] as const]
  })
  return new Map(found)
}
