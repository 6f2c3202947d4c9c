/**
 * The credentials of a remote target, out of a Secret in kube-system (pure): decoded, and refused in words when they
 * cannot be right. The values are never part of an error.
 */
import { Mk8sError } from '../../../base/errors.ts'
import { nearest } from '../../../base/nearest.ts'
import { isMap, type JsonMap } from '../../../kube/json-map.ts'
import { BACKUP_TARGET_SECRET_TYPE } from '../state-contents.ts'
import type { TargetCredentials } from './target.ts'

/** What each key is for. */
export const CREDENTIAL_KEYS: Readonly<Record<string, string>> = {
  'access-key-id': 'of an S3 key',
  'secret-access-key': 'of an S3 key',
  'session-token': 'of a temporary S3 key',
  'ca.crt': 'certificates of the authority of an S3 server, in place of those that everyone trusts',
  'ssh-private-key': 'without a passphrase, as ssh-keygen writes it',
  'known-hosts': 'lines of an OpenSSH known_hosts file with the host keys of the SSH server',
  passphrase: 'with which the backups are encrypted',
}
const VALUE_BYTES_MAX = 64 * 1024

/** `name` is that of the Secret. Throws `config/invalid`. */
export function readCredentials(name: string, secret: JsonMap | null): TargetCredentials {
  const shown = `the Secret kube-system/${name}`
  if (secret === null) {
    throw refuse(`${shown} does not exist`, 'schedules take credentials from kube-system only', create(name))
  }
  if (secret['type'] !== BACKUP_TARGET_SECRET_TYPE) {
    throw refuse(
      `${shown} is not used`,
      `its type is ${String(secret['type'])} and has to be ${BACKUP_TARGET_SECRET_TYPE}, which keeps it out of backups`,
      `${create(name)} (a type cannot be changed: delete the Secret first)`,
    )
  }
  return checked(shown, valuesIn(secret, 'data', 'base64'), create(name))
}

/**
 * Out of a file of YAML or JSON: the same keys with their values as text, or such a Secret as kubectl shows it.
 * `path` is that of the file. Throws `config/invalid`.
 */
export function parseCredentials(path: string, content: unknown): TargetCredentials {
  const hint =
    'write lines such as access-key-id: VALUE, or the Secret itself as kubectl get -o yaml shows it'
  if (!isMap(content))
    throw refuse(`${path} holds no credentials`, 'it is not a map of keys and values', hint)
  const isSecret = content['kind'] === 'Secret'
  const values = isSecret
    ? [...valuesIn(content, 'data', 'base64'), ...valuesIn(content, 'stringData', 'utf8')]
    : valuesIn({ values: content }, 'values', 'utf8')
  if (values.length === 0) throw refuse(`${path} holds no credentials`, 'it has no keys', hint)
  return checked(path, values, hint)
}

type Values = readonly (readonly [string, Buffer])[]

function valuesIn(holder: JsonMap, field: string, encoding: BufferEncoding): Values {
  const data = isMap(holder[field]) ? holder[field] : {}
  return Object.entries(data).map(([key, value]) => {
    return [key, Buffer.from(typeof value === 'string' ? value : '', encoding)] as const
  })
}

function checked(shown: string, values: Values, hint: string): TargetCredentials {
  for (const [key, bytes] of values) {
    mustBeKnown(shown, key)
    const odd = whyOdd(bytes)
    if (odd !== null) throw refuse(`${key} of ${shown} cannot be used`, odd, hint)
  }
  return new Map(values)
}

/** The passphrase without the line end that a file that held it may have; null when there is none. */
export function passphraseIn(credentials: TargetCredentials): Buffer | null {
  const text = (credentials.get('passphrase') ?? Buffer.alloc(0)).toString('latin1').replace(/\r?\n$/, '')
  return text === '' ? null : Buffer.from(text, 'latin1')
}

/** A value of one line, without the line feed that files end with; undefined when it is not there. Throws `config/invalid`. */
export function secretLine(credentials: TargetCredentials, key: string): string | undefined {
  const text = secretText(credentials, key)?.trim()
  if (text === undefined || /^[\x20-\x7e]+$/.test(text)) return text
  throw refuse(
    `${key} of the Secret cannot be used`,
    'it has more than one line, or characters that cannot be typed',
    'write it anew, without quotes around it',
  )
}

export const secretText = (credentials: TargetCredentials, key: string): string | undefined =>
  credentials.get(key)?.toString('utf8')

function mustBeKnown(shown: string, key: string): void {
  if (Object.hasOwn(CREDENTIAL_KEYS, key)) return
  const keys = Object.keys(CREDENTIAL_KEYS)
  const meant = nearest(key, keys)
  throw refuse(
    `${shown} has the key ${key}, which no target knows`,
    `the keys are ${keys.join(', ')}`,
    meant === undefined ? 'remove it' : `${meant} may be meant`,
  )
}

function whyOdd(bytes: Buffer): string | null {
  if (bytes.length > VALUE_BYTES_MAX) return `it has more than ${VALUE_BYTES_MAX} bytes`
  return bytes.toString('utf8').trim() === '' ? 'it is empty' : null
}

const create = (name: string): string =>
  `mk8s kubectl -n kube-system create secret generic ${name} --type=${BACKUP_TARGET_SECRET_TYPE} --from-file=KEY=FILE`

const refuse = (what: string, why: string, hint: string): Mk8sError =>
  new Mk8sError('config/invalid', what, { why, hint })
