/** What upstream refuses in EndpointSlices. */
import { isIP } from 'node:net'
import { duplicate, type FieldError, invalid, required, tooMany } from '../../../../kube/field-error.ts'
import {
  checkDns1123Label,
  checkDns1123Subdomain,
  checkLabelValue,
  checkQualifiedName,
} from '../../../../kube/names.ts'
import type { EndpointSlice } from '../../../../kube/types.ts'
import { at } from '../support.ts'
import { specialIpProblems } from '../validation/addresses.ts'
import { checkEach, checkLabels, checkOneOf, type Problems } from '../validation/meta.ts'

const ENDPOINTS_MAX = 1000
const ADDRESSES_MAX = 100
const PORTS_MAX = 20_000
const LABELS_MAX = 16
const HINTS_MAX = 8
export const PROTOCOLS = ['SCTP', 'TCP', 'UDP']

type Endpoint = NonNullable<EndpointSlice['endpoints']>[number]
type Hints = NonNullable<Endpoint['hints']>

export function sliceProblems(slice: EndpointSlice): readonly FieldError[] {
  const out: FieldError[] = []
  const type = slice.addressType ?? ''
  if (type === '') out.push(required('addressType'))
  else checkOneOf(out, 'addressType', type, ['FQDN', 'IPv4', 'IPv6'])
  const list = slice.endpoints ?? []
  if (list.length > ENDPOINTS_MAX) out.push(tooMany('endpoints', list.length, ENDPOINTS_MAX))
  else
    for (const [index, endpoint] of list.entries()) checkEndpoint(out, at('endpoints', index), endpoint, type)
  checkPorts(out, slice.ports ?? [])
  return out
}

function checkEndpoint(out: Problems, path: string, endpoint: Endpoint, type: string): void {
  const { addresses = [], nodeName, deprecatedTopology, hostname, hints } = endpoint
  const field = `${path}.addresses`
  if (addresses.length === 0) out.push(required(field, 'must contain at least 1 address'))
  if (addresses.length > ADDRESSES_MAX) out.push(tooMany(field, addresses.length, ADDRESSES_MAX))
  for (const [index, address] of addresses.entries()) checkAddress(out, at(field, index), address, type)
  if (nodeName !== undefined) checkEach(out, `${path}.nodeName`, nodeName, checkDns1123Subdomain(nodeName))
  const count = Object.keys(deprecatedTopology ?? {}).length
  if (count > LABELS_MAX) out.push(tooMany(`${path}.deprecatedTopology`, count, LABELS_MAX))
  checkLabels(out, `${path}.deprecatedTopology`, deprecatedTopology)
  if (hostname !== undefined) checkEach(out, `${path}.hostname`, hostname, checkDns1123Label(hostname))
  if (!hints) return
  checkHints(out, `${path}.hints.forZones`, hints.forZones, checkLabelValue)
  checkHints(out, `${path}.hints.forNodes`, hints.forNodes, checkDns1123Subdomain)
}

function checkAddress(out: Problems, field: string, address: string, type: string): void {
  if (type === 'FQDN') checkDomain(out, field, address)
  else if (type === 'IPv4' && isIP(address) !== 4) {
    out.push(invalid(field, address, 'must be an IPv4 address'))
  } else if (type === 'IPv6' && isIP(address) !== 6) {
    out.push(invalid(field, address, 'must be an IPv6 address'))
  } else if (type !== '') checkEach(out, field, address, specialIpProblems(address))
}

/** At least two labels, and perhaps a dot behind them. */
function checkDomain(out: Problems, field: string, address: string): void {
  if (address === '') {
    out.push(required(field))
    return
  }
  const name = address.replace(/\.$/, '')
  const problems = checkDns1123Subdomain(name)
  const labels = name.split('.')
  if (problems.length > 0) out.push(invalid(field, name, problems.join(',')))
  else if (labels.length < 2) {
    out.push(invalid(field, name, 'should be a domain with at least two segments separated by dots'))
  } else {
    for (const label of labels) {
      const wrong = checkDns1123Label(label)
      if (wrong.length > 0) out.push(invalid(field, label, wrong.join(',')))
    }
  }
}

function checkHints(
  out: Problems,
  list: string,
  hints: Hints['forZones'],
  rule: (name: string) => readonly string[],
): void {
  const names = (hints ?? []).map(hint => hint.name ?? '')
  if (names.length > HINTS_MAX) {
    out.push(tooMany(list, names.length, HINTS_MAX))
    return
  }
  for (const [index, name] of names.entries()) {
    const field = `${at(list, index)}.name`
    if (names.indexOf(name) < index) out.push(duplicate(field, name))
    checkEach(out, field, name, rule(name))
  }
}

function checkPorts(out: Problems, ports: NonNullable<EndpointSlice['ports']>): void {
  if (ports.length > PORTS_MAX) {
    out.push(tooMany('ports', ports.length, PORTS_MAX))
    return
  }
  const names = new Set<string>()
  for (const [index, { name = '', protocol, appProtocol }] of ports.entries()) {
    const field = at('ports', index)
    if (name !== '') checkEach(out, `${field}.name`, name, checkDns1123Label(name))
    if (names.has(name)) out.push(duplicate(`${field}.name`, name))
    names.add(name)
    if (!protocol) out.push(required(`${field}.protocol`))
    else checkOneOf(out, `${field}.protocol`, protocol, PROTOCOLS)
    if (appProtocol === undefined) continue
    checkEach(out, `${field}.appProtocol`, appProtocol, checkQualifiedName(appProtocol))
  }
}
