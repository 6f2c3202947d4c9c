/** Endpoints, EndpointSlices and Leases: what controllers and nodes keep writing. */
import { isIP } from 'node:net'
import type { FieldError } from '../../../../kube/field-error.ts'
import { duplicate, invalid, required, tooMany } from '../../../../kube/field-error.ts'
import { checkDns1123Label, checkDns1123Subdomain, checkPortNumber } from '../../../../kube/names.ts'
import type { EndpointSlice, Endpoints, Lease } from '../../../../kube/types.ts'
import { ageColumn, column, NONE, nameColumn, since, tableOf, UNSET } from '../columns.ts'
import { defineKind } from '../kind.ts'
import type { Strategy } from '../strategy.ts'
import { asKind, at } from '../support.ts'
import { IP_PROBLEM, specialIpProblems } from '../validation/addresses.ts'
import { checkEach, checkNonNegative, checkOneOf } from '../validation/meta.ts'
import { checkImmutable } from '../validation/workload.ts'

const SHOWN_MAX = 3
const ENDPOINTS_MAX = 1000
const ADDRESSES_MAX = 100
const SLICE_PORTS_MAX = 20_000
const PROTOCOLS = ['SCTP', 'TCP', 'UDP']

/** The first few of a list, and how many more there are. */
function shorten(items: readonly string[], none: string): string {
  if (items.length === 0) return none
  const shown = items.slice(0, SHOWN_MAX).join(',')
  return items.length > SHOWN_MAX ? `${shown} + ${items.length - SHOWN_MAX} more...` : shown
}

const hostPort = (ip: string | undefined, port: number): string =>
  (ip ?? '').includes(':') ? `[${ip}]:${port}` : `${ip}:${port}`

export const endpoints: Strategy = defineKind({
  group: '',
  resource: 'endpoints',
  allowCreateOnUpdate: true,
  applyDefaults(object) {
    for (const subset of asKind<Endpoints>(object).subsets ?? []) {
      for (const port of subset.ports ?? []) if (!port.protocol) port.protocol = 'TCP'
    }
  },
  validate(object) {
    const out: FieldError[] = []
    for (const [index, subset] of (asKind<Endpoints>(object).subsets ?? []).entries()) {
      const field = at('subsets', index)
      const lists = { addresses: subset.addresses ?? [], notReadyAddresses: subset.notReadyAddresses ?? [] }
      if (lists.addresses.length + lists.notReadyAddresses.length === 0) {
        out.push(required(field, 'must specify `addresses` or `notReadyAddresses`'))
      }
      for (const [name, list] of Object.entries(lists)) {
        for (const [position, address] of list.entries()) {
          checkAddress(out, `${at(`${field}.${name}`, position)}.ip`, address.ip)
        }
      }
      for (const [position, port] of (subset.ports ?? []).entries()) {
        const path = at(`${field}.ports`, position)
        if (!port.name && (subset.ports ?? []).length > 1) out.push(required(`${path}.name`))
        if (port.name) checkEach(out, `${path}.name`, port.name, checkDns1123Label(port.name))
        checkEach(out, `${path}.port`, port.port, checkPortNumber(port.port))
        checkOneOf(out, `${path}.protocol`, port.protocol, PROTOCOLS)
      }
    }
    return out
  },
  table: tableOf<Endpoints>(
    [nameColumn, column('Endpoints', 'Addresses and ports that serve'), ageColumn],
    ({ metadata, subsets }, nowMs) => {
      const all = (subsets ?? []).flatMap(({ addresses = [], ports = [] }) =>
        ports.length === 0
          ? addresses.map(address => address.ip)
          : ports.flatMap(port => addresses.map(address => hostPort(address.ip, port.port))),
      )
      return [metadata.name ?? '', shorten(all, NONE), since(metadata.creationTimestamp, nowMs)]
    },
  ),
})

function checkAddress(out: FieldError[], field: string, ip: string): void {
  if (isIP(ip) === 0) out.push(invalid(field, ip, IP_PROBLEM))
  else checkEach(out, field, ip, specialIpProblems(ip))
}

function validateSlice(slice: EndpointSlice): readonly FieldError[] {
  const out: FieldError[] = []
  if (!slice.addressType) out.push(required('addressType'))
  else checkOneOf(out, 'addressType', slice.addressType, ['FQDN', 'IPv4', 'IPv6'])
  const list = slice.endpoints ?? []
  if (list.length > ENDPOINTS_MAX) return [...out, tooMany('endpoints', list.length, ENDPOINTS_MAX)]
  for (const [index, endpoint] of list.entries()) {
    const field = `${at('endpoints', index)}.addresses`
    const addresses = endpoint.addresses ?? []
    if (addresses.length === 0) out.push(required(field, 'must contain at least 1 address'))
    if (addresses.length > ADDRESSES_MAX) out.push(tooMany(field, addresses.length, ADDRESSES_MAX))
    for (const [position, address] of addresses.entries()) {
      checkSliceAddress(out, at(field, position), address, slice.addressType)
    }
  }
  checkSlicePorts(out, slice.ports ?? [])
  return out
}

function checkSliceAddress(out: FieldError[], field: string, address: string, type: string): void {
  if (type === 'FQDN') checkEach(out, field, address, checkDns1123Subdomain(address))
  else if (type === 'IPv4' && isIP(address) !== 4) {
    out.push(invalid(field, address, 'must be an IPv4 address'))
  } else if (type === 'IPv6' && isIP(address) !== 6) {
    out.push(invalid(field, address, 'must be an IPv6 address'))
  } else checkEach(out, field, address, specialIpProblems(address))
}

function checkSlicePorts(out: FieldError[], ports: NonNullable<EndpointSlice['ports']>): void {
  if (ports.length > SLICE_PORTS_MAX) out.push(tooMany('ports', ports.length, SLICE_PORTS_MAX))
  const names = new Set<string>()
  for (const [index, port] of ports.entries()) {
    const field = at('ports', index)
    const name = port.name ?? ''
    if (name !== '') checkEach(out, `${field}.name`, name, checkDns1123Label(name))
    if (names.has(name)) out.push(duplicate(`${field}.name`, name))
    names.add(name)
    if (!port.protocol) out.push(required(`${field}.protocol`))
    else checkOneOf(out, `${field}.protocol`, port.protocol, PROTOCOLS)
  }
}

export const endpointSlices: Strategy = defineKind({
  group: 'discovery.k8s.io',
  resource: 'endpointslices',
  hasGeneration: true,
  applyDefaults(object) {
    for (const port of asKind<EndpointSlice>(object).ports ?? []) {
      port.name ??= ''
      port.protocol ??= 'TCP'
    }
  },
  validate: object => validateSlice(asKind<EndpointSlice>(object)),
  validateUpdate(next, previous) {
    const out: FieldError[] = []
    const type = asKind<EndpointSlice>(previous).addressType
    checkImmutable(out, 'addressType', asKind<EndpointSlice>(next).addressType, type)
    return out
  },
  table: tableOf<EndpointSlice>(
    [
      nameColumn,
      column('AddressType', 'What kind of addresses it holds'),
      column('Ports', 'Ports that the endpoints serve'),
      column('Endpoints', 'Addresses of the endpoints'),
      ageColumn,
    ],
    ({ metadata, addressType, ports, endpoints: list }, nowMs) => [
      metadata.name ?? '',
      addressType ?? '',
      shorten(
        (ports ?? []).map(port => (port.port === undefined ? '*' : String(port.port))),
        UNSET,
      ),
      shorten(
        (list ?? []).flatMap(endpoint => endpoint.addresses ?? []),
        UNSET,
      ),
      since(metadata.creationTimestamp, nowMs),
    ],
  ),
})

export const leases: Strategy = defineKind({
  group: 'coordination.k8s.io',
  resource: 'leases',
  hasGeneration: false,
  allowCreateOnUpdate: true,
  allowUnconditionalUpdate: false,
  validate(object) {
    const out: FieldError[] = []
    const { spec } = asKind<Lease>(object)
    const seconds = spec?.leaseDurationSeconds
    if (seconds !== undefined && seconds <= 0) {
      out.push(invalid('spec.leaseDurationSeconds', seconds, 'must be greater than 0'))
    }
    checkNonNegative(out, 'spec.leaseTransitions', spec?.leaseTransitions)
    return out
  },
  table: tableOf<Lease>(
    [nameColumn, column('Holder', 'Who holds the lease'), ageColumn],
    ({ metadata, spec }, nowMs) => [
      metadata.name ?? '',
      spec?.holderIdentity ?? '',
      since(metadata.creationTimestamp, nowMs),
    ],
  ),
})
