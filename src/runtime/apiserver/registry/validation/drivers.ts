/** Names of storage drivers, and what drivers are handed. */
import { invalid, required, tooLong } from '../../../../kube/field-error.ts'
import { checkDns1123Subdomain, checkQualifiedName } from '../../../../kube/names.ts'
import { checkEach, type Problems } from './meta.ts'

const NAME_BYTES_MAX = 63
const PARAMETERS_MAX = 512
const PARAMETERS_BYTES_MAX = 256 * 1024

export function checkDriverName(out: Problems, field: string, name: string): void {
  if (name === '') out.push(required(field))
  if (name.length > NAME_BYTES_MAX) out.push(tooLong(field, NAME_BYTES_MAX))
  checkEach(out, field, name, checkDns1123Subdomain(name.toLowerCase()))
}

/** The name of who makes volumes: a qualified name in any case. */
export function checkProvisioner(out: Problems, field: string, name: string): void {
  if (name === '') out.push(required(field))
  else checkEach(out, field, name, checkQualifiedName(name.toLowerCase()))
}

/** Settings that a driver is handed: bounded, and each with a key. */
export function checkParameters(
  out: Problems,
  parameters: Readonly<Record<string, string>> | undefined,
  isNeeded: boolean,
): void {
  const entries = Object.entries(parameters ?? {})
  const field = 'parameters'
  if (entries.length > PARAMETERS_MAX) {
    out.push(tooLong(field, PARAMETERS_MAX))
    return
  }
  for (const [key] of entries) if (key === '') out.push(invalid(field, key, 'field can not be empty.'))
  if (bytesOf(parameters) > PARAMETERS_BYTES_MAX) out.push(tooLong(field, PARAMETERS_BYTES_MAX))
  if (isNeeded && entries.length === 0) {
    out.push(required(field, 'must contain at least one key/value pair'))
  }
}

/** Bytes of all keys and values. */
export const bytesOf = (map: Readonly<Record<string, string>> | undefined): number =>
  Object.entries(map ?? {}).reduce(
    (sum, [key, value]) => sum + Buffer.byteLength(key) + Buffer.byteLength(value),
    0,
  )
