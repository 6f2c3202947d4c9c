/** What a certificate may be for, and the names of those who sign. */
import { duplicate, invalid, notSupported, required, tooLong } from '../../../../kube/field-error.ts'
import { checkDns1123Label, checkDns1123Subdomain } from '../../../../kube/names.ts'
import { at } from '../support.ts'
import type { Problems } from '../validation/meta.ts'

const USAGES = [
  'any',
  'cert sign',
  'client auth',
  'code signing',
  'content commitment',
  'crl sign',
  'data encipherment',
  'decipher only',
  'digital signature',
  'email protection',
  'encipher only',
  'ipsec end system',
  'ipsec tunnel',
  'ipsec user',
  'key agreement',
  'key encipherment',
  'microsoft sgc',
  'netscape sgc',
  'ocsp signing',
  's/mime',
  'server auth',
  'signing',
  'timestamping',
]
const DOMAIN_BYTES_MAX = 253
const PATH_BYTES_MAX = 317
const NAME_BYTES_MAX = 571

export function checkUsages(out: Problems, usages: readonly string[]): void {
  const field = 'spec.usages'
  if (usages.length === 0) out.push(required(field, 'usages must be provided'))
  for (const [index, usage] of usages.entries()) {
    if (!USAGES.includes(usage)) out.push(notSupported(at(field, index), usage, USAGES))
  }
  for (const [index, usage] of usages.entries()) {
    if (usages.indexOf(usage) < index) out.push(duplicate(at(field, index), usage))
  }
}

/** `example.com/name`. */
export function checkSignerName(out: Problems, field: string, name: string): void {
  if (name === '') {
    out.push(required(field))
    return
  }
  if (name === 'kubernetes.io/legacy-unknown') {
    out.push(invalid(field, name, 'the legacy signerName is not allowed via this API version'))
  }
  const [domain = '', path = '', ...more] = name.split('/')
  if (more.length > 0 || !name.includes('/')) {
    const form = "must be a fully qualified domain and path of the form 'example.com/signer-name'"
    out.push(invalid(field, name, form))
    return
  }
  if (domain.length > DOMAIN_BYTES_MAX) out.push(tooLong(field, DOMAIN_BYTES_MAX))
  const labels = domain.split('.')
  for (const label of labels) checkPart(out, field, domain, [label, checkDns1123Label(label)])
  if (labels.length < 2) {
    out.push(invalid(field, domain, 'should be a domain with at least two segments separated by dots'))
  }
  for (const label of path.split('.')) checkPart(out, field, path, [label, checkDns1123Subdomain(label)])
  if (path.length > PATH_BYTES_MAX) out.push(tooLong(field, PATH_BYTES_MAX))
  if (name.length > NAME_BYTES_MAX) out.push(tooLong(field, NAME_BYTES_MAX))
}

function checkPart(
  out: Problems,
  field: string,
  shown: string,
  [label, problems]: readonly [string, readonly string[]],
): void {
  for (const problem of problems) {
    out.push(invalid(field, shown, `validating label ${JSON.stringify(label)}: ${problem}`))
  }
}
