/** In which order a pod's addresses are told (pure). */

/** That of the node's own family first, whatever order the network plugin or the runtime has. */
export function inFamilyOrder(addresses: readonly string[], nodeAddress: string): readonly string[] {
  const isSix = nodeAddress.includes(':')
  const isFirst = (address: string) => address.includes(':') === isSix
  return [...addresses.filter(isFirst), ...addresses.filter(address => !isFirst(address))]
}
