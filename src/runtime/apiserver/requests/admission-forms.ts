/** The versions in which admission can see an object: the one that was asked for, and all others of the same store. */
import { must } from '../../../base/assert.ts'
import type { GroupVersionKind } from '../../../kube/model-types.ts'
import type { KubeObject } from '../../../kube/object.ts'
import { applyModelDefaults, decodeObject } from '../../../kube/schema.ts'
import { internalError } from '../../../kube/status.ts'
import type { ApiContext } from '../context.ts'
import type { AdmissionForms, ResourceForm } from '../ports.ts'
import { fromStorage, toStorage } from '../storage/conversion.ts'
import { apiVersionOf, type ServedResource } from '../storage/served-resource.ts'
import { typeNameOf } from '../storage/type-names.ts'
import type { AdmissionSubject } from './admit.ts'

export function createAdmissionForms(context: ApiContext, subject: AdmissionSubject): AdmissionForms {
  const { resource, subresource } = subject
  const foreign = foreignKind(subject)
  const asked = subject.caller.origin?.resource
  const requested = asked?.prefix === resource.prefix ? asked : resource
  const servedOf = (form: ResourceForm): ServedResource =>
    must(context.resources.find(form.group, form.version, form.resource), 'a form is a served resource')
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
    take(patched, form) {
      const target = must(subject.object, 'only what is sent can be changed')
      const served = servedOf(form)
      const object = decoded(context, served, form.kind, patched)
      const next = foreign === null && !served.servesStoredBytes ? toStorage(served.info, object) : object
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

const shown = (object: KubeObject, served: ServedResource): KubeObject =>
  served.servesStoredBytes ? object : fromStorage(served.info, object)

function decoded(
  context: ApiContext,
  served: ServedResource,
  kind: GroupVersionKind,
  patched: unknown,
): KubeObject {
  const { model } = context
  const typeName = typeNameOf(model, kind) ?? served.info.typeName
  const result = decodeObject(model, typeName, patched, 'ignore')
  const [wrong] = result.typeErrors
  if (wrong !== undefined) throw internalError(new Error(wrong))
  const { metadata, ...rest } = result.object as KubeObject
  const head = { apiVersion: apiVersionOf(kind.group, kind.version), kind: kind.kind }
  const object: KubeObject = { ...rest, ...head, metadata: { ...metadata } }
  applyModelDefaults(model, typeName, object)
  return object
}

function replaceWith(target: KubeObject, next: KubeObject): void {
  const fields = target as Record<string, unknown>
  for (const field of Object.keys(fields)) delete fields[field]
  Object.assign(fields, next)
}
