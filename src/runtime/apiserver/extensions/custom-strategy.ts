/** The strategy of one version of a custom resource, made out of its definition. */
import type { CustomDefinition, DefinitionVersion } from '../../../kube/custom-definition.ts'
import { equalJson } from '../../../kube/equality.ts'
import { type FieldError, invalid } from '../../../kube/field-error.ts'
import type { KubeObject } from '../../../kube/object.ts'
import { compileJsonPath, simplePath, valueAt } from '../../../kube/structural-schema/json-path.ts'
import type { Structural } from '../../../kube/structural-schema/structural.ts'
import { validateEmbedded, validateListTypes } from '../../../kube/structural-schema/validate-structure.ts'
import { validateValue } from '../../../kube/structural-schema/validate-value.ts'
import { keepMetadata, takeField } from '../registry/kind.ts'
import type { Strategy } from '../registry/strategy.ts'
import { printerTable } from './printer-columns.ts'

/** Checks what expressions say of objects; `null` for a schema without rules. */
export interface Rules {
  /** Warnings: what would be an error, were the value not as it was before. */
  validate(
    value: KubeObject,
    old: KubeObject | undefined,
  ): { readonly errors: readonly FieldError[]; readonly warnings: readonly string[] }
}

const INT32_MAX = 2 ** 31 - 1
const BLOCKING: ReadonlySet<FieldError['type']> = new Set([
  'FieldValueNotSupported',
  'FieldValueRequired',
  'FieldValueTooLong',
  'FieldValueTooMany',
  'FieldValueTypeInvalid',
])
const NOT_CHECKED =
  'some validation rules were not checked because the object was invalid; ' +
  'correct the existing errors to complete validation'

export function customStrategy(
  definition: CustomDefinition,
  version: DefinitionVersion,
  schema: Structural,
  rules: () => Rules | null,
): Strategy {
  const { spec } = definition
  const hasStatus = version.subresources?.status !== undefined
  /** Of objects that were checked and are not yet written. */
  const tolerated = new WeakMap<KubeObject, readonly string[]>()
  const check = (next: KubeObject, previous?: KubeObject): readonly FieldError[] => {
    const { errors, warnings } = problemsOf({ version, schema, rules }, next, previous)
    tolerated.set(next, warnings)
    return errors
  }
  return {
    group: spec.group,
    resource: spec.names.plural,
    hasStatus,
    allowUnconditionalUpdate: false,
    ratchets: true,
    table: printerTable(version.additionalPrinterColumns ?? []),
    prepareForCreate(object) {
      if (hasStatus) delete object['status']
      object.metadata.generation = 1
    },
    prepareForUpdate(next, previous) {
      if (hasStatus) takeField(next, previous, 'status')
      const before = previous.metadata.generation ?? 0
      next.metadata.generation = equalJson(contentOf(next), contentOf(previous)) ? before : before + 1
      if (next.metadata.generation === 0) delete next.metadata.generation
    },
    prepareForStatusUpdate: keepMetadata,
    validate: object => check(object),
    validateUpdate: check,
    validateStatusUpdate: check,
    warnings: (next, previous) => [...(tolerated.get(next) ?? []), ...finalizerWarnings(next, previous)],
    ...selectable(version),
  }
}

function contentOf(object: KubeObject): Record<string, unknown> {
  const { metadata: _metadata, apiVersion: _version, kind: _kind, ...content } = object
  return content
}

function selectable(version: DefinitionVersion): Pick<Strategy, 'selectableFields'> {
  const fields = (version.selectableFields ?? []).map(({ jsonPath }) => ({
    label: jsonPath.replace(/^\./, ''),
    find: compileJsonPath(jsonPath),
  }))
  if (fields.length === 0) return {}
  return {
    selectableFields: object =>
      Object.fromEntries(fields.map(({ label, find }) => [label, String(find(object)[0] ?? '')])),
  }
}

interface Checks {
  readonly version: DefinitionVersion
  readonly schema: Structural
  /** Compiled when something is first judged by them. */
  readonly rules: () => Rules | null
}

function problemsOf(
  { version, schema, rules: rulesOf }: Checks,
  next: KubeObject,
  previous: KubeObject | undefined,
): ReturnType<Rules['validate']> {
  const errors = [
    ...validateValue(schema, withoutServerFields(next), previous && withoutServerFields(previous)),
    ...validateEmbedded(next, schema),
    ...scaleProblems(version, next),
  ]
  const wasInvalid = previous !== undefined && validateListTypes(previous, schema).length > 0
  if (!wasInvalid) errors.push(...validateListTypes(next, schema))
  const rules = rulesOf()
  if (rules === null) return { errors, warnings: [] }
  if (errors.some(error => BLOCKING.has(error.type))) {
    return { errors: [...errors, invalid('<nil>', null, NOT_CHECKED)], warnings: [] }
  }
  const judged = rules.validate(next, previous)
  return { errors: [...errors, ...judged.errors], warnings: judged.warnings }
}

const STANDARD_FINALIZERS: ReadonlySet<string> = new Set(['orphan', 'foregroundDeletion', 'kubernetes'])
const PREFER_DOMAIN =
  'prefer a domain-qualified finalizer name including a path (/) ' +
  'to avoid accidental conflicts with other finalizer writers'

/** Of the finalizers that this write adds. */
function finalizerWarnings(next: KubeObject, previous: KubeObject | null): readonly string[] {
  const known = previous?.metadata.finalizers ?? []
  return (next.metadata.finalizers ?? [])
    .filter(name => !known.includes(name) && !name.includes('/') && !STANDARD_FINALIZERS.has(name))
    .toSorted()
    .map(name => `metadata.finalizers: ${JSON.stringify(name)}: ${PREFER_DOMAIN}`)
}

/** The schema says nothing of who owns what. */
function withoutServerFields(object: KubeObject): KubeObject {
  if (object.metadata.managedFields === undefined) return object
  const { managedFields: _managers, ...metadata } = object.metadata
  return { ...object, metadata }
}

function scaleProblems(version: DefinitionVersion, object: KubeObject): FieldError[] {
  const scale = version.subresources?.scale
  if (scale === undefined) return []
  const errors: FieldError[] = []
  for (const path of [scale.specReplicasPath, scale.statusReplicasPath]) {
    const value = valueAt(object, simplePath(path) ?? [])
    if (value === undefined || value === null) continue
    if (typeof value !== 'number' || !Number.isInteger(value)) {
      errors.push(
        invalid(path, 0, `${path} accessor error: the value is of the type ${typeof value}, expected int64`),
      )
    } else if (value < 0) errors.push(invalid(path, value, 'should be a non-negative integer'))
    else if (value > INT32_MAX) {
      errors.push(invalid(path, value, `should be less than or equal to ${INT32_MAX}`))
    }
  }
  const { labelSelectorPath } = scale
  if (labelSelectorPath === undefined || labelSelectorPath === '') return errors
  const selector = valueAt(object, simplePath(labelSelectorPath) ?? [])
  if (selector !== undefined && selector !== null && typeof selector !== 'string') {
    const detail = `${labelSelectorPath} accessor error: the value is of the type ${typeof selector}, expected string`
    errors.push(invalid(labelSelectorPath, '', detail))
  }
  return errors
}
