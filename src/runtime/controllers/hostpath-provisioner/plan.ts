/** Volumes of `hostpath-storage` (pure): a directory on the node that the claim's first consumer is to run on. */
import { must } from '../../../base/assert.ts'
import type { Node, PersistentVolume, PersistentVolumeClaim, StorageClass } from '../../../kube/types.ts'
import {
  bindsNow,
  HOSTPATH_DIRECTORY,
  HOSTPATH_PROVISIONER,
  PROVISIONED_BY,
  SELECTED_NODE,
  STORAGE_PROVISIONER,
  waitsForConsumer,
} from '../../../kube/volumes/claims.ts'
import { requestedStorage } from '../../../kube/volumes/match.ts'

/** Keeps a volume until its directory is gone. */
export const FINALIZER = 'external-provisioner.volume.kubernetes.io/finalizer'
const HOSTNAME = 'kubernetes.io/hostname'

export type ProvisionPlan =
  | { readonly kind: 'nothing' }
  | { readonly kind: 'create'; readonly volume: PersistentVolume }
  | { readonly kind: 'fail'; readonly message: string }
  /** The node cannot have it: the scheduler is to choose anew. */
  | { readonly kind: 'reschedule'; readonly claim: PersistentVolumeClaim; readonly message: string }

export interface ProvisionWorld {
  readonly storageClass: StorageClass | undefined
  readonly nodes: readonly Node[]
  readonly hasVolume: (name: string) => boolean
}

export const volumeNameFor = ({ metadata }: PersistentVolumeClaim): string => `pvc-${metadata.uid}`

export function planProvision(claim: PersistentVolumeClaim, world: ProvisionWorld): ProvisionPlan {
  const { annotations, deletionTimestamp } = claim.metadata
  const isOurs = annotations?.[STORAGE_PROVISIONER] === HOSTPATH_PROVISIONER
  if (!isOurs || deletionTimestamp !== undefined || claim.spec?.volumeName) return { kind: 'nothing' }
  const { storageClass } = world
  if (storageClass === undefined || world.hasVolume(volumeNameFor(claim))) return { kind: 'nothing' }
  const problem = unsupported(claim, storageClass)
  if (problem !== null) return { kind: 'fail', message: problem }
  const selected = annotations?.[SELECTED_NODE]
  const isEarly = selected === undefined && !bindsNow(claim)
  if (isEarly && waitsForConsumer(storageClass)) return { kind: 'nothing' }
  const nodes = world.nodes.toSorted((a, b) => Number(takesPods(b)) - Number(takesPods(a)))
  const node = nodes.find(
    each =>
      directoryOf(each) !== undefined &&
      (selected === undefined ? isAllowed(storageClass, each) : each.metadata.name === selected),
  )
  if (node !== undefined) {
    return { kind: 'create', volume: renderVolume(claim, storageClass, node) }
  }
  if (selected === undefined) return { kind: 'fail', message: 'no node keeps volumes of this class' }
  const message = `node "${selected}" keeps no volumes of this class`
  const { [SELECTED_NODE]: _selected, ...others } = annotations ?? {}
  const next = { ...claim, metadata: { ...claim.metadata, annotations: others } }
  return { kind: 'reschedule', claim: next, message }
}

/** Where nobody says otherwise, these come first. */
const takesPods = ({ spec, status }: Node): boolean =>
  spec?.unschedulable !== true &&
  !spec?.taints?.some(({ effect }) => effect !== 'PreferNoSchedule') &&
  status?.conditions?.some(({ type, status: is }) => type === 'Ready' && is === 'True') === true

/** Where the scheduler chooses, it has looked already. */
function isAllowed({ allowedTopologies = [] }: StorageClass, { metadata }: Node): boolean {
  if (allowedTopologies.length === 0) return true
  return allowedTopologies.some(({ matchLabelExpressions = [] }) =>
    matchLabelExpressions.every(({ key, values }) => values.includes(metadata.labels?.[key] ?? '')),
  )
}

const directoryOf = (node: Node): string | undefined => node.metadata.annotations?.[HOSTPATH_DIRECTORY]

function unsupported({ spec }: PersistentVolumeClaim, { parameters }: StorageClass): string | null {
  if (spec?.volumeMode === 'Block') return `${HOSTPATH_PROVISIONER} does not provide raw block volumes`
  if (spec?.selector) return 'claim Selector is not supported'
  if (spec?.dataSource || spec?.dataSourceRef)
    return `${HOSTPATH_PROVISIONER} cannot fill volumes from a source`
  if (spec?.volumeAttributesClassName)
    return `${HOSTPATH_PROVISIONER} knows no VolumeAttributesClass, and the claim asks for "${spec.volumeAttributesClassName}"`
  const [unknown] = Object.keys(parameters ?? {})
  return unknown === undefined ? null : `${HOSTPATH_PROVISIONER} knows no parameter "${unknown}"`
}

function renderVolume(claim: PersistentVolumeClaim, found: StorageClass, node: Node): PersistentVolume {
  const { name = '', namespace = '', uid = '', resourceVersion = '' } = claim.metadata
  const volume = volumeNameFor(claim)
  const host = node.metadata.labels?.[HOSTNAME] ?? node.metadata.name ?? ''
  const path = `${directoryOf(node)}/${namespace}-${name}-${volume}`
  const isHere = { key: HOSTNAME, operator: 'In', values: [host] }
  return {
    apiVersion: 'v1',
    kind: 'PersistentVolume',
    metadata: {
      name: volume,
      annotations: { [PROVISIONED_BY]: HOSTPATH_PROVISIONER },
      finalizers: [FINALIZER],
    },
    spec: {
      accessModes: claim.spec?.accessModes ?? [],
      capacity: { storage: requestedStorage(claim) },
      claimRef: { apiVersion: 'v1', kind: 'PersistentVolumeClaim', namespace, name, uid, resourceVersion },
      persistentVolumeReclaimPolicy: found.reclaimPolicy ?? 'Delete',
      storageClassName: found.metadata.name ?? '',
      volumeMode: 'Filesystem',
      nodeAffinity: { required: { nodeSelectorTerms: [{ matchExpressions: [isHere] }] } },
      hostPath: { path, type: 'DirectoryOrCreate' },
    },
  }
}

export type RemovalPlan =
  | { readonly kind: 'nothing' }
  /** The node removes the directory first; without a node there is none. */
  | { readonly kind: 'remove'; readonly node: string | undefined; readonly directory: string }
  /** Somebody deletes a volume whose data is to be kept. */
  | { readonly kind: 'let-go' }

export function planRemoval(volume: PersistentVolume, nodes: readonly Node[]): RemovalPlan {
  const { annotations, deletionTimestamp, finalizers = [] } = volume.metadata
  if (annotations?.[PROVISIONED_BY] !== HOSTPATH_PROVISIONER) return { kind: 'nothing' }
  const isDeleting = deletionTimestamp !== undefined
  if (volume.status?.phase !== 'Released') {
    const isUnused = isDeleting && volume.status?.phase !== 'Bound' && finalizers.includes(FINALIZER)
    if (!isUnused) return { kind: 'nothing' }
  }
  if (volume.spec?.persistentVolumeReclaimPolicy !== 'Delete') {
    return isDeleting && finalizers.includes(FINALIZER) ? { kind: 'let-go' } : { kind: 'nothing' }
  }
  const path = must(volume.spec.hostPath?.path, 'the path of a hostpath volume')
  const directory = path.slice(path.lastIndexOf('/') + 1)
  const node = nodes.find(each => hostOf(volume).includes(each.metadata.labels?.[HOSTNAME] ?? ''))
  return { kind: 'remove', node: node?.metadata.name, directory }
}

function hostOf({ spec }: PersistentVolume): readonly string[] {
  const terms = spec?.nodeAffinity?.required?.nodeSelectorTerms ?? []
  return terms.flatMap(({ matchExpressions = [] }) =>
    matchExpressions.filter(({ key }) => key === HOSTNAME).flatMap(({ values = [] }) => values),
  )
}

export function withoutFinalizer(volume: PersistentVolume): PersistentVolume {
  const finalizers = (volume.metadata.finalizers ?? []).filter(each => each !== FINALIZER)
  return { ...volume, metadata: { ...volume.metadata, finalizers } }
}
