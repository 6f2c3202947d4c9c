/** Persistent volumes, claims on them, and storage classes. */
import type { FieldError } from '../../../../kube/field-error.ts'
import { forbidden, invalid, notSupported, required } from '../../../../kube/field-error.ts'
import { checkDns1123Subdomain } from '../../../../kube/names.ts'
import type { PersistentVolume, PersistentVolumeClaim, StorageClass } from '../../../../kube/types.ts'
import { ageColumn, column, nameColumn, since, tableOf, UNKNOWN, UNSET, wide } from '../columns.ts'
import { defineKind } from '../kind.ts'
import type { Strategy } from '../strategy.ts'
import { asKind, keyed, semanticallyEqual, setDefault } from '../support.ts'
import { checkEach, checkOneOf, checkSelector } from '../validation/meta.ts'
import { compareQuantities, isQuantity } from '../validation/quantities.ts'
import { checkQuantity } from '../validation/resources.ts'
import { checkNodeSelector } from '../validation/scheduling.ts'
import { checkPersistentSources } from '../validation/volume-sources.ts'
import { checkImmutable } from '../validation/workload.ts'

const SHORT_MODES: Readonly<Record<string, string>> = {
  ReadWriteOnce: 'RWO',
  ReadOnlyMany: 'ROX',
  ReadWriteMany: 'RWX',
  ReadWriteOncePod: 'RWOP',
}
const MODES = ['ReadOnlyMany', 'ReadWriteMany', 'ReadWriteOnce', 'ReadWriteOncePod']
const DEFAULT_CLASS = 'storageclass.kubernetes.io/is-default-class'
const BETA_CLASS = 'volume.beta.kubernetes.io/storage-class'

/** In the order upstream lists them, each once. */
function modesText(modes: readonly string[] | undefined): string {
  return Object.entries(SHORT_MODES)
    .filter(([mode]) => (modes ?? []).includes(mode))
    .map(([, short]) => short)
    .join(',')
}

function checkModes(out: FieldError[], modes: readonly string[] | undefined): void {
  const given = modes ?? []
  if (given.length === 0) out.push(required('spec.accessModes', 'at least 1 access mode is required'))
  for (const mode of given) checkOneOf(out, 'spec.accessModes', mode, MODES)
  if (given.includes('ReadWriteOncePod') && given.length > 1) {
    const detail = 'may not use ReadWriteOncePod with other access modes'
    out.push(forbidden('spec.accessModes', detail))
  }
}

const phaseText = (object: {
  metadata: { deletionTimestamp?: string }
  status?: { phase?: string }
}): string => (object.metadata.deletionTimestamp ? 'Terminating' : (object.status?.phase ?? ''))

const CLAIM_KEPT =
  'spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims'

/** More than none, and a quantity. */
function checkSize(out: FieldError[], field: string, size: string): void {
  const before = out.length
  checkQuantity(out, field, 'storage', size)
  if (out.length > before || compareQuantities(size, '0') > 0) return
  out.push(invalid(field, size, 'must be greater than zero'))
}

function checkVolumeMode(out: FieldError[], mode: string | undefined): void {
  if (mode !== undefined) checkOneOf(out, 'spec.volumeMode', mode, ['Block', 'Filesystem'])
}

/** What a volume is filled from. */
function checkOrigin(
  out: FieldError[],
  name: string,
  origin: { apiGroup?: string; kind?: string; name?: string } | undefined,
): void {
  if (!origin) return
  const field = `spec.${name}`
  if (!origin.name) out.push(required(`${field}.name`))
  if (!origin.kind) out.push(required(`${field}.kind`))
  if (origin.apiGroup || origin.kind === 'PersistentVolumeClaim') return
  const detail = "must be 'PersistentVolumeClaim' when referencing the default apiGroup"
  out.push(invalid(field, origin.kind ?? '', detail))
}

type Claim = PersistentVolumeClaim

/** A bound claim may grow, may shrink to what it has, and may change its class of attributes. */
function claimUpdateProblems(next: Claim, previous: Claim): readonly FieldError[] {
  const out: FieldError[] = []
  const before = previous.spec ?? {}
  const after = next.spec ?? {}
  const masked = structuredClone(after)
  const old = structuredClone(before)
  if (!before.volumeName) old.volumeName = masked.volumeName = after.volumeName ?? ''
  if (before.storageClassName === undefined && !before.volumeName) delete masked.storageClassName
  const storage = before.resources?.requests?.['storage']
  if (next.status?.phase === 'Bound') {
    if (masked.resources?.requests && storage !== undefined) masked.resources.requests['storage'] = storage
    delete masked.volumeAttributesClassName
    delete old.volumeAttributesClassName
  }
  if (!semanticallyEqual(masked, old)) out.push(forbidden('spec', CLAIM_KEPT))
  checkShrinking(out, next, storage)
  checkImmutable(out, 'volumeMode', after.volumeMode, before.volumeMode)
  if (before.volumeAttributesClassName && after.volumeAttributesClassName === undefined) {
    const detail = 'update from non-nil value to nil is forbidden'
    out.push(forbidden('spec.volumeAttributesClassName', detail))
  }
  return out
}

function checkShrinking(out: FieldError[], { spec, status }: Claim, before: string | undefined): void {
  const size = spec?.resources?.requests?.['storage']
  if (!isQuantity(size) || !isQuantity(before) || compareQuantities(size, before) >= 0) return
  const has = status?.capacity?.['storage'] ?? '0'
  if (isQuantity(has) && compareQuantities(size, has) >= 0) return
  out.push(forbidden('spec.resources.requests.storage', 'field can not be less than status.capacity'))
}

export const claims: Strategy = defineKind({
  group: '',
  resource: 'persistentvolumeclaims',
  hasStatus: true,
  hasGeneration: false,
  applyDefaults(object) {
    const { spec } = asKind<PersistentVolumeClaim>(object)
    if (spec) setDefault(spec, 'volumeMode', 'Filesystem')
  },
  prepareForCreate: object => {
    object['status'] = { phase: 'Pending' }
  },
  validate(object) {
    const { spec } = asKind<PersistentVolumeClaim>(object)
    const out: FieldError[] = []
    checkModes(out, spec?.accessModes)
    const storage = spec?.resources?.requests?.['storage']
    if (storage === undefined) out.push(required(keyed('spec.resources', 'storage')))
    else checkSize(out, keyed('spec.resources', 'storage'), storage)
    checkSelector(out, 'spec.selector', spec?.selector)
    checkVolumeMode(out, spec?.volumeMode)
    for (const name of ['dataSource', 'dataSourceRef'] as const) checkOrigin(out, name, spec?.[name])
    if (spec?.storageClassName) {
      checkEach(
        out,
        'spec.storageClassName',
        spec.storageClassName,
        checkDns1123Subdomain(spec.storageClassName),
      )
    }
    return out
  },
  validateUpdate: (next, previous) =>
    claimUpdateProblems(asKind<PersistentVolumeClaim>(next), asKind<PersistentVolumeClaim>(previous)),
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

/** Where the volume can be reached from, and what may happen to a host's own root. */
function checkPlace(out: FieldError[], spec: VolumeSpec): void {
  checkVolumeMode(out, spec.volumeMode)
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
    checkModes(out, spec.accessModes)
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
    if (!semanticallyEqual(sourcesOf(after), sourcesOf(before))) {
      out.push(
        forbidden('spec.persistentvolumesource', 'spec.persistentvolumesource is immutable after creation'),
      )
    }
    checkImmutable(out, 'spec.volumeMode', after.volumeMode, before.volumeMode)
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

export const storageClasses: Strategy = defineKind({
  group: 'storage.k8s.io',
  resource: 'storageclasses',
  applyDefaults(object) {
    const item = asKind<StorageClass>(object)
    setDefault(item, 'reclaimPolicy', 'Delete')
    setDefault(item, 'volumeBindingMode', 'Immediate')
  },
  validate(object) {
    const out: FieldError[] = []
    const { provisioner, reclaimPolicy, volumeBindingMode } = asKind<StorageClass>(object)
    if (!provisioner) out.push(required('provisioner'))
    checkOneOf(out, 'reclaimPolicy', reclaimPolicy, ['Delete', 'Retain'])
    checkOneOf(out, 'volumeBindingMode', volumeBindingMode, ['Immediate', 'WaitForFirstConsumer'])
    return out
  },
  validateUpdate(next, previous) {
    const out: FieldError[] = []
    const after = asKind<StorageClass>(next)
    const before = asKind<StorageClass>(previous)
    for (const name of ['parameters', 'provisioner', 'reclaimPolicy'] as const) {
      if (semanticallyEqual(after[name], before[name])) continue
      out.push(forbidden(name, `updates to ${name} are forbidden.`))
    }
    checkImmutable(out, 'volumeBindingMode', after.volumeBindingMode, before.volumeBindingMode)
    return out
  },
  table: tableOf<StorageClass>(
    [
      nameColumn,
      column('Provisioner', 'Who makes volumes of the class'),
      column('ReclaimPolicy', 'What happens when the claim goes'),
      column('VolumeBindingMode', 'When a volume is chosen'),
      column('AllowVolumeExpansion', 'Whether volumes may grow'),
      ageColumn,
    ],
    (item, nowMs) => [
      `${item.metadata.name ?? ''}${item.metadata.annotations?.[DEFAULT_CLASS] === 'true' ? ' (default)' : ''}`,
      item.provisioner || UNKNOWN,
      item.reclaimPolicy ?? 'Delete',
      item.volumeBindingMode ?? 'Immediate',
      item.allowVolumeExpansion ?? false,
      since(item.metadata.creationTimestamp, nowMs),
    ],
  ),
})
