/** Who owns which fields after a request: metadata.managedFields of what creates, updates and patches write. */
import { type ApplySchema, applySchema } from '../../../kube/apply/apply-schema.ts'
import { type FieldSet, setOf } from '../../../kube/apply/field-set.ts'
import { managerName } from '../../../kube/apply/manager-name.ts'
import type { ManagerOperation } from '../../../kube/apply/managers.ts'
import type { ApplyTarget } from '../../../kube/apply/target.ts'
import { trackCreate, trackUpdate } from '../../../kube/apply/track-update.ts'
import { equalJson } from '../../../kube/equality.ts'
import type { Json, KubeObject } from '../../../kube/object.ts'
import { formatTime } from '../../../kube/time.ts'
import type { ApiContext } from '../context.ts'
import { fromStorage, toStorage } from '../storage/conversion.ts'
import type { ValueCodec } from '../storage/custom-form.ts'
import type { ServedResource } from '../storage/served-resource.ts'
import type { RequestScope } from './scope.ts'
import { Unsettled } from './settled.ts'

/** Both get objects in the storage version and return the entries to store; undefined for none. */
export interface FieldTracker {
  created(object: KubeObject): Json[] | undefined
  updated(previous: KubeObject, next: KubeObject): Json[] | undefined
}

export interface Tracking {
  /** As the request names it; the User-Agent otherwise. */
  readonly fieldManager: string
  readonly operation: ManagerOperation
  /** The subresource that the entries name. */
  readonly subresource: string
}

/** The tracker of an ordinary write. */
export function fieldTracker(
  scope: RequestScope,
  fieldManager: string,
  subresource = scope.info.subresource,
): FieldTracker {
  const { resource } = scope
  const served = (object: KubeObject): KubeObject =>
    resource.servesStoredBytes ? object : fromStorage(resource.info, object)
  const target = () => applyTarget(scope, { fieldManager, operation: 'Update', subresource })
  return {
    created: object => trackCreate(target(), served(object)),
    updated(previous, next) {
      const options = { takesEntries: subresource === '' }
      return trackUpdate(target(), served(previous), served(next), options)
    },
  }
}

export function applyTarget(scope: RequestScope, tracking: Tracking): ApplyTarget {
  const { context, resource } = scope
  const manager = managerName(tracking.fieldManager, scope.headers['user-agent'] ?? '')
  const { operation, subresource } = tracking
  return {
    schema: applySchemaOf(context, resource),
    identity: { manager, operation, apiVersion: resource.apiVersion, subresource },
    ignored: ignoredFields(resource, subresource),
    now: formatTime(context.clock.now()),
    version(apiVersion) {
      const other = siblingVersion(scope, apiVersion)
      if (other === undefined) return undefined
      return {
        schema: applySchemaOf(context, other),
        convert: object => converted(scope, object as KubeObject, resource, other),
        revert: object => converted(scope, object as KubeObject, other, resource),
      }
    },
  }
}

/** How server-side apply sees the kind. */
export const applySchemaOf = (context: ApiContext, { custom, info }: ServedResource): ApplySchema =>
  custom?.applySchema ?? applySchema(context.model, info.typeName)

function converted(
  scope: RequestScope,
  object: KubeObject,
  from: ServedResource,
  to: ServedResource,
): KubeObject {
  if (to.custom === undefined) return fromStorage(to.info, toStorage(from.info, object))
  const { codec } = to.custom
  if (!codec.asksWebhook) return { ...object, apiVersion: to.apiVersion }
  return convertedByWebhook(scope, object, to.apiVersion, codec)
}

/** What webhooks have answered in the course of one request. */
const answers = new WeakMap<RequestScope, Map<string, KubeObject>>()

/** Throws Unsettled while the webhook has yet to be asked. The object may lack what says which it is. */
function convertedByWebhook(
  scope: RequestScope,
  object: KubeObject,
  apiVersion: string,
  codec: ValueCodec,
): KubeObject {
  const known = answers.get(scope) ?? new Map<string, KubeObject>()
  answers.set(scope, known)
  const { metadata = {} } = object
  const { name, namespace } = scope.info
  const asked = { ...object, metadata: { ...metadata, name, ...(namespace === '' ? {} : { namespace }) } }
  const key = `${apiVersion} ${JSON.stringify(asked)}`
  const answer = known.get(key)
  if (answer === undefined) {
    throw new Unsettled(codec.fromVersion(asked).then(found => known.set(key, found)))
  }
  return { ...answer, metadata }
}

/** Another version of the same stored objects. */
function siblingVersion({ context, resource }: RequestScope, apiVersion: string): ServedResource | undefined {
  const [first = '', second] = apiVersion.split('/')
  const [group, version] = second === undefined ? ['', first] : [first, second]
  const other = context.resources.find(group, version, resource.info.resource)
  return other?.prefix === resource.prefix ? other : undefined
}

/** What writers of a status may not change beside the spec. */
const statusIgnores: Readonly<Record<string, readonly (readonly string[])[]>> = {
  '/pods': [
    ['f:metadata', 'f:deletionTimestamp'],
    ['f:metadata', 'f:ownerReferences'],
  ],
  'apps/deployments': [['f:metadata', 'f:labels']],
  'admissionregistration.k8s.io/validatingadmissionpolicies': [['f:metadata']],
  'apiextensions.k8s.io/customresourcedefinitions': [['f:metadata']],
  'apiregistration.k8s.io/apiservices': [['f:metadata']],
  'flowcontrol.apiserver.k8s.io/flowschemas': [['f:metadata']],
  'flowcontrol.apiserver.k8s.io/prioritylevelconfigurations': [['f:metadata']],
  'networking.k8s.io/servicecidrs': [['f:metadata']],
  'resource.k8s.io/resourceclaims': [['f:metadata']],
}
const nothing = setOf()
const statusOnly = setOf(['f:status'])
const customStatusIgnores = setOf(['f:metadata'], ['f:spec'])
const known = new Map<string, FieldSet>()

/** Fields that the request cannot change, so that nobody comes to own them through it. */
function ignoredFields({ info, custom }: ServedResource, subresource: string): FieldSet {
  if (subresource === 'scale') return nothing
  if (subresource === '') {
    return info.subresources.some(one => one.name === 'status') ? statusOnly : nothing
  }
  if (custom !== undefined) return customStatusIgnores
  const id = `${info.group}/${info.resource}`
  const key = `${id}/${subresource}`
  let ignored = known.get(key)
  if (ignored === undefined) {
    ignored = subresourceIgnores(id, subresource)
    known.set(key, ignored)
  }
  return ignored
}

function subresourceIgnores(id: string, subresource: string): FieldSet {
  if (subresource === 'status') return setOf(['f:spec'], ...(statusIgnores[id] ?? []))
  if (subresource === 'approval') return setOf(['f:metadata'], ['f:spec'])
  return setOf(['f:metadata'], ['f:status'])
}

/** Puts the entries into an object. */
export function setManagers(object: KubeObject, entries: Json[] | undefined): void {
  if (entries === undefined || entries.length === 0) delete object.metadata.managedFields
  else object.metadata.managedFields = entries
}

/** True when the entries differ in nothing but their times. */
export function sameManagers(a: Json[] | undefined, b: Json[] | undefined): boolean {
  if (a === b) return true
  return equalJson((a ?? []).map(withoutTime), (b ?? []).map(withoutTime))
}

function withoutTime(entry: Json): Json {
  const { time: _time, ...rest } = entry as { [key: string]: Json }
  return rest
}
