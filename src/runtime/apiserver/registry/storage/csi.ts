/** Drivers of storage and what they attach. */
import type { FieldError } from '../../../../kube/field-error.ts'
import type { CSIDriver, CSINode, VolumeAttachment } from '../../../../kube/types.ts'
import { ageColumn, column, nameColumn, since, tableOf, UNSET } from '../columns.ts'
import { defineKind, keepMetadata } from '../kind.ts'
import type { Strategy } from '../strategy.ts'
import { asKind, setDefault } from '../support.ts'
import { checkImmutable } from '../validation/workload.ts'
import {
  checkAttachment,
  checkDriver,
  checkDriverUpdate,
  checkNewAttachment,
  checkNodeDrivers,
  checkNodeDriversKept,
} from './csi-rules.ts'

const GROUP = 'storage.k8s.io'

export const csiDrivers: Strategy = defineKind({
  group: GROUP,
  resource: 'csidrivers',
  hasGeneration: true,
  allowUnconditionalUpdate: false,
  applyDefaults(object) {
    const { spec } = asKind<CSIDriver>(object)
    if (!spec) return
    setDefault(spec, 'attachRequired', true)
    setDefault(spec, 'podInfoOnMount', false)
    setDefault(spec, 'storageCapacity', false)
    setDefault(spec, 'fsGroupPolicy', 'ReadWriteOnceWithFSType')
    setDefault(spec, 'requiresRepublish', false)
    setDefault(spec, 'seLinuxMount', false)
    if ((spec.volumeLifecycleModes ?? []).length === 0) spec.volumeLifecycleModes = ['Persistent']
  },
  validate: object => checkDriver(asKind<CSIDriver>(object).spec),
  validateUpdate: (next, previous) =>
    checkDriverUpdate(asKind<CSIDriver>(next).spec, asKind<CSIDriver>(previous).spec),
  table: tableOf<CSIDriver>(
    [
      nameColumn,
      column('AttachRequired', 'Whether volumes are attached before they are mounted', 'boolean'),
      column('PodInfoOnMount', 'Whether the driver is told of the pod', 'boolean'),
      column('StorageCapacity', 'Whether the driver says how much room there is', 'boolean'),
      column('TokenRequests', 'Audiences of the tokens that the driver gets'),
      column('RequiresRepublish', 'Whether mounts are refreshed', 'boolean'),
      column('Modes', 'Kinds of volumes that the driver makes'),
      ageColumn,
    ],
    ({ metadata, spec }, nowMs) => [
      metadata.name ?? '',
      spec?.attachRequired ?? true,
      spec?.podInfoOnMount ?? false,
      spec?.storageCapacity ?? false,
      (spec?.tokenRequests ?? []).map(item => item.audience ?? '').join(',') || UNSET,
      spec?.requiresRepublish ?? false,
      (spec?.volumeLifecycleModes ?? []).join(',') || UNSET,
      since(metadata.creationTimestamp, nowMs),
    ],
  ),
})

export const csiNodes: Strategy = defineKind({
  group: GROUP,
  resource: 'csinodes',
  hasGeneration: false,
  allowUnconditionalUpdate: false,
  validate: object => checkNodeDrivers(asKind<CSINode>(object).spec?.drivers ?? []),
  validateUpdate: (next, previous) =>
    checkNodeDriversKept(
      asKind<CSINode>(next).spec?.drivers ?? [],
      asKind<CSINode>(previous).spec?.drivers ?? [],
    ),
  table: tableOf<CSINode>(
    [nameColumn, column('Drivers', 'How many drivers run on the node', 'integer'), ageColumn],
    ({ metadata, spec }, nowMs) => [
      metadata.name ?? '',
      spec?.drivers?.length ?? 0,
      since(metadata.creationTimestamp, nowMs),
    ],
  ),
})

export const volumeAttachments: Strategy = defineKind({
  group: GROUP,
  resource: 'volumeattachments',
  hasStatus: true,
  prepareForStatusUpdate: keepMetadata,
  /** It is said of a new one, too, that it is not attached. */
  prepareForCreate(object) {
    asKind<VolumeAttachment>(object).status = { attached: false }
  },
  hasGeneration: false,
  allowUnconditionalUpdate: false,
  validate: object => checkAttachment(asKind<VolumeAttachment>(object)),
  validateCreate: object => checkNewAttachment(asKind<VolumeAttachment>(object)),
  validateStatusUpdate: next => checkAttachment(asKind<VolumeAttachment>(next)),
  validateUpdate(next, previous) {
    const out: FieldError[] = []
    const before = asKind<VolumeAttachment>(previous).spec
    checkImmutable(out, 'spec', asKind<VolumeAttachment>(next).spec, before)
    return out
  },
  table: tableOf<VolumeAttachment>(
    [
      nameColumn,
      column('Attacher', 'Driver that attaches'),
      column('PV', 'Volume that is attached'),
      column('Node', 'Node that it is attached to'),
      column('Attached', 'Whether it is attached', 'boolean'),
      ageColumn,
    ],
    ({ metadata, spec, status }, nowMs) => [
      metadata.name ?? '',
      spec?.attacher ?? '',
      spec?.source?.persistentVolumeName ?? '',
      spec?.nodeName ?? '',
      status?.attached ?? false,
      since(metadata.creationTimestamp, nowMs),
    ],
  ),
})
