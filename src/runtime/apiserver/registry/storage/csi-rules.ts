/** What holds for drivers of storage, for what a node tells of them, and for attachments of volumes. */
import {
  duplicate,
  type FieldError,
  forbidden,
  invalid,
  notSupported,
  required,
  tooLong,
} from '../../../../kube/field-error.ts'
import { checkDns1123Subdomain, checkQualifiedName } from '../../../../kube/names.ts'
import type { CSIDriver, CSINode, VolumeAttachment } from '../../../../kube/types.ts'
import { at, semanticallyEqual } from '../support.ts'
import { bytesOf, checkDriverName } from '../validation/drivers.ts'
import { checkEach, checkNonNegative, type Problems } from '../validation/meta.ts'
import { checkPersistentSources } from '../validation/volume-sources.ts'
import { checkImmutable, IMMUTABLE } from '../validation/workload.ts'

type DriverSpec = CSIDriver['spec']
type AttachmentSpec = VolumeAttachment['spec']
type NodeDriver = NonNullable<NonNullable<CSINode['spec']>['drivers']>[number]

const GROUP_POLICIES = ['File', 'None', 'ReadWriteOnceWithFSType']
const MODES = ['Persistent', 'Ephemeral']
const TOKEN_SECONDS_MIN = 600
const TOKEN_SECONDS_MAX = 2 ** 32
const PERIOD_SECONDS_MIN = 10
const NODE_ID_MAX = 192
const METADATA_BYTES_MAX = 256 * 1024
const MESSAGE_BYTES_MAX = 1024
const INT32_MAX = 2 ** 31 - 1

export function checkDriver(spec: DriverSpec): readonly FieldError[] {
  const out: FieldError[] = []
  const policy = spec?.fsGroupPolicy
  if (policy !== undefined && !GROUP_POLICIES.includes(policy)) {
    out.push(notSupported('spec.fsGroupPolicy', policy, GROUP_POLICIES))
  }
  checkTokens(out, spec?.tokenRequests ?? [])
  for (const mode of spec?.volumeLifecycleModes ?? []) {
    if (!MODES.includes(mode)) out.push(notSupported('spec.volumeLifecycleModes', mode, MODES))
  }
  const period = spec?.nodeAllocatableUpdatePeriodSeconds
  if (period !== undefined && period < PERIOD_SECONDS_MIN) {
    const detail = `must be greater than or equal to ${PERIOD_SECONDS_MIN} seconds`
    out.push(invalid('spec.nodeAllocatableUpdatePeriodSeconds', period, detail))
  }
  return out
}

function checkTokens(out: Problems, requests: NonNullable<NonNullable<DriverSpec>['tokenRequests']>): void {
  const audiences = new Set<string>()
  for (const [index, { audience, expirationSeconds: seconds }] of requests.entries()) {
    const field = at('spec.tokenRequests', index)
    if (audiences.has(audience)) {
      out.push(duplicate(`${field}.audience`, audience))
      continue
    }
    audiences.add(audience)
    if (seconds === undefined) continue
    if (seconds < TOKEN_SECONDS_MIN) {
      const detail = 'may not specify a duration less than 10 minutes'
      out.push(invalid(`${field}.expirationSeconds`, seconds, detail))
    }
    if (seconds > TOKEN_SECONDS_MAX) {
      const detail = 'may not specify a duration larger than 2^32 seconds'
      out.push(invalid(`${field}.expirationSeconds`, seconds, detail))
    }
  }
}

export function checkDriverUpdate(next: DriverSpec, previous: DriverSpec): readonly FieldError[] {
  const out: FieldError[] = []
  checkImmutable(out, 'spec.attachedRequired', next?.attachRequired, previous?.attachRequired)
  const field = 'spec.volumeLifecycleModes'
  checkImmutable(out, field, next?.volumeLifecycleModes, previous?.volumeLifecycleModes)
  return out
}

export function checkNodeDrivers(drivers: readonly NodeDriver[]): readonly FieldError[] {
  const out: FieldError[] = []
  const names = new Set<string>()
  for (const [index, driver] of drivers.entries()) {
    const field = at('spec.drivers', index)
    const name = driver.name ?? ''
    checkDriverName(out, `${field}.name`, name)
    const id = driver.nodeID ?? ''
    if (id === '') out.push(required(`${field}.nodeID`))
    if (id.length > NODE_ID_MAX) {
      out.push(invalid(`${field}.nodeID`, id, `must be ${NODE_ID_MAX} characters or less`))
    }
    checkNonNegative(out, `${field}.allocatable.count`, driver.allocatable?.count)
    if (names.has(name)) out.push(duplicate(`${field}.name`, name))
    names.add(name)
    checkTopologyKeys(out, field, driver.topologyKeys ?? [])
  }
  return out
}

function checkTopologyKeys(out: Problems, field: string, keys: readonly string[]): void {
  for (const [index, key] of keys.entries()) {
    if (key === '') out.push(required(field))
    if (keys.indexOf(key) < index) out.push(duplicate(field, key))
    checkEach(out, field, key, checkQualifiedName(key))
  }
}

/** A driver that stays keeps everything but how many volumes it can attach. */
export function checkNodeDriversKept(
  next: readonly NodeDriver[],
  previous: readonly NodeDriver[],
): readonly FieldError[] {
  const out: FieldError[] = []
  for (const before of previous) {
    const after = next.find(driver => driver.name === before.name)
    if (after === undefined || semanticallyEqual(shown(after), shown(before))) continue
    out.push(invalid('spec.drivers', shown(after), IMMUTABLE))
  }
  return out
}

/** A driver as upstream's message shows it. */
const shown = ({ name, nodeID, topologyKeys }: NodeDriver): unknown => ({
  Name: name,
  NodeID: nodeID,
  TopologyKeys: topologyKeys ?? null,
  Allocatable: null,
})

export function checkAttachment({ spec, status }: VolumeAttachment): readonly FieldError[] {
  const out: FieldError[] = []
  if (!spec?.attacher) out.push(required('spec.attacher'))
  checkSource(out, 'spec.source', spec?.source)
  const node = spec?.nodeName ?? ''
  checkEach(out, 'spec.nodeName', node, checkDns1123Subdomain(node))
  if (bytesOf(status?.attachmentMetadata) > METADATA_BYTES_MAX) {
    out.push(tooLong('status.attachmentMetadata', METADATA_BYTES_MAX))
  }
  for (const name of ['attachError', 'detachError'] as const) {
    const error = status?.[name]
    const field = `status.${name}`
    if (Buffer.byteLength(error?.message ?? '') > MESSAGE_BYTES_MAX) {
      out.push(tooLong(`${field}.message`, METADATA_BYTES_MAX))
    }
    const code = error?.errorCode ?? 0
    if (code < 0) {
      out.push(invalid(`${field}.errorCode`, code, `must be between 0 and ${INT32_MAX}, inclusive`))
    }
  }
  return out
}

function checkSource(
  out: Problems,
  field: string,
  source: NonNullable<AttachmentSpec>['source'] | undefined,
): void {
  const { persistentVolumeName: name, inlineVolumeSpec: inline } = source ?? {}
  const detail = 'must specify exactly one of inlineVolumeSpec and persistentVolumeName'
  if (name === undefined && inline === undefined) out.push(required(field, detail))
  else if (name !== undefined && inline !== undefined) out.push(forbidden(field, detail))
  else if (inline !== undefined) checkPersistentSources(out, `${field}.inlineVolumeSpec`, inline)
  else if (name === '') {
    out.push(required(`${field}.persistentVolumeName`, 'must specify non empty persistentVolumeName'))
  }
}

/** What only new ones must satisfy: older ones may name an attacher that is no driver. */
export function checkNewAttachment({ spec }: VolumeAttachment): readonly FieldError[] {
  const out: FieldError[] = []
  checkDriverName(out, 'spec.attacher', spec?.attacher ?? '')
  const name = spec?.source?.persistentVolumeName
  if (name !== undefined) {
    checkEach(out, 'spec.source.persistentVolumeName', name, checkDns1123Subdomain(name))
  }
  return out
}
