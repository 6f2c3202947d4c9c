/** What a CustomResourceDefinition must be, in upstream's words. */
import { APPROVED_ANNOTATION, approvalOf, isProtectedGroup } from '../../../../kube/api-approval.ts'
import { checkRules } from '../../../../kube/cel/rules/check.ts'
import {
  type CustomDefinition,
  type DefinitionNames,
  type DefinitionVersion,
  isDefinition,
} from '../../../../kube/custom-definition.ts'
import { equalJson } from '../../../../kube/equality.ts'
import { type FieldError, invalid, required } from '../../../../kube/field-error.ts'
import { checkDns1035Label, checkDns1123Subdomain } from '../../../../kube/names.ts'
import { checkSchema } from '../../../../kube/structural-schema/check-schema.ts'
import { parseStructural } from '../../../../kube/structural-schema/structural.ts'
import { at } from '../support.ts'
import { checkOneOf } from '../validation/meta.ts'
import { conversionProblems } from './conversion-rules.ts'
import { columnProblems, selectableProblems, subresourceProblems } from './version-rules.ts'

type Spec = CustomDefinition['spec']

export function definitionProblems(definition: CustomDefinition): readonly FieldError[] {
  const { metadata, spec } = definition
  if (!spec) return [required('spec')]
  const out: FieldError[] = []
  const expected = `${spec.names?.plural ?? ''}.${spec.group ?? ''}`
  if (metadata.name !== expected) {
    out.push(invalid('metadata.name', metadata.name, 'must be spec.names.plural+"."+spec.group'))
  }
  checkGroup(spec, out)
  if (spec.scope) checkOneOf(out, 'spec.scope', spec.scope, ['Cluster', 'Namespaced'])
  else out.push(required('spec.scope'))
  if (spec.preserveUnknownFields === true) {
    const detail =
      'cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead'
    out.push(invalid('spec.preserveUnknownFields', true, detail))
  }
  out.push(...versionProblems(spec.versions ?? []))
  const names: Partial<DefinitionNames> = spec.names ?? {}
  for (const field of ['plural', 'singular', 'kind', 'listKind'] as const) {
    if (!names[field]) out.push(required(`spec.names.${field}`))
  }
  out.push(...nameProblems(names, 'spec.names'), ...partProblems(spec.versions ?? []))
  out.push(...conversionProblems(spec.conversion, 'spec.conversion'))
  return [...out, ...statusProblems(definition), ...approvalProblems(definition)]
}

function checkGroup({ group }: Spec, out: FieldError[]): void {
  if (!group) {
    out.push(required('spec.group'))
    return
  }
  const problems = checkDns1123Subdomain(group)
  if (problems.length > 0) out.push(invalid('spec.group', group, problems.join(',')))
  else if (!group.includes('.')) {
    out.push(invalid('spec.group', group, 'should be a domain with at least one dot'))
  }
}

function versionProblems(versions: readonly DefinitionVersion[]): FieldError[] {
  const out: FieldError[] = []
  for (const [index, { name }] of versions.entries()) {
    const problems = checkDns1035Label(name)
    if (problems.length > 0) out.push(invalid(`${at('spec.versions', index)}.name`, name, problems.join(',')))
  }
  if (new Set(versions.map(({ name }) => name)).size < versions.length) {
    out.push(invalid('spec.versions', versions, 'must contain unique version names'))
  }
  if (versions.filter(version => version.storage).length !== 1) {
    const detail = 'must have exactly one version marked as storage version'
    out.push(invalid('spec.versions', versions, detail))
  }
  for (const [index, { schema }] of versions.entries()) {
    if (schema?.openAPIV3Schema) continue
    out.push(required(`${at('spec.versions', index)}.schema.openAPIV3Schema`, 'schemas are required'))
  }
  return out
}

function nameProblems(names: Partial<DefinitionNames>, path: string): FieldError[] {
  const out: FieldError[] = []
  const label = (field: string, name: string | undefined) => {
    if (!name) return
    const problems = checkDns1035Label(name)
    if (problems.length > 0) out.push(invalid(`${path}.${field}`, name, problems.join(',')))
  }
  const mixed = (field: string, name: string | undefined) => {
    const problems = name ? checkDns1035Label(name.toLowerCase()) : []
    if (problems.length === 0) return
    const rule = `may have mixed case, but should otherwise match: ${problems.join(',')}`
    out.push(invalid(`${path}.${field}`, name, rule))
  }
  label('plural', names.plural)
  label('singular', names.singular)
  mixed('kind', names.kind)
  mixed('listKind', names.listKind)
  for (const [index, name] of (names.shortNames ?? []).entries()) label(at('shortNames', index), name)
  if (names.kind && names.kind === names.listKind) {
    out.push(invalid(`${path}.listKind`, names.listKind, 'kind and listKind may not be the same'))
  }
  for (const [index, name] of (names.categories ?? []).entries()) label(at('categories', index), name)
  return out
}

/** Where the same part of all versions stands: once for all when they share it, as upstream sees it. */
function inEachPlace<T>(
  versions: readonly DefinitionVersion[],
  part: (version: DefinitionVersion) => T,
  shared: string,
  own: string,
  check: (part: T, path: string, version: DefinitionVersion) => readonly FieldError[],
): FieldError[] {
  const [first] = versions
  if (first === undefined) return []
  if (versions.every(one => equalJson(part(one), part(first)))) return [...check(part(first), shared, first)]
  return versions.flatMap((one, index) => check(part(one), `${at('spec.versions', index)}.${own}`, one))
}

function partProblems(versions: readonly DefinitionVersion[]): FieldError[] {
  return [
    ...inEachPlace(
      versions,
      one => one.schema?.openAPIV3Schema,
      'spec.validation.openAPIV3Schema',
      'schema.openAPIV3Schema',
      schemaProblems,
    ),
    ...inEachPlace(
      versions,
      one => one.subresources,
      'spec.subresources',
      'subresources',
      subresourceProblems,
    ),
    ...inEachPlace(
      versions,
      one => one.additionalPrinterColumns,
      'spec.additionalPrinterColumns',
      'additionalPrinterColumns',
      columnProblems,
    ),
    ...inEachPlace(
      versions,
      one => one.selectableFields,
      'spec.selectableFields',
      'selectableFields',
      selectableProblems,
    ),
  ]
}

/** Of a root whose status is apart, nothing may be asked that speaks of both. */
const WITH_STATUS = [
  'Description',
  'Type',
  'Format',
  'Title',
  'Maximum',
  'ExclusiveMaximum',
  'Minimum',
  'ExclusiveMinimum',
  'MaxLength',
  'MinLength',
  'Pattern',
  'MaxItems',
  'MinItems',
  'UniqueItems',
  'MultipleOf',
  'Required',
  'Enum',
  'Items',
  'Properties',
  'ExternalDocs',
  'Example',
  'XPreserveUnknownFields',
  'XValidations',
]

function schemaProblems(
  schema: Record<string, unknown> | undefined,
  path: string,
  version: DefinitionVersion,
): readonly FieldError[] {
  if (schema === undefined) return []
  const out: FieldError[] = []
  const isApart = version.subresources?.status !== undefined
  const composite = ['allOf', 'anyOf', 'oneOf', 'not'].find(word => schema[word] !== undefined)
  if (isApart && composite !== undefined) {
    const allowed = `only [${WITH_STATUS.join(' ')}] fields are allowed at the root of the schema`
    out.push(invalid(path, schema, `${allowed} if the status subresource is enabled`))
  }
  out.push(...checkSchema(schema, path))
  return out.length > 0 ? out : checkRules(parseStructural(schema), path)
}

function approvalProblems({ metadata, spec }: CustomDefinition): FieldError[] {
  if (!isProtectedGroup(spec.group ?? '')) return []
  const { state, message } = approvalOf(metadata.annotations)
  const path = `metadata.annotations[${APPROVED_ANNOTATION}]`
  if (state === 'missing') return [required(path, message)]
  return state === 'invalid' ? [invalid(path, metadata.annotations?.[APPROVED_ANNOTATION], message)] : []
}

export function definitionUpdateProblems(next: CustomDefinition, previous: CustomDefinition): FieldError[] {
  const out: FieldError[] = []
  if (!next.spec || !previous.spec) return out
  const same = (field: string, value: unknown, before: unknown) => {
    if (!equalJson(value, before)) out.push(invalid(`spec.${field}`, value, 'field is immutable'))
  }
  if (isDefinition(previous, 'Established')) {
    same('scope', next.spec.scope, previous.spec.scope)
    same('names.kind', next.spec.names?.kind, previous.spec.names?.kind)
  }
  same('group', next.spec.group, previous.spec.group)
  same('names.plural', next.spec.names?.plural, previous.spec.names?.plural)
  return out
}

export function statusProblems({ spec, status }: CustomDefinition): FieldError[] {
  if (!spec) return []
  const path = 'status.storedVersions'
  const stored = status?.storedVersions ?? []
  if (stored.length === 0) return [invalid(path, stored, 'must have at least one stored version')]
  const out: FieldError[] = []
  const versions = spec.versions ?? []
  for (const version of versions) {
    if (!version.storage || stored.includes(version.name)) continue
    out.push(invalid(path, version, `must have the storage version ${version.name}`))
  }
  for (const [index, name] of stored.entries()) {
    if (versions.some(one => one.name === name)) continue
    out.push(invalid(at(path, index), name, 'must appear in spec.versions'))
  }
  return [...out, ...acceptedProblems(status?.acceptedNames)]
}

const acceptedProblems = (names: DefinitionNames | undefined): FieldError[] =>
  names === undefined ? [] : nameProblems(names, 'status.acceptedNames')
