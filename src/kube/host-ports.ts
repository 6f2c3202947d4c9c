/** Ports of a node that pods take for themselves, and which of them clash (pure). */
import type { Pod } from './types.ts'

export interface HostPort {
  readonly ip: string
  readonly protocol: string
  readonly port: number
}

export const NO_FREE_PORTS = "node(s) didn't have free ports for the requested pod ports"
const NO_PORTS: readonly HostPort[] = []

/** Of its containers and sidecars. */
export function hostPortsOf(pod: Pod): readonly HostPort[] {
  const sidecars = (pod.spec?.initContainers ?? []).filter(each => each.restartPolicy === 'Always')
  const ports = [...(pod.spec?.containers ?? []), ...sidecars]
    .flatMap(container => container.ports ?? [])
    .filter(port => (port.hostPort ?? 0) > 0)
  if (ports.length === 0) return NO_PORTS
  return ports.map(port => ({
    ip: port.hostIP || '0.0.0.0',
    protocol: port.protocol ?? 'TCP',
    port: port.hostPort ?? 0,
  }))
}

const clash = (a: HostPort, b: HostPort): boolean =>
  a.port === b.port &&
  a.protocol === b.protocol &&
  (a.ip === b.ip || a.ip === '0.0.0.0' || b.ip === '0.0.0.0')

export const portsClash = (wanted: readonly HostPort[], used: readonly HostPort[]): boolean =>
  wanted.some(port => used.some(other => clash(port, other)))
