/** meta.k8s.io/v1 Table: how `kubectl get` shows objects, with the kind's own columns or name and age. */
import type { KubeObject } from '../../../kube/object.ts'
import { humanDuration, parseTime } from '../../../kube/time.ts'
import type { TableColumn, TableSpec } from '../registry/strategy.ts'
import { PARTIAL_API_VERSION, partialMetadata } from './partial-metadata.ts'

/** What each row carries of its object: nothing, its metadata, or all of it. */
export type IncludeObject = 'None' | 'Metadata' | 'Object'

export interface TableOptions {
  readonly spec: TableSpec
  readonly include: IncludeObject
  readonly nowMs: number
}

function ageOf(object: KubeObject, nowMs: number): string {
  const created = parseTime(object.metadata.creationTimestamp ?? '')
  return created === null ? '<unknown>' : humanDuration(nowMs - created)
}

/** The columns of kinds that have none of their own. */
export const defaultTable: TableSpec = {
  columns: [
    {
      name: 'Name',
      type: 'string',
      format: 'name',
      description: 'Name of the object, unique within its namespace.',
      priority: 0,
    },
    { name: 'Age', type: 'string', description: 'Time since the object was created.', priority: 0 },
  ],
  cells: (object, nowMs) => [object.metadata.name, ageOf(object, nowMs)],
}

const columnOf = (column: TableColumn): Record<string, unknown> => ({
  name: column.name,
  type: column.type,
  format: column.format ?? '',
  description: column.description,
  priority: column.priority,
})

function rowOf(object: KubeObject, options: TableOptions): Record<string, unknown> {
  const cells = options.spec.cells(object, options.nowMs)
  if (options.include === 'None') return { cells, object: null }
  return { cells, object: options.include === 'Object' ? object : partialMetadata(object) }
}

export function renderTable(
  objects: readonly KubeObject[],
  metadata: Readonly<Record<string, unknown>>,
  options: TableOptions,
): Record<string, unknown> {
  return {
    kind: 'Table',
    apiVersion: PARTIAL_API_VERSION,
    metadata,
    columnDefinitions: options.spec.columns.map(columnOf),
    rows: objects.map(object => rowOf(object, options)),
  }
}
