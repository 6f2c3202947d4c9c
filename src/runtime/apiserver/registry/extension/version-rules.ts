/** What a version of a custom resource may have beside its schema: subresources, columns, fields to select by. */
import type { DefinitionVersion, PrinterColumn } from '../../../../kube/custom-definition.ts'
import { duplicate, type FieldError, invalid, required, tooMany } from '../../../../kube/field-error.ts'
import { simplePath } from '../../../../kube/structural-schema/json-path.ts'
import { parseStructural, type Structural } from '../../../../kube/structural-schema/structural.ts'
import { at } from '../support.ts'

const COLUMN_TYPES = ['boolean', 'date', 'integer', 'number', 'string']
const COLUMN_FORMATS = ['byte', 'date', 'date-time', 'double', 'float', 'int32', 'int64', 'password']
const SELECTABLE_MAX = 8
const SELECTABLE_TYPES = ['boolean', 'integer', 'string']

function pathProblems(text: string | undefined, path: string): FieldError[] {
  if (!text) return [invalid(path, '', 'must not be empty')]
  return text.startsWith('.') ? [] : [invalid(path, text, 'must be a simple json path starting with .')]
}

export function subresourceProblems(
  subresources: DefinitionVersion['subresources'],
  path: string,
): readonly FieldError[] {
  const { scale } = subresources ?? {}
  if (scale === undefined) return []
  const out: FieldError[] = []
  const check = (field: 'specReplicasPath' | 'statusReplicasPath', root: string) => {
    const place = `${path}.scale.${field}`
    const text = scale[field]
    if (!text) out.push(required(place))
    else if (!text.startsWith('.')) out.push(...pathProblems(text, place))
    else if (!text.startsWith(`${root}.`))
      out.push(invalid(place, text, `should be a json path under ${root}`))
  }
  check('specReplicasPath', '.spec')
  check('statusReplicasPath', '.status')
  const { labelSelectorPath = '' } = scale
  if (labelSelectorPath === '') return out
  const place = `${path}.scale.labelSelectorPath`
  if (!labelSelectorPath.startsWith('.')) out.push(...pathProblems(labelSelectorPath, place))
  else if (!/^\.(spec|status)\./.test(labelSelectorPath)) {
    out.push(invalid(place, labelSelectorPath, 'should be a json path under either .spec or .status'))
  }
  return out
}

export function columnProblems(
  columns: readonly PrinterColumn[] | undefined,
  path: string,
): readonly FieldError[] {
  return (columns ?? []).flatMap((column, index) => oneColumn(column, at(path, index)))
}

function oneColumn({ name, type, format, jsonPath }: PrinterColumn, path: string): FieldError[] {
  const out: FieldError[] = []
  if (!name) out.push(required(`${path}.name`))
  const types = `must be one of ${COLUMN_TYPES.join(',')}`
  if (!type) out.push(required(`${path}.type`, types))
  else if (!COLUMN_TYPES.includes(type)) out.push(invalid(`${path}.type`, type, types))
  if (format && !COLUMN_FORMATS.includes(format)) {
    out.push(invalid(`${path}.format`, format, `must be one of ${COLUMN_FORMATS.join(',')}`))
  }
  if (!jsonPath) out.push(required(`${path}.JSONPath`))
  else out.push(...pathProblems(jsonPath, `${path}.jsonPath`))
  return out
}

export function selectableProblems(
  fields: DefinitionVersion['selectableFields'],
  path: string,
  version: DefinitionVersion,
): readonly FieldError[] {
  const list = fields ?? []
  const out: FieldError[] = []
  const schema = parseStructural(version.schema?.openAPIV3Schema)
  for (const [index, { jsonPath }] of list.entries()) {
    const place = `${at(path, index)}.jsonPath`
    if (!jsonPath) out.push(required(place))
    else out.push(...oneSelectable(schema, jsonPath, place))
    if (list.findIndex(one => one.jsonPath === jsonPath) < index) out.push(duplicate(place, jsonPath))
  }
  if (list.length > SELECTABLE_MAX) out.push(tooMany(path, list.length, SELECTABLE_MAX))
  return out
}

function oneSelectable(schema: Structural, jsonPath: string, path: string): FieldError[] {
  const steps = simplePath(jsonPath)
  if (steps === null) return [invalid(path, jsonPath, 'is an invalid path: must be a simple json path')]
  if (steps[0] === 'metadata') return [invalid(path, jsonPath, 'must not point to fields in metadata')]
  let found: Structural | undefined = schema
  for (const step of steps) found = found?.properties.get(step)
  if (found === undefined) {
    const detail = `is an invalid path: does not refer to a valid field`
    return [invalid(path, jsonPath, detail)]
  }
  if (SELECTABLE_TYPES.includes(found.type)) return []
  const detail =
    'must point to a field of type string, boolean or integer. Enum string fields and strings with formats are allowed.'
  return [invalid(path, jsonPath, detail)]
}
