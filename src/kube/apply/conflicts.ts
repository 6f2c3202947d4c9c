/** The refusal of an applied configuration whose fields others own with other values. */
import { StatusError } from '../status.ts'
import { difference, type FieldSet, isEmptySet, pathsOf } from './field-set.ts'
import { type ManagerFields, managerKey } from './managers.ts'
import { type PathElement, pathText } from './path-element.ts'

/** By manager: the fields that stand in the way. */
export interface Conflict {
  readonly manager: ManagerFields
  readonly set: FieldSet
}

/** Those conflicts that are left when these fields may be taken. */
export function conflictsWithout(conflicts: readonly Conflict[], allowed: FieldSet): Conflict[] {
  return conflicts
    .map(one => ({ ...one, set: difference(one.set, allowed) }))
    .filter(one => !isEmptySet(one.set))
}

function managerText({ manager, operation, apiVersion, subresource }: ManagerFields): string {
  const name = JSON.stringify(manager)
  const full = subresource === '' ? name : `${name} with subresource ${JSON.stringify(subresource)}`
  return operation === 'Apply' ? full : `${full} using ${apiVersion}`
}

/** 409 with one cause per field. */
export function conflictError(conflicts: readonly Conflict[]): StatusError {
  const sorted = [...conflicts].sort((a, b) => (managerKey(a.manager) < managerKey(b.manager) ? -1 : 1))
  const found = sorted.map(({ manager, set }) => ({ manager: managerText(manager), paths: pathsOf(set) }))
  const causes = found.flatMap(({ manager, paths }) =>
    paths.map(path => ({
      reason: 'FieldManagerConflict',
      message: `conflict with ${manager}`,
      field: pathText(path),
    })),
  )
  return new StatusError({
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Failure',
    message: messageFor(found, causes.length),
    reason: 'Conflict',
    details: { causes },
    code: 409,
  })
}

interface Found {
  readonly manager: string
  readonly paths: readonly (readonly PathElement[])[]
}

function messageFor(found: readonly Found[], count: number): string {
  const [first] = found
  const [path] = first?.paths ?? []
  if (count === 1 && first !== undefined && path !== undefined) {
    return `Apply failed with 1 conflict: conflict with ${first.manager}: ${pathText(path)}`
  }
  const lines = found.flatMap(({ manager, paths }) => [
    `conflicts with ${manager}:`,
    ...paths.map(one => `- ${pathText(one)}`),
  ])
  return `Apply failed with ${count} conflicts: ${lines.join('\n')}`
}
