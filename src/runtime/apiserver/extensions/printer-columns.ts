/** The table of a custom resource: its name and the columns that its definition asks for. */

import type { PrinterColumn } from '../../../kube/custom-definition.ts'
import { compileJsonPath, JsonPathError } from '../../../kube/structural-schema/json-path.ts'
import { humanDuration, parseTime } from '../../../kube/time.ts'
import { nameColumn } from '../registry/columns.ts'
import type { TableColumn, TableSpec } from '../registry/strategy.ts'

const AGE: PrinterColumn = { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' }

/** Columns of a version; AGE alone when it asks for none. */
export function printerTable(columns: readonly PrinterColumn[]): TableSpec {
  const shown = columns.length === 0 ? [AGE] : columns
  const finders = shown.map(({ jsonPath }) => finderOf(jsonPath))
  return {
    columns: [nameColumn, ...shown.map(columnOf)],
    cells: (object, nowMs) => [
      object.metadata.name ?? '',
      ...finders.map((find, index) => cellOf(find(object), shown[index]?.type ?? '', nowMs)),
    ],
  }
}

/** A path that cannot be read (of an old definition) shows nothing. */
function finderOf(path: string): (root: unknown) => unknown {
  try {
    const find = compileJsonPath(path)
    return root => find(root)[0]
  } catch (error) {
    if (error instanceof JsonPathError) return () => undefined
    throw error
  }
}

const columnOf = (column: PrinterColumn): TableColumn => ({
  name: column.name,
  type: column.type as TableColumn['type'],
  ...(column.format === undefined ? {} : { format: column.format }),
  description:
    column.description || `Custom resource definition column (in JSONPath format): ${column.jsonPath}`,
  priority: column.priority ?? 0,
})

function cellOf(value: unknown, type: string, nowMs: number): unknown {
  if (value === undefined || value === null) return null
  switch (type) {
    case 'string':
      return typeof value === 'object' ? JSON.stringify(value) : String(value)
    case 'integer':
      return typeof value === 'number' ? Math.trunc(value) : null
    case 'number':
      return typeof value === 'number' ? value : null
    case 'boolean':
      return typeof value === 'boolean' ? value : null
    case 'date':
      return typeof value === 'string' ? ageOf(value, nowMs) : null
    default:
      return null
  }
}

function ageOf(text: string, nowMs: number): string {
  const since = parseTime(text)
  return since === null ? '<invalid>' : humanDuration(nowMs - since)
}
