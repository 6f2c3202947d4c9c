/** What holds for a NetworkPolicy: its ports and ranges of ports, its peers, and the directions it is about. */

import { cidrContains, parseCidr } from '../../../../kube/cidr.ts'
import { type FieldError, forbidden, invalid, notSupported, required } from '../../../../kube/field-error.ts'
import { checkPortName, checkPortNumber } from '../../../../kube/names.ts'
import type { NetworkPolicy } from '../../../../kube/types.ts'
import { at } from '../support.ts'
import { cidrProblems } from '../validation/addresses.ts'
import { checkEach, checkSelector, type Problems } from '../validation/meta.ts'

type PolicySpec = NonNullable<NetworkPolicy['spec']>
type Port = NonNullable<NonNullable<PolicySpec['ingress']>[number]['ports']>[number]
type Peer = NonNullable<NonNullable<PolicySpec['egress']>[number]['to']>[number]

const PROTOCOLS = ['TCP', 'UDP', 'SCTP']
const DIRECTIONS = ['Ingress', 'Egress']

/** The types call the field `_from`; on the wire it is `from`. */
interface Rule {
  ports?: Port[]
  from?: Peer[]
  to?: Peer[]
}

/** The networks that a policy names, as they are written. */
const networksOf = (spec: PolicySpec | undefined): string[] =>
  [...(spec?.ingress ?? []), ...(spec?.egress ?? [])].flatMap(rule => {
    const { from = [], to = [] } = rule as Rule
    return [...from, ...to].flatMap(({ ipBlock }) => [ipBlock?.cidr ?? '', ...(ipBlock?.except ?? [])])
  })

/** `previous`: whose networks may stay as they are. */
export function checkPolicy(spec: PolicySpec | undefined, previous?: PolicySpec): readonly FieldError[] {
  const out: FieldError[] = []
  const kept = networksOf(previous)
  checkSelector(out, 'spec.podSelector', spec?.podSelector)
  for (const [index, rule] of ((spec?.ingress ?? []) as Rule[]).entries()) {
    checkRule(out, at('spec.ingress', index), { side: 'from', rule, kept })
  }
  for (const [index, rule] of ((spec?.egress ?? []) as Rule[]).entries()) {
    checkRule(out, at('spec.egress', index), { side: 'to', rule, kept })
  }
  const types = spec?.policyTypes ?? []
  if (types.length > DIRECTIONS.length) {
    out.push(invalid('spec.policyTypes', types, 'may not specify more than two policyTypes'))
    return out
  }
  for (const [index, type] of types.entries()) {
    if (!DIRECTIONS.includes(type)) out.push(notSupported(at('spec.policyTypes', index), type, DIRECTIONS))
  }
  return out
}

interface Side {
  readonly side: 'from' | 'to'
  readonly rule: Rule
  readonly kept: readonly string[]
}

function checkRule(out: Problems, field: string, { side, rule, kept }: Side): void {
  for (const [index, port] of (rule.ports ?? []).entries()) checkPort(out, at(`${field}.ports`, index), port)
  for (const [index, peer] of (rule[side] ?? []).entries()) {
    checkPeer(out, at(`${field}.${side}`, index), peer, kept)
  }
}

function checkPort(out: Problems, field: string, { protocol, port, endPort }: Port): void {
  if (protocol !== undefined && !PROTOCOLS.includes(protocol)) {
    out.push(notSupported(`${field}.protocol`, protocol, PROTOCOLS))
  }
  const end = `${field}.endPort`
  if (typeof port === 'number') {
    checkEach(out, `${field}.port`, port, checkPortNumber(port))
    if (endPort === undefined) return
    if (endPort < port) out.push(invalid(end, endPort, 'must be greater than or equal to `port`'))
    checkEach(out, end, endPort, checkPortNumber(endPort))
  } else if (port !== undefined) {
    if (endPort !== undefined) {
      out.push(invalid(end, endPort, 'may not be specified when `port` is non-numeric'))
    }
    checkEach(out, `${field}.port`, port, checkPortName(String(port)))
  } else if (endPort !== undefined) {
    out.push(invalid(end, endPort, 'may not be specified when `port` is not specified'))
  }
}

function checkPeer(out: Problems, field: string, peer: Peer, kept: readonly string[]): void {
  const { podSelector, namespaceSelector, ipBlock } = peer
  checkSelector(out, `${field}.podSelector`, podSelector)
  checkSelector(out, `${field}.namespaceSelector`, namespaceSelector)
  if (ipBlock) checkBlock(out, `${field}.ipBlock`, ipBlock, kept)
  if (!podSelector && !namespaceSelector && !ipBlock) out.push(required(field, 'must specify a peer'))
  else if (ipBlock && (podSelector || namespaceSelector)) {
    out.push(forbidden(field, 'may not specify both ipBlock and another peer'))
  }
}

type Block = NonNullable<Peer['ipBlock']>

function checkBlock(out: Problems, field: string, block: Block, kept: readonly string[]): void {
  if (!block.cidr) {
    out.push(required(`${field}.cidr`))
    return
  }
  checkEach(out, `${field}.cidr`, block.cidr, cidrProblems(block.cidr, kept))
  const whole = parseCidr(block.cidr)
  if (whole === null) return
  for (const [index, text] of (block.except ?? []).entries()) {
    const path = at(`${field}.except`, index)
    checkEach(out, path, text, cidrProblems(text, kept))
    const part = parseCidr(text)
    if (part === null) continue
    const first = { family: part.family, value: part.base }
    if (cidrContains(whole, first) && whole.prefixLength < part.prefixLength) continue
    out.push(invalid(path, text, 'must be a strict subset of `cidr`'))
  }
}
