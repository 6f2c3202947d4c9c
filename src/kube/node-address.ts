/** Addresses that a Node tells of itself in its status. */

import type { Node } from './types.ts'

export type NodeAddressType = 'InternalIP' | 'ExternalIP' | 'Hostname' | 'InternalDNS' | 'ExternalDNS'

/** All addresses of this type, of either family. */
export const nodeAddresses = (node: Pick<Node, 'status'>, type: NodeAddressType): readonly string[] =>
  (node.status?.addresses ?? []).flatMap(address => (address.type === type ? [address.address] : []))

/** The first address of this type. */
export function nodeAddress(node: Pick<Node, 'status'>, type: NodeAddressType): string | undefined {
  return node.status?.addresses?.find(address => address.type === type)?.address
}
