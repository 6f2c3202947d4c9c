/** What is in the table of a node whatever its Services and policies are: hooks, maps, and the marks (pure). */
import { familyOf } from '../../kube/ip-family.ts'
import { type FamilyWords, wordsOf } from './family.ts'
import { PartBuilder, type TablePart } from './table-part.ts'

/** The mark of connections whose source address has to become the node's. */
const MARK = '0x4000'
const UNMARK = '0xffffbfff'
export const SET_MARK = `meta mark set meta mark | ${MARK}`

const PORT = 'inet_proto . inet_service'
const toAddressPort = (ip: FamilyWords['ip']) => `${ip} daddr . meta l4proto . th dport`
const TO_PORT = 'fib daddr type local meta l4proto . th dport'

/** Which lead to chains of Services and policies, by address and port. */
const MAPS = {
  services: 'address and port',
  nodeports: 'port',
  'no-endpoints': 'address and port',
  'no-endpoints-nodeports': 'port',
  firewall: 'address and port',
  'isolated-egress': 'address',
  'isolated-ingress': 'address',
} as const

/** An empty chain: whether it can be flushed says cheaply whether the table is there. */
export const PROBE_CHAIN = 'probe'

export type BaseMap = keyof typeof MAPS

const hook = (type: string, name: string, priority: number) =>
  `type ${type} hook ${name} priority ${priority}; policy accept;`

/** For the family of the pod network. */
export function renderBase(podCidr: string): TablePart {
  const part = new PartBuilder()
  const words = wordsOf(familyOf(podCidr))
  const { ip, address } = words
  const types = { 'address and port': `${address} . ${PORT}`, port: PORT, address }
  for (const [name, type] of Object.entries(MAPS)) part.set(name, `map { type ${types[type]} : verdict; }`)
  part.set('cluster-ips', `set { type ${address}; }`)
  part.set('itself', `set { type ${address} . ${address}; }`)
  part.chain(PROBE_CHAIN, [])
  addServices(part, podCidr, ip)
  addRefusals(part, words)
  addPolicies(part, ip)
  return part.build()
}

/** What comes from ::1 leaves no machine, whatever its source is made; so nobody is left hanging there. */
const NOT_LOOPBACK = { ip: '', ip6: 'ip6 daddr != ::1 ' } as const

function addServices(part: PartBuilder, podCidr: string, ip: FamilyWords['ip']): void {
  const toNodePort = `${NOT_LOOPBACK[ip]}${TO_PORT} vmap @nodeports`
  part.chain('dispatch', [`${toAddressPort(ip)} vmap @services`, toNodePort])
  part.chain('prerouting', [hook('nat', 'prerouting', -100), 'jump dispatch'])
  part.chain('output', [hook('nat', 'output', -100), 'jump dispatch'])
  part.chain('postrouting', [
    hook('nat', 'postrouting', 100),
    `meta mark & ${MARK} == ${MARK} meta mark set meta mark & ${UNMARK} masquerade fully-random`,
    `${ip} saddr ${podCidr} ${ip} daddr != ${podCidr} masquerade`,
  ])
}

/** Node ports on loopback need it to be routable, which IPv6 has not; nobody else's packets may use that. */
const LOOPBACK_GUARD = 'iifname != "lo" ip daddr 127.0.0.0/8 ct state new ct status & dnat != dnat drop'

/** Nobody is left hanging at an address that nothing serves; and only some may use load balancers' addresses. */
function addRefusals(part: PartBuilder, { ip, family }: FamilyWords): void {
  const guard = `ct state new ${toAddressPort(ip)} vmap @firewall`
  const refusals = [
    `ct state new ${toAddressPort(ip)} vmap @no-endpoints`,
    `ct state new ${ip} daddr @cluster-ips goto refuse`,
  ]
  part.chain('refuse', ['meta l4proto tcp reject with tcp reset', 'reject'])
  part.chain('guard-prerouting', [hook('filter', 'prerouting', -110), guard])
  part.chain('guard-output', [hook('filter', 'output', -110), guard])
  part.chain('filter-forward', [hook('filter', 'forward', 0), ...refusals])
  part.chain('filter-output', [hook('filter', 'output', 0), ...refusals])
  part.chain('filter-input', [
    hook('filter', 'input', 0),
    ...(family === 'IPv4' ? [LOOPBACK_GUARD] : []),
    ...refusals,
    `ct state new ${TO_PORT} vmap @no-endpoints-nodeports`,
  ])
}

/**
 * Network policies see what is forwarded, after Services have been resolved; a pod and its own node always reach
 * each other, and so does a pod itself. Two hooks, so that leaving and entering are both judged.
 */
function addPolicies(part: PartBuilder, ip: FamilyWords['ip']): void {
  const pass = ['ct state established,related accept', `${ip} saddr . ${ip} daddr @itself accept`]
  part.chain('policy-egress', [hook('filter', 'forward', -20), ...pass, `${ip} saddr vmap @isolated-egress`])
  part.chain('policy-ingress', [
    hook('filter', 'forward', -19),
    ...pass,
    `${ip} daddr vmap @isolated-ingress`,
  ])
}
