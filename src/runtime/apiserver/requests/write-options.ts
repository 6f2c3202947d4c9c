/** dryRun, fieldManager and fieldValidation of writing requests, checked as upstream checks them; pure. */
import {
  type FieldError,
  forbidden,
  invalid as invalidField,
  notSupported,
  required,
  tooLong,
} from '../../../kube/field-error.ts'
import { type GroupKind, invalid } from '../../../kube/status.ts'

export type FieldValidation = 'Ignore' | 'Warn' | 'Strict'

export interface WriteOptions {
  readonly dryRun: boolean
  readonly fieldValidation: FieldValidation
  readonly fieldManager: string
}

const FIELD_MANAGER_LENGTH_MAX = 128
const validations = ['', 'Ignore', 'Strict', 'Warn']

function dryRunErrors(values: readonly string[]): FieldError[] {
  return values
    .filter(value => value !== 'All' && value !== '')
    .map(value => notSupported('dryRun', [value], ['All']))
}

/** True for `All`; throws 422 for anything else. */
export function dryRunOf(values: readonly string[], kind: GroupKind): boolean {
  const errors = dryRunErrors(values)
  if (errors.length > 0) throw invalid(kind, '', errors)
  return values.includes('All')
}

export interface ApplyOptions extends WriteOptions {
  readonly force: boolean
}

/** PatchOptions of server-side apply, which needs a manager and may be forced. Throws 422. */
export function parseApplyOptions(query: URLSearchParams): ApplyOptions {
  const errors = query.get('fieldManager') ? [] : [required('fieldManager', 'is required for apply patch')]
  const options = parseOptions(query, 'PatchOptions', errors)
  const force = query.get('force')
  return { ...options, force: force !== null && !['false', '0', 'f', 'F', 'FALSE', 'False'].includes(force) }
}

/** `kind` is CreateOptions, UpdateOptions or PatchOptions. Throws 422. */
export function parseWriteOptions(query: URLSearchParams, kind: string): WriteOptions {
  const isForced = kind === 'PatchOptions' && query.get('force') !== null
  return parseOptions(
    query,
    kind,
    isForced ? [forbidden('force', 'may not be specified for non-apply patch')] : [],
  )
}

function parseOptions(query: URLSearchParams, kind: string, found: readonly FieldError[]): WriteOptions {
  const dryRun = query.getAll('dryRun')
  const errors = [...found, ...dryRunErrors(dryRun)]
  const fieldManager = query.get('fieldManager') ?? ''
  if (fieldManager.length > FIELD_MANAGER_LENGTH_MAX)
    errors.push(tooLong('fieldManager', FIELD_MANAGER_LENGTH_MAX))
  if (/[^\P{C}]/u.test(fieldManager)) {
    errors.push(invalidField('fieldManager', fieldManager, 'should only contain printable characters'))
  }
  const validation = query.get('fieldValidation') ?? ''
  if (!validations.includes(validation)) errors.push(notSupported('fieldValidation', validation, validations))
  if (errors.length > 0) throw invalid({ group: 'meta.k8s.io', kind }, '', errors)
  return {
    dryRun: dryRun.includes('All'),
    fieldValidation: validation === '' ? 'Warn' : (validation as FieldValidation),
    fieldManager,
  }
}
