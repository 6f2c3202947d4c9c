/** Names of drivers, pools, devices, requests and attributes. */
import { invalid, required, tooLong } from '../../../../kube/field-error.ts'
import { checkDns1123Label, checkDns1123Subdomain } from '../../../../kube/names.ts'
import { checkEach, type Problems } from '../validation/meta.ts'

const DRIVER_BYTES_MAX = 63
const POOL_BYTES_MAX = 253
const ID_BYTES_MAX = 32
const IDENTIFIER = '[A-Za-z_][A-Za-z0-9_]*'
const IDENTIFIER_PROBLEM =
  "a valid C identifier must start with alphabetic character or '_', followed by a string of alphanumeric " +
  "characters or '_' (e.g. 'my_name',  or 'MY_NAME',  or 'MyName', regex used for validation is " +
  `'${IDENTIFIER}')`
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/
const REFERENCE_PROBLEM =
  "must be the name of a request in the claim or the name of a request and a subrequest separated by '/'"

/** Also the name of a CSI driver. */
export function checkDriverName(out: Problems, field: string, name: string): void {
  if (name === '') {
    out.push(required(field))
    return
  }
  if (name.length > DRIVER_BYTES_MAX) out.push(tooLong(field, DRIVER_BYTES_MAX))
  checkEach(out, field, name, checkDns1123Subdomain(name.toLowerCase()))
}

export function checkPoolName(out: Problems, field: string, name: string): void {
  if (name === '') {
    out.push(required(field))
    return
  }
  if (name.length > POOL_BYTES_MAX) out.push(tooLong(field, POOL_BYTES_MAX))
  for (const part of name.split('/')) checkEach(out, field, part, checkDns1123Subdomain(part))
}

export const checkLabelName = (out: Problems, field: string, name: string): void =>
  checkEach(out, field, name, checkDns1123Label(name))

export function checkShareId(out: Problems, field: string, id: string): void {
  if (UUID.test(id)) return
  const form = '`xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx` with lowercase hexadecimal characters'
  out.push(invalid(field, id, `uid must be in RFC 4122 normalized form, ${form}`))
}

/** `name` or `domain/name`. */
export function checkAttributeName(out: Problems, field: string, name: string): void {
  const [first = '', second, ...rest] = name.split('/')
  if (rest.length > 0) {
    out.push(invalid(field, name, 'must not contain more than one slash'))
  } else if (second === undefined) {
    checkIdentifier(out, field, first)
  } else {
    if (first === '') out.push(invalid(field, '', 'the domain must not be empty'))
    else checkDriverName(out, field, first)
    if (second === '') out.push(invalid(field, '', 'the name must not be empty'))
    else checkIdentifier(out, field, second)
  }
}

export function checkFullName(out: Problems, field: string, name: string): void {
  checkAttributeName(out, field, name)
  if (name.includes('/')) return
  const detail = 'a fully qualified name must be a domain and a name separated by a slash'
  out.push(invalid(field, name, detail))
}

function checkIdentifier(out: Problems, field: string, id: string): void {
  if (id.length > ID_BYTES_MAX) out.push(tooLong(field, ID_BYTES_MAX))
  if (!new RegExp(`^${IDENTIFIER}$`).test(id)) out.push(invalid(field, id, IDENTIFIER_PROBLEM))
}

/** The requests of a claim: each with the names of its alternatives. */
export type RequestNames = ReadonlyMap<string, ReadonlySet<string>>

/** `request` or `request/alternative`. */
export function checkRequestReference(
  out: Problems,
  field: string,
  name: string,
  requests: RequestNames,
): void {
  const parts = name.split('/')
  if (parts.length > 2) {
    out.push(invalid(field, name, REFERENCE_PROBLEM))
    return
  }
  for (const part of parts) checkLabelName(out, field, part)
  const [request = '', alternative] = parts
  const alternatives = requests.get(request)
  const isKnown = alternatives && (alternative === undefined || alternatives.has(alternative))
  if (!isKnown) out.push(invalid(field, name, REFERENCE_PROBLEM))
}
