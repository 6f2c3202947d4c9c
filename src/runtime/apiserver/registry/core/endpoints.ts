/** Endpoints and EndpointSlices: what controllers keep writing. */
import { bracketed } from '../../../../base/bracketed.ts'
import type { FieldError } from '../../../../kube/field-error.ts'
import { required } from '../../../../kube/field-error.ts'
import {
  checkDns1123Label,
  checkDns1123Subdomain,
  checkPortNumber,
  checkQualifiedName,
} from '../../../../kube/names.ts'
import type { EndpointSlice, Endpoints } from '../../../../kube/types.ts'
import { ageColumn, column, NONE, nameColumn, since, tableOf, UNSET } from '../columns.ts'
import { defineKind } from '../kind.ts'
import type { Strategy } from '../strategy.ts'
import { asKind, at } from '../support.ts'
import { ipProblems, specialIpProblems } from '../validation/addresses.ts'
import { checkEach, checkOneOf } from '../validation/meta.ts'
import { checkImmutable } from '../validation/workload.ts'
import { PROTOCOLS, sliceProblems } from './slice-rules.ts'

const SHOWN_MAX = 3

type Subset = NonNullable<Endpoints['subsets']>[number]
type Address = NonNullable<Subset['addresses']>[number]

/** The first few of a list, and how many more there are. */
function shorten(items: readonly string[], none: string): string {
  if (items.length === 0) return none
  const shown = items.slice(0, SHOWN_MAX).join(',')
  return items.length > SHOWN_MAX ? `${shown} + ${items.length - SHOWN_MAX} more...` : shown
}

const hostPort = (ip: string | undefined, port: number): string => `${bracketed(ip ?? '')}:${port}`

function checkSubset(out: FieldError[], field: string, subset: Subset): void {
  const { addresses = [], notReadyAddresses = [], ports = [] } = subset
  if (addresses.length + notReadyAddresses.length === 0) {
    out.push(required(field, 'must specify `addresses` or `notReadyAddresses`'))
  }
  for (const [name, list] of Object.entries({ addresses, notReadyAddresses })) {
    for (const [position, address] of list.entries()) {
      checkAddress(out, at(`${field}.${name}`, position), address)
    }
  }
  for (const [position, port] of ports.entries()) {
    const path = at(`${field}.ports`, position)
    if (!port.name && ports.length > 1) out.push(required(`${path}.name`))
    if (port.name) checkEach(out, `${path}.name`, port.name, checkDns1123Label(port.name))
    checkEach(out, `${path}.port`, port.port, checkPortNumber(port.port))
    if (!port.protocol) out.push(required(`${path}.protocol`))
    else checkOneOf(out, `${path}.protocol`, port.protocol, PROTOCOLS)
    const protocol = port.appProtocol
    if (protocol !== undefined) checkEach(out, `${path}.appProtocol`, protocol, checkQualifiedName(protocol))
  }
}

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
      checkSubset(out, at('subsets', index), subset)
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

function checkAddress(out: FieldError[], path: string, { ip, hostname, nodeName }: Address): void {
  const field = `${path}.ip`
  const problems = ipProblems(ip ?? '')
  checkEach(out, field, ip ?? '', problems)
  if (hostname) checkEach(out, `${path}.hostname`, hostname, checkDns1123Label(hostname))
  if (nodeName !== undefined) checkEach(out, `${path}.nodeName`, nodeName, checkDns1123Subdomain(nodeName))
  if (problems.length === 0) checkEach(out, field, ip, specialIpProblems(ip))
}

export const endpointSlices: Strategy = defineKind({
  group: 'discovery.k8s.io',
  resource: 'endpointslices',
  hasGeneration: true,
  prepareForCreate(object) {
    // The field is of the time before v1; nodeName and zone took its place.
    for (const endpoint of asKind<EndpointSlice>(object).endpoints ?? []) delete endpoint.deprecatedTopology
  },
  applyDefaults(object) {
    for (const port of asKind<EndpointSlice>(object).ports ?? []) {
      port.name ??= ''
      port.protocol ??= 'TCP'
    }
  },
  validate: object => sliceProblems(asKind<EndpointSlice>(object)),
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
