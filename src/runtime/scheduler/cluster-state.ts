/** What the scheduler believes of the cluster: nodes with their pods, and pods it has just placed itself. */
import type { Node, Pod } from '../../kube/types.ts'
import { NodeInfo } from './node-info.ts'

const REGION = 'topology.kubernetes.io/region'
const ZONE = 'topology.kubernetes.io/zone'

export class ClusterState {
  readonly #nodes = new Map<string, NodeInfo>()
  /** Where each counted pod is; its node may not be known yet. */
  readonly #places = new Map<string, { readonly pod: Pod; readonly node: string }>()
  /** Placed by us, not seen as placed by the watch yet. */
  readonly #assumed = new Set<string>()
  #order: readonly NodeInfo[] | null = null

  /** One of each zone in turn, so that the first ones are not all of one zone. */
  nodes(): readonly NodeInfo[] {
    this.#order ??= inTurn([...this.#nodes.values()])
    return this.#order
  }

  putNode(node: Node): void {
    const name = node.metadata.name ?? ''
    const pods = this.#nodes.get(name)?.pods() ?? this.#podsPlacedOn(name)
    this.#nodes.set(name, new NodeInfo(node, pods))
    this.#order = null
  }

  removeNode(name: string): void {
    this.#nodes.delete(name)
    this.#order = null
  }

  /** The watch shows the pod on its node. */
  putPod(pod: Pod): void {
    this.#assumed.delete(pod.metadata.uid ?? '')
    this.#place(pod, pod.spec?.nodeName ?? '')
  }

  removePod(uid: string): void {
    this.#assumed.delete(uid)
    const place = this.#places.get(uid)
    this.#places.delete(uid)
    if (place !== undefined) this.#nodes.get(place.node)?.remove(uid)
  }

  /** Counts the pod on the node before the API server has heard of it. */
  assume(pod: Pod, node: string): void {
    this.#assumed.add(pod.metadata.uid ?? '')
    this.#place(pod, node)
  }

  isAssumed(uid: string): boolean {
    return this.#assumed.has(uid)
  }

  /** The binding failed. */
  forget(uid: string): void {
    if (this.#assumed.has(uid)) this.removePod(uid)
  }

  #place(pod: Pod, node: string): void {
    const uid = pod.metadata.uid ?? ''
    const before = this.#places.get(uid)
    if (before !== undefined && before.node !== node) this.#nodes.get(before.node)?.remove(uid)
    this.#places.set(uid, { pod, node })
    this.#nodes.get(node)?.add(pod)
  }

  #podsPlacedOn(node: string): Pod[] {
    return [...this.#places.values()].filter(place => place.node === node).map(place => place.pod)
  }
}

function inTurn(nodes: readonly NodeInfo[]): NodeInfo[] {
  const zones = [
    ...Map.groupBy(nodes, ({ node: { metadata } }) =>
      JSON.stringify([metadata.labels?.[REGION], metadata.labels?.[ZONE]]),
    ).values(),
  ]
  const longest = zones.reduce((most, { length }) => Math.max(most, length), 0)
  return Array.from({ length: longest }, (_none, index) => zones.map(zone => zone[index]))
    .flat()
    .filter(info => info !== undefined)
}
