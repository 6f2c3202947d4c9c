/** Building blocks of the tables that `kubectl get` prints: columns, and texts that many kinds share. */
import { compareTexts } from '../../../base/compare-texts.ts'
import type { KubeObject } from '../../../kube/object.ts'
import { humanDuration } from '../../../kube/time.ts'
import type { TableColumn, TableSpec } from './strategy.ts'

export const NONE = '<none>'
export const UNKNOWN = '<unknown>'
export const UNSET = '<unset>'

/** A column that is always shown. */
export function column(name: string, description: string, type: TableColumn['type'] = 'string'): TableColumn {
  return { name, type, format: name === 'Name' ? 'name' : '', description, priority: 0 }
}

/** A column that only `-o wide` shows. */
export function wide(name: string, description: string, type: TableColumn['type'] = 'string'): TableColumn {
  return { ...column(name, description, type), priority: 1 }
}

export const nameColumn = column('Name', 'Name of the object; unique within its namespace')
export const ageColumn = column('Age', 'Time since the object was created')

/** Time from a timestamp until now as kubectl shows it. */
export function since(timestamp: string | undefined | null, nowMs: number): string {
  if (timestamp === undefined || timestamp === null || timestamp === '') return UNKNOWN
  const start = Date.parse(timestamp)
  return Number.isNaN(start) ? UNKNOWN : humanDuration(nowMs - start)
}

export const age = (object: KubeObject, nowMs: number): string =>
  since(object.metadata.creationTimestamp, nowMs)

/** A table typed by its kind: `cells` gives the cells between NAME and the end. */
export function tableOf<T>(
  columns: readonly TableColumn[],
  cells: (object: T, nowMs: number) => readonly unknown[],
): TableSpec {
  return { columns, cells: (object, nowMs) => cells(object as unknown as T, nowMs) }
}

export const nameAndAgeTable: TableSpec = {
  columns: [nameColumn, ageColumn],
  cells: (object, nowMs) => [object.metadata.name ?? '', age(object, nowMs)],
}

type Requirement = { key: string; operator: string; values?: string[] | undefined }
export interface SelectorLike {
  matchLabels?: Record<string, string>
  matchExpressions?: Requirement[]
}

/** `a=b,c in (d,e)`; `<none>` for a selector that is absent or selects nothing in particular. */
export function selectorText(selector: SelectorLike | undefined | null): string {
  if (!selector) return NONE
  const equals = Object.entries(selector.matchLabels ?? {}).map(([key, value]) => ({
    key,
    text: `${key}=${value}`,
  }))
  const sets = (selector.matchExpressions ?? []).map(item => ({ key: item.key, text: requirementText(item) }))
  const all = [...equals, ...sets].sort((a, b) => compareTexts(a.key, b.key))
  return all.length === 0 ? NONE : all.map(item => item.text).join(',')
}

function requirementText({ key, operator, values }: Requirement): string {
  const list = [...(values ?? [])].sort().join(',')
  if (operator === 'Exists') return key
  if (operator === 'DoesNotExist') return `!${key}`
  return `${key} ${operator === 'In' ? 'in' : 'notin'} (${list})`
}

/** `a=b,c=d` by key; `<none>` when there are none. */
export function labelsText(labels: Record<string, string> | undefined | null): string {
  const pairs = Object.entries(labels ?? {}).sort(([a], [b]) => (a < b ? -1 : 1))
  return pairs.length === 0 ? NONE : pairs.map(([key, value]) => `${key}=${value}`).join(',')
}

interface ContainerLike {
  name: string
  image?: string | undefined
}

/** The wide columns CONTAINERS and IMAGES of kinds with a pod template. */
export function containerCells(
  spec: { containers?: readonly ContainerLike[] } | undefined,
): [string, string] {
  const containers = spec?.containers ?? []
  return [containers.map(item => item.name).join(','), containers.map(item => item.image ?? '').join(',')]
}

export const containerColumns: readonly TableColumn[] = [
  wide('Containers', 'Names of each container in the template.'),
  wide('Images', 'Images referenced by each container in the template.'),
  wide('Selector', 'Label selector of the pods that belong to the object'),
]

/** What upstream prints for kinds without columns of their own: roles, limit ranges, definitions. */
export const createdAtTable: TableSpec = {
  columns: [nameColumn, column('Created At', 'Time at which the object was created', 'date')],
  cells: object => [object.metadata.name ?? '', object.metadata.creationTimestamp ?? ''],
}
