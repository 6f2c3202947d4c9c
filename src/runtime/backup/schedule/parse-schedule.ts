/** Checks what somebody wants of a schedule, before anything is written: names, times, rules, keys. Pure. */

import { createPublicKey } from 'node:crypto'
import { Mk8sError } from '../../../base/errors.ts'
import type { BackupScheduleSpec, ScheduleEncryption } from '../../../client/backup-schedule-status.ts'
import { isMap } from '../../../kube/json-map.ts'
import { CURVES } from '../keys.ts'
import { cronTimes } from './cron-times.ts'

/** With cluster and time it has to be the name of a file. */
const NAME = /^[a-z0-9]([-a-z0-9]{0,50}[a-z0-9])?$/
const SECRET_NAME = /^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/
const TEXT_MAX = 1_024
const PEM_MAX = 8_192
const KEEP_MAX = 100_000
const SECONDS_MAX = 100 * 365 * 86_400

const invalid = (message: string, why: string, hint?: string): Mk8sError =>
  new Mk8sError('config/invalid', message, { why, ...(hint === undefined ? {} : { hint }) })

export function mustBeScheduleName(name: string): void {
  if (NAME.test(name)) return
  throw invalid(
    `${JSON.stringify(name)} cannot be the name of a backup schedule`,
    'a name has 1 to 52 small letters, digits and dashes, and neither begins nor ends with a dash',
    'for example: nightly',
  )
}

/** Throws `config/invalid` for whatever could not be carried out. */
export function parseSchedule(body: unknown): BackupScheduleSpec {
  const fields = isMap(body) ? body : {}
  const spec: BackupScheduleSpec = {
    cron: textOf(fields, 'cron'),
    timeZone: textOf(fields, 'timeZone'),
    to: textOf(fields, 'to'),
    secret: fields['secret'] === null ? null : textOf(fields, 'secret'),
    encryption: encryptionOf(fields['encryption']),
    keep: numberOf(fields, 'keep', KEEP_MAX),
    keepForSeconds: numberOf(fields, 'keepForSeconds', SECONDS_MAX),
    startingDeadlineSeconds: numberOf(fields, 'startingDeadlineSeconds', SECONDS_MAX) ?? 0,
    suspend: fields['suspend'] === true,
  }
  cronTimes(spec.cron, spec.timeZone)
  if (spec.secret !== null && !SECRET_NAME.test(spec.secret))
    throw invalid(
      `${JSON.stringify(spec.secret)} cannot be the name of a Secret`,
      'Kubernetes has no such names',
    )
  if (spec.encryption.type === 'passphrase' && spec.secret === null)
    throw invalid(
      'there is no passphrase to encrypt with',
      'it is taken from the Secret of the schedule, and the schedule names none',
      'add --secret NAME; that Secret has to have the key passphrase',
    )
  return spec
}

function textOf(fields: Readonly<Record<string, unknown>>, name: string): string {
  const value = fields[name]
  if (typeof value === 'string' && value !== '' && value.length <= TEXT_MAX) return value
  throw invalid(`the schedule has no usable ${name}`, `it has to be a text of at most ${TEXT_MAX} characters`)
}

function numberOf(fields: Readonly<Record<string, unknown>>, name: string, max: number): number | null {
  const value = fields[name]
  if (value === null || value === undefined) return null
  if (Number.isSafeInteger(value) && (value as number) >= 1 && (value as number) <= max)
    return value as number
  throw invalid(`the schedule has no usable ${name}`, `it has to be a whole number from 1 to ${max}`)
}

function encryptionOf(value: unknown): ScheduleEncryption {
  const { type, publicKey } = isMap(value) ? value : {}
  if (type === 'none' || type === 'passphrase') return { type }
  if (type === 'public-key' && typeof publicKey === 'string' && publicKey.length <= PEM_MAX) {
    mustBePublicKey(publicKey)
    return { type, publicKey }
  }
  throw invalid('the schedule does not say how to encrypt', 'it is none, public-key or passphrase')
}

function mustBePublicKey(pem: string): void {
  const refuse = (why: string) => invalid('the public key of the schedule cannot be used', why)
  // What gets into the store is read by every server.
  if (/PRIVATE KEY-----/.test(pem))
    throw refuse('it is a private key; a backup is encrypted with the public one')
  let found: string
  try {
    const { asymmetricKeyType = 'unknown', asymmetricKeyDetails } = createPublicKey(pem)
    found = asymmetricKeyType === 'ec' ? (asymmetricKeyDetails?.namedCurve ?? 'ec') : asymmetricKeyType
  } catch {
    throw refuse('it is not a key in PEM form')
  }
  if (found !== 'x25519' && !CURVES.some(name => name === found)) throw refuse(`its type is ${found}`)
}
