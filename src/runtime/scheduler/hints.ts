/** Whether something that happened in the cluster may let a waiting pod run, judged by who objected to it (pure). */

import { semanticEqual } from '../../kube/equality.ts'
import { hostPortsOf, portsClash } from '../../kube/host-ports.ts'
import { parseAmounts, podRequests } from '../../kube/pod-requests.ts'
import type { Node, Pod } from '../../kube/types.ts'
import { claimsOf } from '../../kube/volumes/claims.ts'
import { extendedNamesOf } from './devices/extended-resources.ts'
import { suitsAlone } from './filters.ts'
import { termsOf } from './pod-terms.ts'
import type { Plugin } from './profile.ts'
import { concernsSpread } from './topology-spread.ts'
import type { NamespaceView } from './world.ts'

export interface Waiting {
  readonly pod: Pod
  /** Who objected; nobody: any change may help. */
  readonly plugins: ReadonlySet<Plugin>
}

const OF_VOLUMES: readonly Plugin[] = [
  'VolumeRestrictions',
  'NodeVolumeLimits',
  'VolumeBinding',
  'VolumeZone',
]
const OF_NODES: readonly Plugin[] = [
  'NodeUnschedulable',
  'NodeName',
  'TaintToleration',
  'NodeAffinity',
  'NodeDeclaredFeatures',
]

/** `previous` is null for a node that is new, `next` for one that is gone. */
export function helpsAfterNode({ pod, plugins }: Waiting, next: Node | null, previous: Node | null): boolean {
  if (plugins.size === 0) return next !== null
  const isOther = next === null || previous === null
  const isMoved = isOther || !semanticEqual(next.metadata.labels, previous.metadata.labels)
  const isSame = !isMoved && semanticEqual(next.spec, previous.spec)
  if (plugins.has('PodTopologySpread') && !isSame) return true
  if (next === null || !suitsAlone(pod, next) || !hasEverRoom(pod, next)) return false
  if (previous === null || !suitsAlone(pod, previous)) return true
  if (plugins.has('NodeResourcesFit') && hasGrown(pod, next, previous)) return true
  if (plugins.has('InterPodAffinity') && isMoved) return true
  return hasAny(plugins, OF_VOLUMES) && (isMoved || !hasAny(plugins, OF_NODES))
}

/** Nobody can be helped by a node that only takes fewer pods than before: asked once, not for each pod that waits. */
export function onlyTakesFewer(next: Node, previous: Node): boolean {
  const taints = next.spec?.taints ?? []
  const keepsTaints = (previous.spec?.taints ?? []).every(old =>
    taints.some(each => semanticEqual(each, old)),
  )
  const isClosed = next.spec?.unschedulable === true || previous.spec?.unschedulable !== true
  return (
    keepsTaints &&
    isClosed &&
    semanticEqual(next.metadata.labels, previous.metadata.labels) &&
    semanticEqual(next.metadata.annotations, previous.metadata.annotations) &&
    semanticEqual(next.status?.allocatable, previous.status?.allocatable) &&
    semanticEqual(next.status?.declaredFeatures, previous.status?.declaredFeatures)
  )
}

function hasEverRoom(pod: Pod, { status }: Node): boolean {
  const has = parseAmounts(status?.allocatable ?? status?.capacity)
  // Devices may stand for extended resources.
  const extended = extendedNamesOf(pod)
  return [...podRequests(pod)].every(
    ([name, amount]) => amount <= (has.get(name) ?? 0) || (!has.get(name) && extended.includes(name)),
  )
}

function hasGrown(pod: Pod, next: Node, previous: Node): boolean {
  const now = parseAmounts(next.status?.allocatable)
  const before = parseAmounts(previous.status?.allocatable)
  return ['pods', ...podRequests(pod).keys()].some(name => (now.get(name) ?? 0) > (before.get(name) ?? 0))
}

/** A pod is no longer on its node. */
export function helpsAfterGone({ pod, plugins }: Waiting, gone: Pod, namespaces: NamespaceView): boolean {
  if (plugins.size === 0 || plugins.has('NodeResourcesFit')) return true
  if (plugins.has('NodePorts') && portsClash(hostPortsOf(pod), hostPortsOf(gone))) return true
  if (hasAny(plugins, ['VolumeRestrictions', 'NodeVolumeLimits']) && claimsOf(gone).length > 0) return true
  if (plugins.has('PodTopologySpread') && concernsSpread(pod, gone)) return true
  return plugins.has('InterPodAffinity') && repels(pod, gone, namespaces)
}

/** A pod has come to a node, or has other labels there. */
export function helpsAfterCome({ pod, plugins }: Waiting, come: Pod, namespaces: NamespaceView): boolean {
  if (plugins.has('PodTopologySpread') && concernsSpread(pod, come)) return true
  if (!plugins.has('InterPodAffinity')) return false
  return termsOf(pod).affinity.some(term => term.matches(come, namespaces))
}

export const helpsAfterVolumes = ({ pod, plugins }: Waiting): boolean =>
  claimsOf(pod).length > 0 && (plugins.size === 0 || hasAny(plugins, OF_VOLUMES))

/** Claims on devices, their classes, or what drivers tell of devices. */
export const helpsAfterDevices = ({ pod, plugins }: Waiting): boolean => {
  if (plugins.has('DynamicResources')) return true
  if (pod.spec?.resourceClaims !== undefined) return plugins.size === 0
  return extendedNamesOf(pod).length > 0 && (plugins.size === 0 || plugins.has('NodeResourcesFit'))
}

const hasAny = (plugins: ReadonlySet<Plugin>, some: readonly Plugin[]): boolean =>
  some.some(each => plugins.has(each))

/** Whether one of the two keeps the other away. */
const repels = (pod: Pod, other: Pod, namespaces: NamespaceView): boolean =>
  termsOf(pod).antiAffinity.some(term => term.matches(other, namespaces)) ||
  termsOf(other).antiAffinity.some(term => term.matches(pod, namespaces))
