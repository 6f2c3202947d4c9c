/** Where the registry of the cluster runs: on the node that has its volume (pure). */
import { matchesTerm } from '../../../client/node-affinity.ts'
import { integerValue, parseQuantity } from '../../../kube/quantity.ts'
import type { Node, PersistentVolume, PersistentVolumeClaim } from '../../../kube/types.ts'

export interface RegistryWorld {
  readonly claim: PersistentVolumeClaim | undefined
  /** Of the claim, once it is bound. */
  readonly volume: PersistentVolume | undefined
  readonly nodes: readonly Node[]
  readonly nodeName: string
}

export type RegistryPlan =
  | { readonly kind: 'wait'; readonly reason: string }
  | { readonly kind: 'elsewhere' }
  | { readonly kind: 'impossible'; readonly reason: string }
  | { readonly kind: 'run'; readonly directory: string; readonly bytesMax: number }

export function planRegistry({ claim, volume, nodes, nodeName }: RegistryWorld): RegistryPlan {
  if (claim === undefined || claim.metadata.deletionTimestamp !== undefined) {
    return { kind: 'wait', reason: 'there is no claim container-registry/registry-claim yet' }
  }
  if (!claim.spec?.volumeName) {
    return { kind: 'wait', reason: 'its claim has no volume yet' }
  }
  if (volume === undefined) return { kind: 'wait', reason: `there is no volume ${claim.spec.volumeName} yet` }
  const path = volume.spec?.hostPath?.path ?? volume.spec?.local?.path
  if (path === undefined) {
    const reason = `the volume ${claim.spec.volumeName} is no directory of a node; use another storageclass`
    return { kind: 'impossible', reason }
  }
  const terms = volume.spec?.nodeAffinity?.required?.nodeSelectorTerms ?? []
  const own = nodes.find(({ metadata }) => metadata.name === nodeName)
  // A volume that says nothing of nodes is this one's only when there is no other.
  const isHere = (node: Node) =>
    terms.length === 0 ? nodes.length === 1 : terms.some(term => matchesTerm(term, node))
  if (own === undefined || !isHere(own)) return { kind: 'elsewhere' }
  return { kind: 'run', directory: `${path}/registry`, bytesMax: bytesOf(claim) }
}

/** What was asked for, also while the volume has yet to grow to it. */
const bytesOf = ({ spec }: PersistentVolumeClaim): number =>
  integerValue(parseQuantity(String(spec?.resources?.requests?.['storage'] ?? '0')))

/** Nodes may come as well as pods without credentials: all that is the cluster's own. */
export function trustedNetworks(nodes: readonly Node[], podCidr: string): string[] {
  const addresses = nodes.flatMap(({ status }) => status?.addresses ?? [])
  const own = addresses.filter(({ type }) => type === 'InternalIP' || type === 'ExternalIP')
  return [...podCidr.split(','), ...new Set(own.map(({ address }) => address))].sort()
}
