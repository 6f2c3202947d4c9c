/** The versions in which admission can see an object: the one that was asked for, and all others of the same store. */
import { must } from '../../../base/assert.ts'
import type { GroupVersionKind } from '../../../kube/model-types.ts'
import type { KubeObject } from '../../../kube/object.ts'
import { applyModelDefaults, decodeObject } from '../../../kube/schema.ts'
import { internalError, noSuchPath } from '../../../kube/status.ts'
import type { ApiContext } from '../context.ts'
import type { AdmissionForms, AdmissionRequest, ResourceForm } from '../ports.ts'
import { fromStorage, toStorage } from '../storage/conversion.ts'
import { apiVersionOf, type ServedResource } from '../storage/served-resource.ts'
import { typeNameOf } from '../storage/type-names.ts'
import type { Caller } from './commit.ts'

export function createAdmissionForms(context: ApiContext, subject: AdmissionSubject): AdmissionForms {
  const { resource, subresource } = subject
  const foreign = foreignKind(subject)
  const asked = subject.caller.origin?.resource
  const requested = asked?.prefix === resource.prefix ? asked : resource
  const servedOf = (form: ResourceForm): ServedResource =>
    found(context.resources.find(form.group, form.version, form.resource))
  let equivalents: readonly ResourceForm[] | undefined
  return {
    requested: formOf(requested, foreign),
    equivalents() {
      equivalents ??= context.resources.all
        .filter(one => one.prefix === resource.prefix && hasSubresource(one, subresource))
        .map(one => formOf(one, foreign))
      return equivalents
    },
    show: (object, form) => (foreign === null ? shown(object, servedOf(form)) : object),
    async take(patched, form) {
      const target = must(subject.object, 'only what is sent can be changed')
      const served = servedOf(form)
      const object = decoded(context, served, form.kind, patched)
      const next = foreign === null ? await internal(object, served, resource) : object
      if (foreign === null) resource.strategy.applyDefaults?.(next)
      replaceWith(target, next)
    },
  }
}

/** The kind of the body where it is not the resource's own (a Scale, a Binding). */
function foreignKind({ resource, object, oldObject }: AdmissionSubject): GroupVersionKind | null {
  const sample = object ?? oldObject
  if (sample === null || sample.kind === resource.info.kind) return null
  const [first = '', second] = sample.apiVersion.split('/')
  const kind = sample.kind
  return second === undefined ? { group: '', version: first, kind } : { group: first, version: second, kind }
}

function formOf({ info }: ServedResource, foreign: GroupVersionKind | null): ResourceForm {
  const { group, version, resource, kind } = info
  return { group, version, resource, kind: foreign ?? { group, version, kind } }
}

const hasSubresource = ({ info }: ServedResource, subresource: string): boolean =>
  subresource === '' || info.subresources.some(one => one.name === subresource)

/** A definition may go while a request for its objects is under way. */
function found(served: ServedResource | undefined): ServedResource {
  if (served === undefined) throw noSuchPath()
  return served
}

function shown(object: KubeObject, served: ServedResource): KubeObject | Promise<KubeObject> {
  if (served.custom !== undefined) return served.custom.codec.fromVersion(object)
  return served.servesStoredBytes ? object : fromStorage(served.info, object)
}

/** In the version that the request's objects are worked on in. */
function internal(
  object: KubeObject,
  served: ServedResource,
  resource: ServedResource,
): KubeObject | Promise<KubeObject> {
  if (resource.custom !== undefined) return resource.custom.codec.fromVersion(object)
  return served.servesStoredBytes ? object : toStorage(served.info, object)
}

function decoded(
  context: ApiContext,
  served: ServedResource,
  kind: GroupVersionKind,
  patched: unknown,
): KubeObject {
  const { model } = context
  const typeName = typeNameOf(model, kind) ?? served.info.typeName
  const isCustom = served.custom !== undefined && kind.kind === served.info.kind
  const result = isCustom
    ? served.custom.codec.decode(patched as KubeObject, 'ignore')
    : decodeObject(model, typeName, patched, 'ignore')
  const [wrong] = result.typeErrors
  if (wrong !== undefined) throw internalError(new Error(wrong))
  const { metadata, ...rest } = result.object as KubeObject
  const head = { apiVersion: apiVersionOf(kind.group, kind.version), kind: kind.kind }
  const object: KubeObject = { ...rest, ...head, metadata: { ...metadata } }
  if (!isCustom) applyModelDefaults(model, typeName, object)
  return object
}

function replaceWith(target: KubeObject, next: KubeObject): void {
  const fields = target as Record<string, unknown>
  for (const field of Object.keys(fields)) delete fields[field]
  Object.assign(fields, next)
}

export interface AdmissionSubject {
  readonly operation: AdmissionRequest['operation']
  /** The stored form. */
  readonly resource: ServedResource
  readonly subresource: string
  readonly namespace: string
  readonly name: string
  readonly caller: Caller
  readonly object: KubeObject | null
  readonly oldObject: KubeObject | null
}
