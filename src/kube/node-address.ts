/** Addresses that a Node tells of itself in its status. */

import type { Node } from './types.ts'

export type NodeAddressType = 'InternalIP' | 'ExternalIP' | 'Hostname' | 'InternalDNS' | 'ExternalDNS'

/** The first address of this type. */
export function nodeAddress(node: Pick<Node, 'status'>, type: NodeAddressType): string | undefined {
  return node.status?.addresses?.find(address => address.type === type)?.address
}
