/** Validation of ObjectMeta at creation and update, with upstream's rules, order and words. */
import { equalJson } from './equality.ts'
import { type FieldError, forbidden, invalid, required, tooLong } from './field-error.ts'
import {
  checkDns1123Label,
  checkDns1123Subdomain,
  checkLabelValue,
  checkPrefix,
  checkQualifiedName,
} from './names.ts'
import type { ObjectMeta, OwnerReference } from './object.ts'

const ANNOTATIONS_BYTES_MAX = 256 * 1024
const PATH = 'metadata'

/** A rule for names: what is wrong with one. */
export type NameRule = (name: string) => readonly string[]

export interface MetadataRules {
  readonly namespaced: boolean
  /** A DNS subdomain when absent. */
  readonly checkName?: NameRule
}

const at = (field: string): string => `${PATH}.${field}`

/** Problems of the metadata of an object that is to be created. */
export function validateObjectMeta(metadata: ObjectMeta, rules: MetadataRules): FieldError[] {
  const checkName = rules.checkName ?? checkDns1123Subdomain
  const errors: FieldError[] = []
  const { generateName = '', name = '' } = metadata
  if (generateName !== '') {
    const problems = checkPrefix(generateName, checkName)
    errors.push(...problems.map(problem => invalid(at('generateName'), generateName, problem)))
  }
  if (name === '') errors.push(required(at('name'), 'name or generateName is required'))
  else errors.push(...checkName(name).map(problem => invalid(at('name'), name, problem)))
  errors.push(...validateNamespace(metadata.namespace ?? '', rules.namespaced))
  errors.push(...validateCommon(metadata))
  return errors
}

function validateNamespace(namespace: string, namespaced: boolean): FieldError[] {
  if (!namespaced) {
    return namespace === '' ? [] : [forbidden(at('namespace'), 'not allowed on this type')]
  }
  if (namespace === '') return [required(at('namespace'))]
  return checkDns1123Label(namespace).map(problem => invalid(at('namespace'), namespace, problem))
}

/** What holds at creation and at update. */
function validateCommon(metadata: ObjectMeta): FieldError[] {
  const errors: FieldError[] = []
  if ((metadata.generation ?? 0) < 0) {
    errors.push(invalid(at('generation'), metadata.generation, 'must be greater than or equal to 0'))
  }
  errors.push(...validateLabels(metadata.labels, at('labels')))
  errors.push(...validateAnnotations(metadata.annotations, at('annotations')))
  errors.push(...validateOwnerReferences(metadata.ownerReferences ?? []))
  errors.push(...validateFinalizers(metadata.finalizers ?? []))
  return errors
}

/** Labels of any object or template; `path` is where they stand. */
export function validateLabels(labels: Record<string, string> | undefined, path: string): FieldError[] {
  return Object.entries(labels ?? {}).flatMap(([key, value]) => [
    ...checkQualifiedName(key).map(problem => invalid(path, key, problem)),
    ...checkLabelValue(value).map(problem => invalid(path, value, problem)),
  ])
}

export function validateAnnotations(
  annotations: Record<string, string> | undefined,
  path: string,
): FieldError[] {
  const errors: FieldError[] = []
  let bytes = 0
  for (const [key, value] of Object.entries(annotations ?? {})) {
    errors.push(...checkQualifiedName(key.toLowerCase()).map(problem => invalid(path, key, problem)))
    bytes += Buffer.byteLength(key) + Buffer.byteLength(value)
  }
  if (bytes > ANNOTATIONS_BYTES_MAX) errors.push(tooLong(path, ANNOTATIONS_BYTES_MAX))
  return errors
}

function validateOwnerReferences(references: readonly OwnerReference[]): FieldError[] {
  const errors = references.flatMap(reference => validateOwnerReference(reference, at('ownerReferences')))
  const controllers = references.filter(reference => reference.controller === true)
  const [first, second] = controllers
  if (first !== undefined && second !== undefined) {
    const problem =
      'Only one reference can have Controller set to true. ' +
      `Found "true" in references for ${first.kind}/${first.name} and ${second.kind}/${second.name}`
    errors.push(invalid(at('ownerReferences'), references, problem))
  }
  return errors
}

function validateOwnerReference(reference: OwnerReference, path: string): FieldError[] {
  const errors: FieldError[] = []
  const version = reference.apiVersion?.split('/').at(-1) ?? ''
  if (version === '') {
    errors.push(invalid(`${path}.apiVersion`, reference.apiVersion ?? '', 'version must not be empty'))
  }
  for (const field of ['kind', 'name', 'uid'] as const) {
    if ((reference[field] ?? '') !== '') continue
    errors.push(invalid(`${path}.${field}`, '', 'must not be empty'))
  }
  if (reference.kind === 'Event' && reference.apiVersion === 'v1') {
    errors.push(invalid(path, reference, '/v1, Kind=Event is disallowed from being an owner'))
  }
  return errors
}

function validateFinalizers(finalizers: readonly string[]): FieldError[] {
  const path = at('finalizers')
  const errors = finalizers.flatMap(finalizer =>
    checkQualifiedName(finalizer).map(problem => invalid(path, finalizer, problem)),
  )
  if (finalizers.includes('orphan') && finalizers.includes('foregroundDeletion')) {
    errors.push(invalid(path, finalizers, 'finalizer orphan and foregroundDeletion cannot be both set'))
  }
  return errors
}

/** Fields that keep what they got at creation, and those that only the server's deletion sets. */
const IMMUTABLE = [
  'name',
  'namespace',
  'uid',
  'creationTimestamp',
  'deletionTimestamp',
  'deletionGracePeriodSeconds',
] as const

/** Problems of the metadata of an update. Fill in what the client may leave out (uid, …) beforehand. */
export function validateObjectMetaUpdate(next: ObjectMeta, previous: ObjectMeta): FieldError[] {
  const errors: FieldError[] = []
  if (previous.deletionTimestamp !== undefined) {
    const added = (next.finalizers ?? []).filter(name => !(previous.finalizers ?? []).includes(name))
    if (added.length > 0) errors.push(forbidden(at('finalizers'), newFinalizers(added)))
  }
  if ((next.resourceVersion ?? '') === '') {
    errors.push(invalid(at('resourceVersion'), '', 'must be specified for an update'))
  }
  if ((next.generation ?? 0) < (previous.generation ?? 0)) {
    errors.push(invalid(at('generation'), next.generation ?? 0, 'must not be decremented'))
  }
  for (const field of IMMUTABLE) {
    if (!equalJson(next[field], previous[field])) {
      errors.push(invalid(at(field), next[field], 'field is immutable'))
    }
  }
  return [...errors, ...validateCommon(next)]
}

const newFinalizers = (added: readonly string[]): string =>
  'no new finalizers can be added if the object is being deleted, ' +
  `found new finalizers []string{${added.map(name => JSON.stringify(name)).join(', ')}}`
