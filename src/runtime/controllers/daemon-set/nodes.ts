/** A daemon set's nodes with the pods that each has. */
import type { DaemonSet, Node, Pod } from '../../../kube/types.ts'
import { isFinished, timeMs } from '../shared/pods.ts'
import { type Eligibility, eligibilityOf, targetNode } from './daemon-pod.ts'

export interface DaemonNode extends Eligibility {
  readonly name: string
  /** The one that has run longest first. */
  readonly pods: readonly Pod[]
}

/** Pods that are over and go anyway are left out, and so is a pod of no known node. */
export function daemonNodes(set: DaemonSet, nodes: readonly Node[], pods: readonly Pod[]): DaemonNode[] {
  const byNode = new Map<string, Pod[]>()
  for (const pod of pods) {
    if (isFinished(pod) && pod.metadata.deletionTimestamp !== undefined) continue
    const name = targetNode(pod)
    if (name !== undefined) byNode.set(name, [...(byNode.get(name) ?? []), pod])
  }
  return nodes.map(node => {
    const name = node.metadata.name ?? ''
    return { name, ...eligibilityOf(set, node), pods: (byNode.get(name) ?? []).sort(byPlaceAndAge) }
  })
}

function byPlaceAndAge(a: Pod, b: Pod): number {
  return (
    Number(!a.spec?.nodeName) - Number(!b.spec?.nodeName) ||
    timeMs(a.metadata.creationTimestamp) - timeMs(b.metadata.creationTimestamp) ||
    (a.metadata.name ?? '').localeCompare(b.metadata.name ?? '')
  )
}
