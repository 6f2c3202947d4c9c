/** Pods that name their node themselves are asked by nobody whether their host ports are free (pure). */
import { clash, hostPortsOf } from '../../kube/host-ports.ts'
import type { Pod } from '../../kube/types.ts'
import type { PodFailure } from './pod-failure.ts'

const PROBLEM = "Predicate NodePorts failed: node(s) didn't have free ports for the requested pod ports"

/** `others`: those that the node has taken in and that have not ended. */
export function hostPortRefusal(pod: Pod, others: readonly Pod[]): PodFailure | null {
  const wanted = hostPortsOf(pod)
  if (wanted.length === 0) return null
  const taken = others.flatMap(hostPortsOf)
  if (!wanted.some(port => taken.some(other => clash(port, other)))) return null
  return { reason: 'NodePorts', message: `Pod was rejected: ${PROBLEM}` }
}
