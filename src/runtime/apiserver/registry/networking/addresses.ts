/** The addresses that services hold, and the networks that they are taken from. */
import { canonicalAddress, formatCidr, parseCidr } from '../../../../kube/cidr.ts'
import type { FieldError } from '../../../../kube/field-error.ts'
import { invalid, required, tooMany } from '../../../../kube/field-error.ts'
import { checkDns1123Subdomain, checkPathSegmentName } from '../../../../kube/names.ts'
import type { IPAddress, ServiceCIDR } from '../../../../kube/types.ts'
import { ageColumn, column, nameColumn, since, tableOf } from '../columns.ts'
import { defineKind } from '../kind.ts'
import type { Strategy } from '../strategy.ts'
import { asKind, at } from '../support.ts'
import { CIDR_PROBLEM, IP_PROBLEM } from '../validation/addresses.ts'
import { checkEach, type Problems } from '../validation/meta.ts'
import { checkImmutable } from '../validation/workload.ts'

const GROUP = 'networking.k8s.io'
const CIDRS_MAX = 2

/** The name is an address in the one way to write it. */
function addressNameProblem(name: string): string | null {
  const canonical = canonicalAddress(name)
  if (canonical === null) return IP_PROBLEM
  return canonical === name ? null : `must be in canonical form ("${canonical}")`
}

function checkParent(out: Problems, parent: NonNullable<IPAddress['spec']>['parentRef'] | undefined): void {
  const field = 'spec.parentRef'
  if (!parent) {
    out.push(required(field))
    return
  }
  if (parent.group) checkEach(out, `${field}.group`, parent.group, checkDns1123Subdomain(parent.group))
  for (const name of ['resource', 'name'] as const) {
    const value = parent[name] ?? ''
    if (value === '') out.push(required(`${field}.${name}`))
    else checkEach(out, `${field}.${name}`, value, checkPathSegmentName(value))
  }
  const { namespace } = parent
  if (namespace) checkEach(out, `${field}.namespace`, namespace, checkPathSegmentName(namespace))
}

function parentText({ spec }: IPAddress): string {
  const { group, resource, namespace, name } = spec?.parentRef ?? {}
  const parts = [group ? `${resource}.${group}` : resource, namespace, name]
  return parts.filter(part => part !== undefined && part !== '').join('/')
}

export const ipAddresses: Strategy = defineKind({
  group: GROUP,
  resource: 'ipaddresses',
  hasGeneration: false,
  ratchets: true,
  validate(object) {
    const out: FieldError[] = []
    checkParent(out, asKind<IPAddress>(object).spec?.parentRef)
    return out
  },
  validateUpdate(next, previous) {
    const out: FieldError[] = []
    const after = asKind<IPAddress>(next).spec?.parentRef
    checkImmutable(out, 'spec.parentRef', after, asKind<IPAddress>(previous).spec?.parentRef)
    return out
  },
  selectableFields(object) {
    const parent = asKind<IPAddress>(object).spec?.parentRef
    return {
      'spec.parentRef.group': parent?.group ?? '',
      'spec.parentRef.resource': parent?.resource ?? '',
      'spec.parentRef.name': parent?.name ?? '',
      'spec.parentRef.namespace': parent?.namespace ?? '',
    }
  },
  validateName: addressNameProblem,
  table: tableOf<IPAddress>([nameColumn, column('ParentRef', 'Object that holds the address')], address => [
    address.metadata.name ?? '',
    parentText(address),
  ]),
})

const cidrsOf = (cidr: ServiceCIDR): readonly string[] => cidr.spec?.cidrs ?? []

function checkCidrs(cidrs: readonly string[]): FieldError[] {
  const field = 'spec.cidrs'
  if (cidrs.length === 0) return [required(field, 'at least one CIDR required')]
  if (cidrs.length > CIDRS_MAX) return [tooMany(field, cidrs.length, CIDRS_MAX)]
  const out: FieldError[] = []
  const [first, second] = cidrs.map(parseCidr)
  if (first && second && first.family === second.family) {
    const detail = 'may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64'
    out.push(invalid(field, cidrs, detail))
  }
  for (const [index, text] of cidrs.entries()) checkCidr(out, at(field, index), text)
  return out
}

function checkCidr(out: Problems, field: string, text: string): void {
  const parsed = parseCidr(text)
  if (parsed === null) out.push(invalid(field, text, CIDR_PROBLEM))
  else if (formatCidr(parsed) !== text) {
    out.push(invalid(field, text, `must be in canonical form ("${formatCidr(parsed)}")`))
  }
}

/** Networks stay as they are; a second one, of the other family, may be added. */
function checkCidrsKept(next: readonly string[], previous: readonly string[]): FieldError[] {
  const field = 'spec.cidrs'
  if (previous.length === 1 && next.length === 2) {
    const out: FieldError[] = []
    if (next[0] !== previous[0]) {
      out.push(invalid(at(field, 0), next[0], 'updates to cidrs are not allowed'))
    }
    return [...out, ...checkCidrs(next)]
  }
  return next.length === previous.length && next.every((text, index) => text === previous[index])
    ? []
    : [invalid(field, next, 'field is immutable')]
}

export const serviceCidrs: Strategy = defineKind({
  group: GROUP,
  resource: 'servicecidrs',
  hasStatus: true,
  hasGeneration: false,
  ratchets: true,
  validate: object => checkCidrs(cidrsOf(asKind<ServiceCIDR>(object))),
  validateUpdate: (next, previous) =>
    checkCidrsKept(cidrsOf(asKind<ServiceCIDR>(next)), cidrsOf(asKind<ServiceCIDR>(previous))),
  table: tableOf<ServiceCIDR>(
    [nameColumn, column('CIDRs', 'Networks that services get their addresses from'), ageColumn],
    (cidr, nowMs) => [
      cidr.metadata.name ?? '',
      cidrsOf(cidr).join(','),
      since(cidr.metadata.creationTimestamp, nowMs),
    ],
  ),
})
