/** Persistent volumes and claims on them. */
import type { FieldError } from '../../../../kube/field-error.ts'
import { forbidden, notSupported, required } from '../../../../kube/field-error.ts'
import { checkDns1123Subdomain } from '../../../../kube/names.ts'
import type { PersistentVolume, PersistentVolumeClaim } from '../../../../kube/types.ts'
import { ageColumn, column, nameColumn, since, tableOf, UNSET, wide } from '../columns.ts'
import { defineKind } from '../kind.ts'
import type { Strategy } from '../strategy.ts'
import { asKind, keyed, semanticallyEqual, setDefault } from '../support.ts'
import { checkClaimSpec, checkModes, checkSize, checkVolumeMode } from '../validation/claim-spec.ts'
import { checkEach, checkOneOf } from '../validation/meta.ts'
import { checkNodeSelector } from '../validation/scheduling.ts'
import { checkPersistentSources } from '../validation/volume-sources.ts'
import { checkImmutable } from '../validation/workload.ts'
import { claimStatusProblems, claimUpdateProblems } from './claim-updates.ts'
import { settleOrigins } from './origins.ts'

const SHORT_MODES: Readonly<Record<string, string>> = {
  ReadWriteOnce: 'RWO',
  ReadOnlyMany: 'ROX',
  ReadWriteMany: 'RWX',
  ReadWriteOncePod: 'RWOP',
}
const BETA_CLASS = 'volume.beta.kubernetes.io/storage-class'

/** In the order upstream lists them, each once. */
function modesText(modes: readonly string[] | undefined): string {
  return Object.entries(SHORT_MODES)
    .filter(([mode]) => (modes ?? []).includes(mode))
    .map(([, short]) => short)
    .join(',')
}

const phaseText = (object: {
  metadata: { deletionTimestamp?: string }
  status?: { phase?: string }
}): string => (object.metadata.deletionTimestamp ? 'Terminating' : (object.status?.phase ?? ''))

export const claims: Strategy = defineKind({
  group: '',
  resource: 'persistentvolumeclaims',
  hasStatus: true,
  hasGeneration: false,
  applyDefaults(object) {
    const { spec } = asKind<PersistentVolumeClaim>(object)
    if (spec) setDefault(spec, 'volumeMode', 'Filesystem')
  },
  prepareForCreate(object) {
    object['status'] = { phase: 'Pending' }
    const { spec } = asKind<PersistentVolumeClaim>(object)
    if (spec) settleOrigins(spec, false)
  },
  prepareForUpdate(next, previous) {
    const { spec } = asKind<PersistentVolumeClaim>(next)
    const before = asKind<PersistentVolumeClaim>(previous).spec
    if (spec) settleOrigins(spec, before?.dataSource !== undefined || before?.dataSourceRef !== undefined)
  },
  validate(object) {
    const out: FieldError[] = []
    checkClaimSpec(out, 'spec', asKind<PersistentVolumeClaim>(object).spec ?? {})
    return out
  },
  validateUpdate: (next, previous) =>
    claimUpdateProblems(asKind<PersistentVolumeClaim>(next), asKind<PersistentVolumeClaim>(previous)),
  validateStatusUpdate: next => claimStatusProblems(asKind<PersistentVolumeClaim>(next)),
  table: tableOf<PersistentVolumeClaim>(
    [
      nameColumn,
      column('Status', 'Whether the claim has a volume'),
      column('Volume', 'Volume that is bound'),
      column('Capacity', 'Size of the volume'),
      column('Access Modes', 'How the volume may be mounted'),
      column('StorageClass', 'Class of the volume'),
      column('VolumeAttributesClass', 'Class of the attributes of the volume'),
      ageColumn,
      wide('VolumeMode', 'File system or block device'),
    ],
    (claim, nowMs) => [
      claim.metadata.name ?? '',
      phaseText(claim),
      claim.spec?.volumeName ?? '',
      claim.spec?.volumeName ? (claim.status?.capacity?.['storage'] ?? '0') : '',
      claim.spec?.volumeName ? modesText(claim.status?.accessModes) : '',
      claim.metadata.annotations?.[BETA_CLASS] ?? claim.spec?.storageClassName ?? '',
      claim.spec?.volumeAttributesClassName ?? UNSET,
      since(claim.metadata.creationTimestamp, nowMs),
      claim.spec?.volumeMode ?? UNSET,
    ],
  ),
})

const VOLUME_FIELDS = new Set([
  'accessModes',
  'capacity',
  'claimRef',
  'mountOptions',
  'nodeAffinity',
  'persistentVolumeReclaimPolicy',
  'storageClassName',
  'volumeAttributesClassName',
  'volumeMode',
])

const sourcesOf = (spec: object): Record<string, unknown> =>
  Object.fromEntries(Object.entries(spec).filter(([key]) => !VOLUME_FIELDS.has(key)))

type VolumeSpec = NonNullable<PersistentVolume['spec']>

/** A driver's volume may learn later which secret its growth needs. */
function grown(sources: Record<string, unknown>, { csi }: Partial<VolumeSpec>): Record<string, unknown> {
  const before = sources['csi'] as VolumeSpec['csi']
  if (!before || before.controllerExpandSecretRef || !csi?.controllerExpandSecretRef) return sources
  return { ...sources, csi: { ...before, controllerExpandSecretRef: csi.controllerExpandSecretRef } }
}

/** Where the volume can be reached from, and what may happen to a host's own root. */
function checkPlace(out: FieldError[], spec: VolumeSpec): void {
  checkVolumeMode(out, 'spec.volumeMode', spec.volumeMode)
  const field = 'spec.nodeAffinity'
  if (spec.nodeAffinity && !spec.nodeAffinity.required) {
    out.push(required(`${field}.required`, 'must specify required node constraints'))
  } else checkNodeSelector(out, `${field}.required`, spec.nodeAffinity?.required)
  if (spec.local && !spec.nodeAffinity) out.push(required(field, 'Local volume requires node affinity'))
  if (spec.hostPath?.path === '/' && spec.persistentVolumeReclaimPolicy === 'Recycle') {
    const detail = "may not be 'recycle' for a hostPath mount of '/'"
    out.push(forbidden('spec.persistentVolumeReclaimPolicy', detail))
  }
  const name = spec.storageClassName
  if (name) checkEach(out, 'spec.storageClassName', name, checkDns1123Subdomain(name))
  checkAttributesClass(out, spec)
}

function checkAttributesClass(out: FieldError[], spec: VolumeSpec): void {
  const name = spec.volumeAttributesClassName
  const field = 'spec.volumeAttributesClassName'
  if (name === undefined) return
  if (name === '') out.push(required(field, 'an empty string is disallowed'))
  else checkEach(out, field, name, checkDns1123Subdomain(name))
  if (spec.csi) return
  out.push(required('spec.csi', 'has to be specified when using volumeAttributesClassName'))
}

export const volumes: Strategy = defineKind({
  group: '',
  resource: 'persistentvolumes',
  hasStatus: true,
  hasGeneration: false,
  applyDefaults(object) {
    const { spec } = asKind<PersistentVolume>(object)
    if (!spec) return
    setDefault(spec, 'persistentVolumeReclaimPolicy', 'Retain')
    setDefault(spec, 'volumeMode', 'Filesystem')
    if (spec.hostPath) setDefault(spec.hostPath, 'type', '')
  },
  prepareForCreate: object => {
    object['status'] = { phase: 'Pending' }
  },
  validate(object) {
    const { spec } = asKind<PersistentVolume>(object)
    const out: FieldError[] = []
    if (!spec) return [required('spec')]
    checkModes(out, 'spec.accessModes', spec.accessModes, '')
    const capacity = Object.entries(spec.capacity ?? {})
    if (capacity.length === 0) out.push(required('spec.capacity'))
    else if (capacity.length > 1 || spec.capacity?.['storage'] === undefined) {
      out.push(notSupported('spec.capacity', spec.capacity, ['storage']))
    }
    for (const [name, quantity] of capacity) checkSize(out, keyed('spec.capacity', name), quantity)
    checkOneOf(out, 'spec.persistentVolumeReclaimPolicy', spec.persistentVolumeReclaimPolicy, [
      'Delete',
      'Recycle',
      'Retain',
    ])
    const sources = Object.keys(sourcesOf(spec))
    if (sources.length === 0) out.push(required('spec', 'must specify a volume type'))
    for (const extra of sources.slice(1)) {
      out.push(forbidden(`spec.${extra}`, 'may not specify more than 1 volume type'))
    }
    checkPersistentSources(out, 'spec', spec)
    checkPlace(out, spec)
    return out
  },
  validateUpdate(next, previous) {
    const out: FieldError[] = []
    const after = asKind<PersistentVolume>(next).spec ?? {}
    const before = asKind<PersistentVolume>(previous).spec ?? {}
    if (!semanticallyEqual(sourcesOf(after), grown(sourcesOf(before), after))) {
      out.push(
        forbidden('spec.persistentvolumesource', 'spec.persistentvolumesource is immutable after creation'),
      )
    }
    checkImmutable(out, 'volumeMode', after.volumeMode, before.volumeMode)
    if (before.nodeAffinity) checkImmutable(out, 'nodeAffinity', after.nodeAffinity, before.nodeAffinity)
    if (before.volumeAttributesClassName && !after.volumeAttributesClassName) {
      const detail = 'update from non-nil value to nil is forbidden'
      out.push(forbidden('spec.volumeAttributesClassName', detail))
    }
    return out
  },
  table: tableOf<PersistentVolume>(
    [
      nameColumn,
      column('Capacity', 'Size of the volume'),
      column('Access Modes', 'How the volume may be mounted'),
      column('Reclaim Policy', 'What happens when the claim goes'),
      column('Status', 'Whether the volume is bound'),
      column('Claim', 'Claim that it is bound to'),
      column('StorageClass', 'Class of the volume'),
      column('VolumeAttributesClass', 'Class of the attributes of the volume'),
      column('Reason', 'Why it is in this state'),
      ageColumn,
      wide('VolumeMode', 'File system or block device'),
    ],
    (volume, nowMs) => {
      const { spec, status, metadata } = volume
      const reference = spec?.claimRef
      return [
        metadata.name ?? '',
        spec?.capacity?.['storage'] ?? '0',
        modesText(spec?.accessModes),
        spec?.persistentVolumeReclaimPolicy ?? '',
        phaseText(volume),
        reference ? `${reference.namespace ?? ''}/${reference.name ?? ''}` : '',
        metadata.annotations?.[BETA_CLASS] ?? spec?.storageClassName ?? '',
        spec?.volumeAttributesClassName ?? UNSET,
        status?.reason ?? '',
        since(metadata.creationTimestamp, nowMs),
        spec?.volumeMode ?? UNSET,
      ]
    },
  ),
})
