/** Which routes lead to the pods of the other nodes, and what is to be done about those that are there (pure). */
import { nodeAddress } from '../../kube/node-address.ts'
import type { Node } from '../../kube/types.ts'

export interface NodeRoute {
  /** `10.1.3.0/24`. */
  readonly range: string
  /** Address of the node that has it. */
  readonly via: string
}

export interface RoutesInput {
  readonly nodes: readonly Node[]
  readonly nodeName: string
  /** Addresses of this machine: nodes behind one of them need no route. */
  readonly localAddresses: ReadonlySet<string>
}

/** Of every node but this one that has a range and an address, in the order of their ranges. */
export function planRoutes({ nodes, nodeName, localAddresses }: RoutesInput): NodeRoute[] {
  const routes = nodes.flatMap((node): NodeRoute[] => {
    const range = node.spec?.podCIDR
    const via = nodeAddress(node, 'InternalIP')
    if (node.metadata.name === nodeName || !range || via === undefined) return []
    // Another node on this machine, such as one at 127.0.0.2, has its pods here too.
    const isHere = localAddresses.has(via) || via.startsWith('127.')
    // A range and its next hop are of one family.
    return isHere || range.includes(':') !== via.includes(':') ? [] : [{ range, via }]
  })
  return routes.sort((a, b) => (a.range < b.range ? -1 : 1))
}

export interface RouteChanges {
  readonly add: readonly NodeRoute[]
  readonly remove: readonly NodeRoute[]
}

/** A route whose next hop is another one now is replaced, never removed first. */
export function changesOf(present: readonly NodeRoute[], wanted: readonly NodeRoute[]): RouteChanges {
  const isSame = (one: NodeRoute) => (other: NodeRoute) => other.range === one.range && other.via === one.via
  return {
    add: wanted.filter(route => !present.some(isSame(route))),
    remove: present.filter(route => !wanted.some(({ range }) => range === route.range)),
  }
}
