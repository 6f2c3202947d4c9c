/** The scale subresource: how many replicas a workload wants and has, in one shape for all workloads. */

import type { KubeResponse } from '../../../client/transport.ts'
import { applyConfiguration } from '../../../kube/apply/apply.ts'
import { invalid as invalidField } from '../../../kube/field-error.ts'
import { isMap } from '../../../kube/json-map.ts'
import { formatLabelSelector, requirementsOf } from '../../../kube/labels.ts'
import type { KubeObject } from '../../../kube/object.ts'
import { badRequest, internalError, invalid } from '../../../kube/status.ts'
import { simplePath, valueAt } from '../../../kube/structural-schema/json-path.ts'
import type { LabelSelector } from '../../../kube/types.ts'
import { mediaTypeOf } from '../negotiation/media-types.ts'
import { ageColumn, column, nameColumn, since, tableOf } from '../registry/columns.ts'
import { decodeValue } from '../storage/encoding.ts'
import type { ServedResource } from '../storage/served-resource.ts'
import { partialMetadata } from '../views/partial-metadata.ts'
import { renderTable } from '../views/table.ts'
import type { View } from '../views/view.ts'
import type { AdmissionSubject } from './admission-forms.ts'
import { admitMutating, admitValidating } from './admit.ts'
import { APPLY_TYPES, AppliedTracker, readConfiguration } from './apply-patch.ts'
import { callerOf, placeUnderName } from './create.ts'
import { decodeBody, decodeKind, internalResource } from './decode-body.ts'
import { applyTarget, type FieldTracker, fieldTracker } from './field-tracking.ts'
import { readEntry } from './get.ts'
import { patcherOf } from './patch.ts'
import { valueResponse } from './respond.ts'
import { negotiated, type RequestScope, viewOf } from './scope.ts'
import { settled } from './settled.ts'
import { updateObject } from './update-object.ts'
import { parseApplyOptions, parseWriteOptions } from './write-options.ts'
import { servedObject } from './written-response.ts'

interface Scalable {
  selector?: LabelSelector | Record<string, string>
}

interface Scale extends KubeObject {
  spec: { replicas: number }
  status: { replicas: number; selector?: string }
}

const SCALE_KIND = { group: 'autoscaling', version: 'v1', kind: 'Scale' }
const SCALE_TYPE = 'io.k8s.api.autoscaling.v1.Scale'

function selectorText(object: KubeObject): string {
  const { selector } = (object['spec'] ?? {}) as Scalable
  if (selector === undefined) return ''
  const isPlain = object.kind === 'ReplicationController'
  const full = isPlain ? { matchLabels: selector as Record<string, string> } : (selector as LabelSelector)
  return formatLabelSelector(requirementsOf(full) ?? [])
}

/** Where a kind keeps what its scale says. */
interface Paths {
  readonly spec: readonly string[]
  readonly status: readonly string[]
  readonly selector: (object: KubeObject) => string
}

const workloadPaths: Paths = {
  spec: ['spec', 'replicas'],
  status: ['status', 'replicas'],
  selector: selectorText,
}

function pathsOf({ custom }: ServedResource): Paths {
  const scale = custom?.scale ?? null
  if (scale === null) return workloadPaths
  const selector = simplePath(scale.labelSelectorPath ?? '')
  return {
    spec: simplePath(scale.specReplicasPath) ?? [],
    status: simplePath(scale.statusReplicasPath) ?? [],
    selector: object => (selector === null ? '' : String(valueAt(object, selector) ?? '')),
  }
}

const numberAt = (object: KubeObject, path: readonly string[]): number => {
  const value = valueAt(object, path)
  return typeof value === 'number' ? value : 0
}

/** The Scale of an object. */
function scaleOf(resource: ServedResource, object: KubeObject): Scale {
  const paths = pathsOf(resource)
  const { name = '', namespace, uid, resourceVersion, creationTimestamp } = object.metadata
  const selector = paths.selector(object)
  return {
    kind: 'Scale',
    apiVersion: 'autoscaling/v1',
    metadata: {
      name,
      ...(namespace === undefined ? {} : { namespace }),
      ...(uid === undefined ? {} : { uid }),
      ...(resourceVersion === undefined ? {} : { resourceVersion }),
      ...(creationTimestamp === undefined ? {} : { creationTimestamp }),
    },
    spec: { replicas: numberAt(object, paths.spec) },
    status: { replicas: numberAt(object, paths.status), ...(selector === '' ? {} : { selector }) },
  }
}

const scaleTable = tableOf<Scale>(
  [
    nameColumn,
    column('Desired', 'Replicas wanted', 'integer'),
    column('Available', 'Replicas that exist', 'integer'),
    ageColumn,
  ],
  ({ metadata, spec, status }, nowMs) => [
    metadata.name,
    spec.replicas,
    status.replicas,
    since(metadata.creationTimestamp, nowMs),
  ],
)

function scaleResponse(scale: Scale, { form, include, nowMs, encoding }: View): KubeResponse {
  if (form === 'object') return valueResponse(200, scale, encoding)
  if (form === 'partial-metadata') return valueResponse(200, partialMetadata(scale), encoding)
  const { resourceVersion } = scale.metadata
  const table = renderTable([scale], { resourceVersion }, { spec: scaleTable, include, nowMs })
  return valueResponse(200, table, encoding)
}

export async function getScale(scope: RequestScope): Promise<KubeResponse> {
  const view = viewOf(scope, negotiated(scope))
  const kv = await readEntry(scope)
  const object = decodeValue(internalResource(scope), kv)
  const { scale } = scope.resource.custom ?? { scale: null }
  if (scale !== null && valueAt(object, pathsOf(scope.resource).spec) === undefined) {
    throw internalError(
      new Error(`the spec replicas field ${JSON.stringify(scale.specReplicasPath)} does not exist`),
    )
  }
  return scaleResponse(scaleOf(scope.resource, object), view)
}

export async function updateScale(scope: RequestScope): Promise<KubeResponse> {
  const options = parseWriteOptions(scope.query, 'UpdateOptions')
  const sent = decodeBody(scope, { fieldValidation: options.fieldValidation }) as Scale
  placeUnderName(scope, sent)
  const tracker = fieldTracker(scope, options.fieldManager)
  return change(scope, { dryRun: options.dryRun, tracker, next: () => sent })
}

export async function patchScale(scope: RequestScope): Promise<KubeResponse> {
  if (APPLY_TYPES.includes(mediaTypeOf(scope.headers['content-type']))) return applyScale(scope)
  const options = parseWriteOptions(scope.query, 'PatchOptions')
  const { fieldValidation } = options
  const patcher = patcherOf(scope, fieldValidation, SCALE_TYPE)
  return change(scope, {
    dryRun: options.dryRun,
    tracker: fieldTracker(scope, options.fieldManager),
    next(current) {
      const patched = patcher.apply(scaleOf(scope.resource, current)) as KubeObject
      const decode = { fieldValidation, patch: patcher.factsOf(patched) }
      return decodeKind(scope, patched, SCALE_KIND, SCALE_TYPE, decode) as Scale
    },
  })
}

/** Who applies a scale applies the replicas of the workload, as an owner of its own. */
async function applyScale(scope: RequestScope): Promise<KubeResponse> {
  const options = parseApplyOptions(scope.query)
  const config = readConfiguration(scope, SCALE_KIND, options.fieldValidation)
  const sent = decodeKind(scope, config, SCALE_KIND, SCALE_TYPE, options) as Scale
  const sets = (config['spec'] as Partial<Scale['spec']> | undefined)?.replicas !== undefined
  const tracker = new AppliedTracker()
  return change(scope, {
    dryRun: options.dryRun,
    tracker,
    next(current) {
      const result = applyConfiguration({
        target: applyTarget(scope, { ...options, operation: 'Apply', subresource: 'scale' }),
        live: servedObject(scope, current),
        config: {
          apiVersion: scope.resource.apiVersion,
          kind: scope.resource.info.kind,
          metadata: {},
          ...(sets ? placed({}, pathsOf(scope.resource).spec, sent.spec.replicas) : {}),
        },
        force: options.force,
      })
      tracker.entries = result.managedFields
      const replicas = numberAt(result.object, pathsOf(scope.resource).spec)
      return { ...sent, spec: { replicas } }
    },
  })
}

interface ScaleChange {
  readonly dryRun: boolean
  readonly tracker: FieldTracker
  readonly next: (current: KubeObject) => Scale
}

async function change(scope: RequestScope, { dryRun, tracker, next }: ScaleChange): Promise<KubeResponse> {
  const view = viewOf(scope, negotiated(scope))
  const { info } = scope
  let subject: AdmissionSubject | null = null
  const written = await updateObject(scope.context, {
    resource: internalResource(scope),
    namespace: info.namespace,
    name: info.name,
    subresource: '',
    caller: callerOf(scope, dryRun),
    tracker,
    isAdmitted: true,
    async change(current) {
      const scale = await settled(() => next(current))
      subject = admissionOf(scope, { dryRun, object: scale, oldObject: scaleOf(scope.resource, current) })
      await admitMutating(scope.context, subject)
      return scaled(scope, current, scale)
    },
    async admitResult(result) {
      if (subject === null) return
      await admitValidating(scope.context, { ...subject, object: scaleOf(scope.resource, result) })
    },
  })
  return scaleResponse(scaleOf(scope.resource, written.object), view)
}

function admissionOf(
  scope: RequestScope,
  { dryRun, object, oldObject }: Pick<AdmissionSubject, 'object' | 'oldObject'> & { dryRun: boolean },
): AdmissionSubject {
  const { subresource, namespace, name } = scope.info
  const caller = callerOf(scope, dryRun)
  const resource = internalResource(scope)
  return { operation: 'UPDATE', resource, subresource, namespace, name, caller, object, oldObject }
}

function scaled(scope: RequestScope, current: KubeObject, scale: Scale): KubeObject {
  const replicas: unknown = scale.spec?.replicas ?? 0
  if (typeof replicas !== 'number' || !Number.isInteger(replicas)) {
    throw badRequest('spec.replicas of a Scale is an integer')
  }
  if (replicas < 0) {
    const error = invalidField('spec.replicas', replicas, 'must be greater than or equal to 0')
    throw invalid(SCALE_KIND, scope.info.name, [error])
  }
  const { resourceVersion, uid } = scale.metadata
  const metadata = { ...current.metadata, resourceVersion: resourceVersion ?? '' }
  if (uid !== undefined) metadata.uid = uid
  return { ...placed(current, pathsOf(scope.resource).spec, replicas), metadata } as KubeObject
}

/** A copy with the value at the path. */
function placed(
  object: Readonly<Record<string, unknown>>,
  path: readonly string[],
  value: unknown,
): Record<string, unknown> {
  const [name = '', ...rest] = path
  const inside = isMap(object[name]) ? object[name] : {}
  return { ...object, [name]: rest.length === 0 ? value : placed(inside, rest, value) }
}
