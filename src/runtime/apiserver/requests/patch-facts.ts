/** A patch as messages show it, and what strict validation finds in it before it is applied. */
import { isMap } from '../../../kube/json-map.ts'
import type { FieldValidation } from './write-options.ts'

export interface PatchFacts {
  /** What stands behind `Invalid value`; made only for somebody who is told. */
  shown(): string
  readonly problems: readonly string[]
}

const OPERATION_FIELDS: ReadonlySet<string> = new Set(['op', 'path', 'from', 'value'])
const OPERATION_FIELD = /^\[\d+\]\.(op|path|from|value)$/

export const duplicateProblems = (fields: readonly string[], validation: FieldValidation): string[] =>
  validation === 'Ignore' ? [] : fields.map(field => `duplicate field "${field}"`)

/** A JSON patch: only the fields of its operations have names. */
export function jsonPatchProblems(
  patch: unknown,
  duplicates: readonly string[],
  validation: FieldValidation,
): string[] {
  if (validation === 'Ignore' || !Array.isArray(patch)) return []
  const unknown = patch.flatMap((operation, at) =>
    isMap(operation)
      ? Object.keys(operation)
          .filter(key => !OPERATION_FIELDS.has(key))
          .map(key => `unknown field ${JSON.stringify(`[${at}].${key}`)}`)
      : [],
  )
  const twice = duplicates.filter(field => OPERATION_FIELD.test(field))
  return [...unknown, ...duplicateProblems(twice, validation)].map(problem => `json patch ${problem}`)
}
