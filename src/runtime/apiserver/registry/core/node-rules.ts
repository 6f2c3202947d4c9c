/** What upstream refuses in Nodes, and how the two fields for a node's networks agree. */
import { parseCidr } from '../../../../kube/cidr.ts'
import { duplicate, type FieldError, forbidden, invalid, required } from '../../../../kube/field-error.ts'
import { checkLabelValue, checkQualifiedName } from '../../../../kube/names.ts'
import type { Node, Taint } from '../../../../kube/types.ts'
import { at, semanticallyEqual } from '../support.ts'
import { cidrProblems } from '../validation/addresses.ts'
import { checkEach, checkOneOf, type Problems } from '../validation/meta.ts'
import { checkQuantity } from '../validation/resources.ts'
import { TAINT_EFFECTS } from '../validation/scheduling.ts'

const CIDRS_MAX = 2

/** `podCIDR` is the first of `podCIDRs`; what a node has it can hand out, unless it says less. */
export function settleNode(node: Node): void {
  const { spec, status } = node
  if (spec?.podCIDR && spec.podCIDR !== spec.podCIDRs?.[0]) spec.podCIDRs = [spec.podCIDR]
  else if (spec?.podCIDRs?.[0] !== undefined) spec.podCIDR = spec.podCIDRs[0]
  if (status?.capacity && !status.allocatable) status.allocatable = { ...status.capacity }
}

/** The path is upstream's, which looks for taints below the metadata. */
function checkTaints(out: Problems, taints: readonly Taint[]): void {
  const seen = new Set<string>()
  for (const [index, { key = '', value = '', effect = '', timeAdded }] of taints.entries()) {
    const field = at('metadata.taints', index)
    checkEach(out, `${field}.key`, key, checkQualifiedName(key))
    const problems = checkLabelValue(value)
    if (problems.length > 0) out.push(invalid(`${field}.value`, value, problems.join(';')))
    if (effect === '') out.push(required(`${field}.effect`))
    else checkOneOf(out, `${field}.effect`, effect, TAINT_EFFECTS)
    const pair = `${key}:${effect}`
    if (seen.has(pair)) {
      const shown = { Key: key, Value: value, Effect: effect, TimeAdded: timeAdded ?? null }
      const { message, ...rest } = duplicate(field, shown)
      out.push({ ...rest, message: `${message}: taints must be unique by key and effect pair` })
    }
    seen.add(pair)
  }
}

function checkAmounts(out: Problems, { status }: Node): void {
  for (const name of ['capacity', 'allocatable'] as const) {
    for (const [resource, amount] of Object.entries(status?.[name] ?? {})) {
      checkQuantity(out, `status.${name}.${resource}`, resource, amount)
    }
  }
}

export function nodeProblems(node: Node): readonly FieldError[] {
  const out: FieldError[] = []
  checkTaints(out, node.spec?.taints ?? [])
  checkAmounts(out, node)
  return out
}

export function newNodeProblems({ spec }: Node): readonly FieldError[] {
  const out: FieldError[] = []
  const cidrs = spec?.podCIDRs ?? []
  const field = 'spec.podCIDRs'
  for (const [index, text] of cidrs.entries()) {
    checkEach(out, at(field, index), text, cidrProblems(text))
  }
  if (cidrs.length < 2) return out
  const families = new Set(cidrs.map(text => parseCidr(text)?.family))
  if (families.size < 2 || cidrs.length > CIDRS_MAX) {
    out.push(invalid(field, cidrs, 'may specify no more than one CIDR for each IP family'))
  }
  for (const [index, text] of cidrs.entries()) {
    if (cidrs.indexOf(text) < index) out.push(duplicate(at(field, index), text))
  }
  return out
}

/** Holds for updates of the node and of its status alike. */
export function nodeUpdateProblems(next: Node, previous: Node): readonly FieldError[] {
  const out: FieldError[] = []
  const seen = new Set<string>()
  for (const [index, { type, address }] of (next.status?.addresses ?? []).entries()) {
    const field = at('status.addresses', index)
    if (seen.has(`${type} ${address}`)) out.push(duplicate(field, { Type: type, Address: address }))
    seen.add(`${type} ${address}`)
  }
  const { podCIDRs = [], providerID, externalID } = previous.spec ?? {}
  if (podCIDRs.length > 0 && !semanticallyEqual(podCIDRs, next.spec?.podCIDRs)) {
    out.push(forbidden('spec.podCIDRs', 'node updates may not change podCIDR except from "" to valid'))
  }
  if (providerID && providerID !== next.spec?.providerID) {
    const detail = 'node updates may not change providerID except from "" to valid'
    out.push(forbidden('spec.providerID', detail))
  }
  if ((externalID ?? '') !== (next.spec?.externalID ?? '')) {
    out.push(forbidden('spec.externalID', 'may not be updated'))
  }
  return out
}
