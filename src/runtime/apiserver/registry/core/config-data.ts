/** ConfigMaps, Secrets and ServiceAccounts. */
import type { FieldError } from '../../../../kube/field-error.ts'
import { forbidden, invalid, required, tooLong } from '../../../../kube/field-error.ts'
import { checkConfigMapKey } from '../../../../kube/names.ts'
import type { ConfigMap, Secret, ServiceAccount } from '../../../../kube/types.ts'
import { ageColumn, column, nameColumn, since, tableOf } from '../columns.ts'
import { defineKind } from '../kind.ts'
import type { Strategy } from '../strategy.ts'
import { asKind, keyed, semanticallyEqual } from '../support.ts'
import { checkEach } from '../validation/meta.ts'
import { IMMUTABLE } from '../validation/workload.ts'

const DATA_BYTES_MAX = 1024 * 1024
const SET_IMMUTABLE = `${IMMUTABLE} when \`immutable\` is set`
const SERVICE_ACCOUNT_NAME = 'kubernetes.io/service-account.name'
const REDACTED = '<secret contents redacted>'
const JSON_STARTS = /[[{"tfn0-9-]/

const count = (data: object | undefined): number => Object.keys(data ?? {}).length
/** Bytes behind a base64 text. */
const decodedSize = (text: string): number => Buffer.byteLength(text, 'base64')

export const configMaps: Strategy = defineKind({
  group: '',
  resource: 'configmaps',
  validate(object) {
    const { data = {}, binaryData = {} } = asKind<ConfigMap>(object)
    const out: FieldError[] = []
    let size = 0
    for (const [key, value] of Object.entries(data)) {
      checkEach(out, keyed('data', key), key, checkConfigMapKey(key))
      if (Object.hasOwn(binaryData, key)) {
        out.push(invalid(keyed('data', key), key, 'duplicate of key present in binaryData'))
      }
      size += Buffer.byteLength(value)
    }
    for (const [key, value] of Object.entries(binaryData)) {
      checkEach(out, keyed('binaryData', key), key, checkConfigMapKey(key))
      size += decodedSize(value)
    }
    if (size > DATA_BYTES_MAX) out.push(tooLong('', DATA_BYTES_MAX))
    return out
  },
  validateUpdate: (next, previous) =>
    asKind<ConfigMap>(previous).immutable === true ? keptData(next, previous, ['data', 'binaryData']) : [],
  table: tableOf<ConfigMap>(
    [nameColumn, column('Data', 'How many entries it has'), ageColumn],
    ({ metadata, data, binaryData }, nowMs) => [
      metadata.name ?? '',
      count(data) + count(binaryData),
      since(metadata.creationTimestamp, nowMs),
    ],
  ),
})

/** An immutable object stays so, and keeps its data. */
function keptData(
  next: Readonly<Record<string, unknown>>,
  previous: Readonly<Record<string, unknown>>,
  fields: readonly string[],
): FieldError[] {
  const out: FieldError[] = []
  if (next['immutable'] !== true) out.push(forbidden('immutable', SET_IMMUTABLE))
  for (const field of fields) {
    if (!semanticallyEqual(next[field] ?? {}, previous[field] ?? {}))
      out.push(forbidden(field, SET_IMMUTABLE))
  }
  return out
}

/** stringData is written only: it becomes part of data. */
function applySecretDefaults(secret: Secret): void {
  secret.type = secret.type || 'Opaque'
  if (!secret.stringData) return
  const data: Record<string, string> = { ...secret.data }
  for (const [key, value] of Object.entries(secret.stringData))
    data[key] = Buffer.from(value).toString('base64')
  secret.data = data
  delete secret.stringData
}

function validateSecret(secret: Secret): readonly FieldError[] {
  const out: FieldError[] = []
  const data = secret.data ?? {}
  let size = 0
  for (const [key, value] of Object.entries(data)) {
    checkEach(out, keyed('data', key), key, checkConfigMapKey(key))
    size += decodedSize(value)
  }
  if (size > DATA_BYTES_MAX) out.push(tooLong('data', DATA_BYTES_MAX))
  const isKeyOf = (key: string) => key !== 'ssh-privatekey' || data[key] !== ''
  const has = (key: string) => Object.hasOwn(data, key) && isKeyOf(key)
  for (const key of requiredKeys(secret.type ?? '', has)) out.push(required(keyed('data', key)))
  if (secret.type === 'kubernetes.io/service-account-token') {
    if (!secret.metadata.annotations?.[SERVICE_ACCOUNT_NAME]) {
      out.push(required(keyed('metadata.annotations', SERVICE_ACCOUNT_NAME)))
    }
  }
  for (const [type, key] of Object.entries(JSON_KEYS)) {
    const value = data[key]
    if (secret.type !== type || value === undefined) continue
    const problem = jsonProblem(value)
    if (problem !== null) out.push(invalid(keyed('data', key), REDACTED, problem))
  }
  return out
}

const JSON_KEYS: Readonly<Record<string, string>> = {
  'kubernetes.io/dockercfg': '.dockercfg',
  'kubernetes.io/dockerconfigjson': '.dockerconfigjson',
}

function requiredKeys(type: string, has: (key: string) => boolean): readonly string[] {
  const key = JSON_KEYS[type]
  if (key !== undefined) return has(key) ? [] : [key]
  switch (type) {
    case 'kubernetes.io/basic-auth':
      return has('username') || has('password') ? [] : ['username', 'password']
    case 'kubernetes.io/ssh-auth':
      return has('ssh-privatekey') ? [] : ['ssh-privatekey']
    case 'kubernetes.io/tls':
      return ['tls.crt', 'tls.key'].filter(name => !has(name))
    default:
      return []
  }
}

/** Why a text is no JSON object, as upstream's decoder says it; where it breaks off inside is not told. */
function jsonProblem(base64: string): string | null {
  const text = Buffer.from(base64, 'base64').toString()
  const [first] = text.trimStart()
  if (first === undefined) return 'unexpected end of JSON input'
  if (!JSON_STARTS.test(first)) {
    return `invalid character ${first === "'" ? "'\\''" : `'${first}'`} looking for beginning of value`
  }
  try {
    const value: unknown = JSON.parse(text)
    if (value === null || (typeof value === 'object' && !Array.isArray(value))) return null
    const kind = Array.isArray(value) ? 'array' : typeof value === 'boolean' ? 'bool' : typeof value
    return `json: cannot unmarshal ${kind} into Go value of type map[string]interface {}`
  } catch {
    return 'unexpected end of JSON input'
  }
}

export const secrets: Strategy = defineKind({
  group: '',
  resource: 'secrets',
  applyDefaults: object => applySecretDefaults(asKind<Secret>(object)),
  prepareForUpdate(next, previous) {
    const secret = asKind<Secret>(next)
    const type = asKind<Secret>(previous).type
    if (!secret.type && type) secret.type = type
  },
  validate: object => validateSecret(asKind<Secret>(object)),
  validateUpdate(next, previous) {
    const out: FieldError[] = []
    const type = asKind<Secret>(next).type
    if (type !== asKind<Secret>(previous).type) out.push(invalid('type', type, IMMUTABLE))
    if (asKind<Secret>(previous).immutable === true) out.push(...keptData(next, previous, ['data']))
    return out
  },
  selectableFields: object => ({ type: asKind<Secret>(object).type ?? '' }),
  table: tableOf<Secret>(
    [
      nameColumn,
      column('Type', 'What the data is for'),
      column('Data', 'How many entries it has'),
      ageColumn,
    ],
    ({ metadata, type, data }, nowMs) => [
      metadata.name ?? '',
      type ?? '',
      count(data),
      since(metadata.creationTimestamp, nowMs),
    ],
  ),
})

export const serviceAccounts: Strategy = defineKind({
  group: '',
  resource: 'serviceaccounts',
  table: tableOf<ServiceAccount>(
    [nameColumn, column('Secrets', 'How many secrets it lists'), ageColumn],
    ({ metadata, secrets: listed }, nowMs) => [
      metadata.name ?? '',
      listed?.length ?? 0,
      since(metadata.creationTimestamp, nowMs),
    ],
  ),
})
