/**
 * Service rules as an nftables ruleset (pure). A map leads from address and port to the service's chain, that one at
 * random to an endpoint's chain, and that one rewrites the destination. Chains and affinity sets are named after
 * what they are for, so that loading a new ruleset keeps what did not change, remembered clients included.
 */
import { createHash } from 'node:crypto'
import type { Backend, ProxyRule } from './proxy-rules.ts'

/** Stands for every address of the node in a rule of a node port. */
export const ANY_NODE_ADDRESS = '0.0.0.0'

export interface RulesetInput {
  readonly table: string
  readonly podCidr: string
  /** Those without backends too. */
  readonly rules: readonly ProxyRule[]
}

export interface Ruleset {
  /** For `nft -f -`; loads all or nothing. */
  readonly text: string
  /** Names that the next ruleset may not have any more. */
  readonly chains: ReadonlySet<string>
  readonly sets: ReadonlySet<string>
}

/** The mark of connections whose source address has to become the node's. */
const MARK = '0x4000'
const UNMARK = '0xffffbfff'
const NAME_LENGTH_MAX = 90

const FIXED = [
  'map services { type ipv4_addr . inet_proto . inet_service : verdict; }',
  'map nodeports { type inet_proto . inet_service : verdict; }',
  'set cluster-ips { type ipv4_addr; }',
  'set refused-nodeports { type inet_proto . inet_service; }',
]

export function renderRuleset(input: RulesetInput): Ruleset {
  const { table, rules } = input
  const served = rules.filter(({ backends }) => backends.length > 0)
  const endpoints = endpointsOf(served)
  const services = served.map(rule => serviceChain(rule, input))
  const affinities = [...endpoints.values()].flatMap(({ affinity }) => (affinity === null ? [] : [affinity]))
  const chains = [...endpoints.values(), ...services]
  const declared = FIXED.map(text => text.split(' ').slice(0, 2).join(' '))
  const text = [
    `add table ip ${table}`,
    `flush table ip ${table}`,
    ...FIXED.map(fixed => fixed.replace(/^(\w+) /, `add $1 ip ${table} `)),
    ...declared.map(fixed => fixed.replace(/^(\w+) /, `flush $1 ip ${table} `)),
    `table ip ${table} {`,
    ...affinities.map(
      ({ name, seconds }) =>
        `  set ${name} { type ipv4_addr; flags dynamic, timeout; timeout ${seconds}s; size 65535; }`,
    ),
    ...chains.map(({ name, lines }) => block(name, lines)),
    ...baseChains(input).map(({ name, lines }) => block(name, lines)),
    '}',
    ...elements(table, rules),
    '',
  ].join('\n')
  return {
    text,
    chains: new Set(chains.map(({ name }) => name)),
    sets: new Set(affinities.map(({ name }) => name)),
  }
}

interface Chain {
  readonly name: string
  readonly lines: readonly string[]
}

interface EndpointChain extends Chain {
  readonly affinity: { readonly name: string; readonly seconds: number } | null
}

const block = (name: string, lines: readonly string[]) =>
  `  chain ${name} {\n${lines.map(line => `    ${line}\n`).join('')}  }`

/** The same backend of the same port of a service is one chain, however it is reached. */
function endpointsOf(rules: readonly ProxyRule[]): ReadonlyMap<string, EndpointChain> {
  const found = new Map<string, EndpointChain>()
  for (const rule of rules) {
    for (const backend of rule.backends) {
      const name = endpointName(rule, backend)
      const affinity = affinityOf(rule, backend)
      found.set(name, {
        name,
        affinity,
        lines: [
          `ip saddr ${backend.address} meta mark set meta mark | ${MARK}`,
          ...(affinity === null ? [] : [`update @${affinity.name} { ip saddr }`]),
          `meta l4proto ${rule.protocol.toLowerCase()} dnat to ${backend.address}:${backend.port}`,
        ],
      })
    }
  }
  return found
}

function serviceChain(rule: ProxyRule, { podCidr }: RulesetInput): Chain {
  const isNodePort = rule.address === ANY_NODE_ADDRESS
  // Callers from outside see answers from whom they asked only if those come back through this node.
  const outside = isNodePort ? '' : `ip saddr != ${podCidr} `
  const masquerade = rule.isLocalOnly && isNodePort ? 'fib saddr type local ' : outside
  const sticky = rule.backends.flatMap(backend => {
    const affinity = affinityOf(rule, backend)
    return affinity === null ? [] : [`ip saddr @${affinity.name} goto ${endpointName(rule, backend)}`]
  })
  const choices = rule.backends.map((backend, index) => `${index} : goto ${endpointName(rule, backend)}`)
  return {
    name: serviceName(rule),
    lines: [
      `${masquerade}meta mark set meta mark | ${MARK}`,
      ...sticky,
      `numgen random mod ${choices.length} vmap { ${choices.join(', ')} }`,
    ],
  }
}

function baseChains({ podCidr }: RulesetInput): Chain[] {
  const isNew = 'ct state new'
  const refuse = (match: string) => [
    `${isNew} ${match} meta l4proto tcp reject with tcp reset`,
    `${isNew} ${match} reject`,
  ]
  const refuseServices = refuse('ip daddr @cluster-ips')
  const dispatch = 'ip daddr . meta l4proto . th dport vmap @services'
  return [
    {
      name: 'dispatch',
      lines: [dispatch, 'fib daddr type local meta l4proto . th dport vmap @nodeports'],
    },
    {
      name: 'prerouting',
      lines: ['type nat hook prerouting priority -100; policy accept;', 'jump dispatch'],
    },
    { name: 'output', lines: ['type nat hook output priority -100; policy accept;', 'jump dispatch'] },
    {
      name: 'postrouting',
      lines: [
        'type nat hook postrouting priority 100; policy accept;',
        `meta mark & ${MARK} == ${MARK} meta mark set meta mark & ${UNMARK} masquerade fully-random`,
        `ip saddr ${podCidr} ip daddr != ${podCidr} masquerade`,
      ],
    },
    {
      name: 'filter-forward',
      lines: ['type filter hook forward priority 0; policy accept;', ...refuseServices],
    },
    {
      name: 'filter-output',
      lines: ['type filter hook output priority 0; policy accept;', ...refuseServices],
    },
    {
      name: 'filter-input',
      lines: [
        'type filter hook input priority 0; policy accept;',
        // Node ports on loopback need it to be routable; nobody else's packets may use that.
        'iifname != "lo" ip daddr 127.0.0.0/8 ct state new ct status & dnat != dnat drop',
        ...refuse('fib daddr type local meta l4proto . th dport @refused-nodeports'),
      ],
    },
  ]
}

function elements(table: string, rules: readonly ProxyRule[]): string[] {
  const add = (set: string, values: readonly string[]) =>
    values.length === 0 ? [] : [`add element ip ${table} ${set} {\n  ${values.join(',\n  ')}\n}`]
  const isNodePort = (rule: ProxyRule) => rule.address === ANY_NODE_ADDRESS
  const isServed = ({ backends }: ProxyRule) => backends.length > 0
  const portOf = ({ protocol, port }: ProxyRule) => `${protocol.toLowerCase()} . ${port}`
  const clusterIps = rules.filter(rule => !isNodePort(rule))
  const nodePorts = rules.filter(isNodePort)
  const toChain = (rule: ProxyRule) => `goto ${serviceName(rule)}`
  return [
    ...add(
      'services',
      clusterIps.filter(isServed).map(rule => `${rule.address} . ${portOf(rule)} : ${toChain(rule)}`),
    ),
    ...add(
      'nodeports',
      nodePorts.filter(isServed).map(rule => `${portOf(rule)} : ${toChain(rule)}`),
    ),
    ...add('cluster-ips', [...new Set(clusterIps.map(({ address }) => address))]),
    ...add('refused-nodeports', nodePorts.filter(rule => !isServed(rule)).map(portOf)),
  ]
}

function affinityOf(rule: ProxyRule, backend: Backend): EndpointChain['affinity'] {
  if (rule.affinityMs === null) return null
  const seconds = Math.round(rule.affinityMs / 1_000)
  return { name: nameOf(`aff${seconds}`, endpointKey(rule, backend), rule), seconds }
}

const endpointKey = ({ service, protocol }: ProxyRule, { address, port }: Backend) =>
  `${service} ${protocol} ${address}:${port}`
const endpointName = (rule: ProxyRule, backend: Backend) => nameOf('ep', endpointKey(rule, backend), rule)
const serviceName = (rule: ProxyRule) => nameOf('svc', `${rule.service} ${rule.key}`, rule)

/** What people read, and a hash that tells apart what is cut off. */
function nameOf(kind: string, key: string, { service }: ProxyRule): string {
  const hash = createHash('sha256').update(key).digest('hex').slice(0, 10)
  return `${kind}-${hash}-${service.replaceAll(/[^a-z0-9-]/g, '-')}`.slice(0, NAME_LENGTH_MAX)
}
