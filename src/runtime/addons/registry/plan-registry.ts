/** Where the registry of the cluster runs: on the node that has its volume (pure). */
import { matchesTerm } from '../../../client/node-affinity.ts'
import { integerValue, parseQuantity } from '../../../kube/quantity.ts'
import type { Node, PersistentVolume, PersistentVolumeClaim } from '../../../kube/types.ts'
import { HOSTPATH_DIRECTORY, SELECTED_NODE } from '../../../kube/volumes/claims.ts'

export interface RegistryWorld {
  readonly claim: PersistentVolumeClaim | undefined
  /** Of the claim, once it is bound. */
  readonly volume: PersistentVolume | undefined
  readonly nodes: readonly Node[]
  readonly nodeName: string
}

export type RegistryPlan =
  /** This node offers itself for the volume; the first one to do so gets it. */
  | { readonly kind: 'select'; readonly claim: PersistentVolumeClaim }
  | { readonly kind: 'wait'; readonly reason: string }
  | { readonly kind: 'elsewhere' }
  | { readonly kind: 'impossible'; readonly reason: string }
  | { readonly kind: 'run'; readonly directory: string; readonly bytesMax: number }

export function planRegistry({ claim, volume, nodes, nodeName }: RegistryWorld): RegistryPlan {
  if (claim === undefined || claim.metadata.deletionTimestamp !== undefined) {
    return { kind: 'wait', reason: 'there is no claim container-registry/registry-claim yet' }
  }
  if (!claim.spec?.volumeName) {
    const selected = claim.metadata.annotations?.[SELECTED_NODE]
    if (selected === undefined && nodeFor(nodes)?.metadata.name === nodeName) return { kind: 'select', claim }
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

/** The first by name of those that keep volumes and take pods. */
function nodeFor(nodes: readonly Node[]): Node | undefined {
  const isFit = ({ metadata, spec, status }: Node) =>
    metadata.annotations?.[HOSTPATH_DIRECTORY] !== undefined &&
    metadata.deletionTimestamp === undefined &&
    spec?.unschedulable !== true &&
    !spec?.taints?.some(({ effect }) => effect !== 'PreferNoSchedule') &&
    status?.conditions?.some(({ type, status: is }) => type === 'Ready' && is === 'True') === true
  const byName = (a: Node, b: Node) => ((a.metadata.name ?? '') < (b.metadata.name ?? '') ? -1 : 1)
  return nodes.filter(isFit).sort(byName)[0]
}

/** Nodes may come as well as pods without credentials: all that is the cluster's own. */
export function trustedNetworks(nodes: readonly Node[], podCidr: string): string[] {
  const addresses = nodes.flatMap(({ status }) => status?.addresses ?? [])
  const own = addresses.filter(({ type }) => type === 'InternalIP' || type === 'ExternalIP')
  return [...podCidr.split(','), ...new Set(own.map(({ address }) => address))].sort()
}
