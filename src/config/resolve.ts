/** Makes one configuration out of flags, environment, file and defaults, in this order. Pure. */
import { must } from '../base/assert.ts'
import { Mk8sError } from '../base/errors.ts'
import { nearest } from '../base/nearest.ts'
import { cidrsOverlap, parseCidr as parseAnyCidr } from '../kube/cidr.ts'
import { familyOf } from '../kube/ip-family.ts'
import { inBothLists } from './admission-plugins.ts'
import type { ConfigDocuments } from './documents.ts'
import type { Failover } from './failover.ts'
import type { ClusterConfig, NodeConfig } from './node-config.ts'
import { DATA_DIR_ENV, options } from './options.ts'
import { mirrorCidr, overlap, parseCidr, parsePortRange, problemWith } from './values.ts'

export type Origin = 'flag' | 'environment' | 'file' | 'recorded' | 'default'

export interface OptionValue {
  readonly text: string
  readonly origin: Origin
  /** How to name the place in a message: `--api-port`, `MK8S_API_PORT`, `ports.api`. */
  readonly place: string
}

export interface ConfigSources {
  /** By flag name. */
  readonly flags: Readonly<Record<string, string | undefined>>
  readonly env: Readonly<Record<string, string | undefined>>
  readonly file?: ConfigDocuments
  /** What an earlier install wrote down. */
  readonly recorded?: ConfigDocuments
  /** Values of the options whose default is found out on the machine. */
  readonly machine: MachineValues
}

export interface MachineValues {
  readonly nodeName: string
  readonly bindAddress: string
  /** For clusters whose first family is IPv6; as `bindAddress` unless given. */
  readonly bindAddress6?: string | undefined
}

/** As typed in, complete: what the runtime `auto` means is decided by the host. */
export interface ResolvedConfig {
  readonly node: Omit<
    NodeConfig,
    'clusterId' | 'memberId' | 'role' | 'dataDir' | 'runtime' | 'runtimeReason'
  > & {
    readonly runtime: NodeConfig['runtime'] | 'auto'
  }
  readonly cluster: ClusterConfig
  readonly values: ReadonlyMap<string, OptionValue>
}

/** Variables with our prefix that are no options. */
const otherVariables = [DATA_DIR_ENV, 'MK8S_DEBUG', 'MK8S_CONFIG', 'MK8S_JOIN_TOKEN']

/** Throws `config/invalid` with every problem there is. */
export function resolveConfig(sources: ConfigSources): ResolvedConfig {
  const values = new Map(options.map(option => [option.key, pick(option.key, sources)]))
  const problems = [
    ...(sources.file?.problems ?? []),
    ...unknownVariables(sources.env),
    ...valueProblems(values),
    ...overriddenProblems(values, sources.file),
  ]
  if (problems.length === 0)
    problems.push(...networkProblems(values), ...portProblems(values), ...pluginProblems(values))
  if (problems.length > 0) throw invalidConfig(problems)
  return { node: toNode(values), cluster: toCluster(values), values }
}

export function invalidConfig(problems: readonly string[]): Mk8sError {
  const [first = '', ...rest] = problems
  const message = rest.length === 0 ? first : `the configuration has ${problems.length} problems`
  return new Mk8sError('config/invalid', message, {
    ...(rest.length > 0 && { why: problems.join('\n') }),
    hint: 'see docs/configuration.md, or mk8s options show; nothing was changed',
    fields: { problems },
  })
}

function pick(key: string, sources: ConfigSources): OptionValue {
  const { flags, env, file, recorded, machine } = sources
  const option = must(
    options.find(each => each.key === key),
    `option ${key}`,
  )
  const flag = flags[option.flag]
  if (flag !== undefined) return { text: flag, origin: 'flag', place: `--${option.flag}` }
  const variable = env[option.env]
  if (variable !== undefined && variable !== '') {
    return { text: variable, origin: 'environment', place: option.env }
  }
  const filed = file?.values.get(key)
  if (filed !== undefined) return { text: filed, origin: 'file', place: key }
  const noted = recorded?.values.get(key)
  if (noted !== undefined) return { text: noted, origin: 'recorded', place: key }
  const find = () => (key === 'nodeName' ? machine.nodeName : addressFor(sources))
  return { text: option.default ?? find(), origin: 'default', place: `--${option.flag}` }
}

/** Of the cluster's first family, if the machine has one. */
function addressFor(sources: ConfigSources): string {
  const { bindAddress, bindAddress6 = bindAddress } = sources.machine
  return pick('serviceCidr', sources).text.split(',')[0]?.includes(':') ? bindAddress6 : bindAddress
}

function unknownVariables(env: ConfigSources['env']): string[] {
  const known = [...options.map(option => option.env), ...otherVariables]
  return Object.keys(env)
    .filter(name => name.startsWith('MK8S_') && !known.includes(name))
    .flatMap(name => {
      const meant = nearest(name, known)
      return meant === undefined ? [] : [`unknown variable ${name}; did you mean ${meant}?`]
    })
}

type Values = ReadonlyMap<string, OptionValue>

function valueProblems(values: Values): string[] {
  return options.flatMap(option => {
    const { text, place } = must(values.get(option.key), option.key)
    const problem = problemWith(option.type, text)
    return problem === undefined ? [] : [`${place}: ${problem}`]
  })
}

/** A file is wrong where it is wrong, even where a flag wins over it. */
function overriddenProblems(values: Values, file: ConfigDocuments | undefined): string[] {
  return options.flatMap(({ key, type }) => {
    const text = file?.values.get(key)
    if (text === undefined || values.get(key)?.origin === 'file') return []
    const problem = problemWith(type, text)
    return problem === undefined ? [] : [`${key}: ${problem}`]
  })
}

const textOf = (values: Values, key: string): string => must(values.get(key), key).text

/** Of both families, and of the address that the node is known by. */
function networkProblems(values: Values): string[] {
  const [services, pods] = [networksOf(values, 'serviceCidr'), networksOf(values, 'podCidr')]
  const familiesOf = ({ ordered }: typeof services) => ordered.map(familyOf).join()
  if (familiesOf(services) !== familiesOf(pods))
    return [
      'serviceCidr and podCidr: both need a network of each family that the cluster has, in the same order',
    ]
  const address = must(values.get('bindAddress'), 'bindAddress')
  const [first = ''] = services.ordered
  return [
    ...(services.ipv6 === undefined ? [] : ipv6Problems(services.ipv6, must(pods.ipv6, 'pods'))),
    ...(services.ipv4 === undefined ? [] : ipv4Problems(services.ipv4, must(pods.ipv4, 'pods'))),
    // An empty one is found out on the machine.
    ...(first.includes(':') && address.text !== '' && !address.text.includes(':')
      ? [`${address.place}: the first family of the cluster is IPv6, and ${address.text} is of IPv4`]
      : []),
  ]
}

function ipv4Problems(serviceText: string, podText: string): string[] {
  const [services, pods] = [must(parseCidr(serviceText), 'services'), must(parseCidr(podText), 'pods')]
  const problems: string[] = []
  if (pods.prefix > 24)
    problems.push('podCidr: the pod network must be a /24 or larger: every node gets a /24 of it')
  const loopback = { base: 127 * 2 ** 24, prefix: 24 }
  for (const [key, network, text] of [
    ['serviceCidr', services, serviceText] as const,
    ['podCidr', pods, podText] as const,
  ]) {
    if (overlap(mirrorCidr(network), loopback))
      problems.push(`${key}: ${text} would be mirrored onto 127.0.0.0/24, which the host itself uses`)
  }
  if (overlap(mirrorCidr(services), mirrorCidr(pods))) {
    problems.push(
      'serviceCidr and podCidr must differ behind the first octet: their mirrors in 127.0.0.0/8 overlap',
    )
  }
  return problems
}

const networksOf = (values: Values, key: 'serviceCidr' | 'podCidr') => {
  const ordered = textOf(values, key).split(',')
  const of = (name: string) => ordered.find(network => familyOf(network) === name)
  return { ordered, ipv4: of('IPv4'), ipv6: of('IPv6') }
}

const IPV6_PODS = { largest: 48, smallest: 64 }
/** As upstream: more addresses could not be kept track of; and enough for what clusters begin with. */
const IPV6_SERVICES = { largest: 64, smallest: 124 }

function ipv6Problems(services: string, pods: string): string[] {
  const [service, pod] = [services, pods].map(text => must(parseAnyCidr(text), 'network of IPv6'))
  const problems: string[] = []
  const check = (key: string, length: number, { largest, smallest }: typeof IPV6_PODS) => {
    if (length < largest || length > smallest)
      problems.push(`${key}: the network of IPv6 must be a /${largest} to /${smallest}`)
  }
  check('podCidr', must(pod, 'pods').prefixLength, IPV6_PODS)
  check('serviceCidr', must(service, 'services').prefixLength, IPV6_SERVICES)
  if (cidrsOverlap(must(service, 'services'), must(pod, 'pods')))
    problems.push('serviceCidr and podCidr: their networks of IPv6 overlap')
  return problems
}

function portProblems(values: Values): string[] {
  const ports = options.filter(option => option.type === 'port')
  const { first, last } = must(parsePortRange(textOf(values, 'nodePortRange')), 'range of node ports')
  return ports.flatMap((option, index) => {
    const text = textOf(values, option.key)
    const twin = ports.slice(0, index).find(other => textOf(values, other.key) === text)
    const taken = Number(text) >= first && Number(text) <= last
    return [
      ...(twin ? [`${option.key} and ${twin.key} are both ${text}`] : []),
      ...(taken ? [`${option.key}: ${text} lies in the range of node ports ${first}-${last}`] : []),
    ]
  })
}

function pluginProblems(values: Values): string[] {
  const [enable, disable] = [
    must(values.get('apiServer.enableAdmissionPlugins'), 'enabled plugins'),
    must(values.get('apiServer.disableAdmissionPlugins'), 'disabled plugins'),
  ]
  const both = inBothLists(enable.text, disable.text)
  return both.length === 0 ? [] : [`${both.join(', ')} in ${enable.place} and ${disable.place} overlapped`]
}

function toNode(values: Values): ResolvedConfig['node'] {
  const port = (name: string) => Number(textOf(values, `ports.${name}`))
  return Object.freeze({
    nodeName: textOf(values, 'nodeName'),
    bindAddress: textOf(values, 'bindAddress'),
    ports: Object.freeze({
      api: port('api'),
      join: port('join'),
      raft: port('raft'),
      kubelet: port('kubelet'),
    }),
    runtime: textOf(values, 'runtime') as ResolvedConfig['node']['runtime'],
    failureDomain: textOf(values, 'failureDomain'),
    etcdListen: textOf(values, 'etcd.listen'),
    criSocket: textOf(values, 'criSocket').replace(/^unix:\/\//, ''),
    logLevel: textOf(values, 'logLevel') as NodeConfig['logLevel'],
    ...imagesOf(values),
    ...groupOf(values, 'apiServer'),
    ...groupOf(values, 'kubelet'),
    ...groupOf(values, 'scheduler'),
  })
}

function imagesOf(values: Values): Pick<NodeConfig, 'imagesDirectory'> {
  const imagesDirectory = textOf(values, 'imagesDirectory')
  return imagesDirectory === '' ? {} : { imagesDirectory }
}

/** What of the API server, the kubelet or the scheduler is not as by default. */
function groupOf(
  values: Values,
  group: 'apiServer' | 'kubelet' | 'scheduler',
): Pick<NodeConfig, typeof group> {
  const set = options
    .filter(({ key, default: usual }) => key.startsWith(`${group}.`) && textOf(values, key) !== usual)
    .map(({ key }) => [key.slice(group.length + 1), textOf(values, key)] as const)
  return set.length === 0 ? {} : { [group]: Object.freeze(Object.fromEntries(set)) }
}

function toCluster(values: Values): ClusterConfig {
  const [serviceCidr = '', secondService] = networksOf(values, 'serviceCidr').ordered
  const [podCidr = '', secondPods] = networksOf(values, 'podCidr').ordered
  const second =
    secondService !== undefined && secondPods !== undefined
      ? { serviceCidr: secondService, podCidr: secondPods }
      : undefined
  return Object.freeze({
    ...{ serviceCidr, podCidr },
    ...(second !== undefined && (serviceCidr.includes(':') ? { ipv4: second } : { ipv6: second })),
    clusterDomain: textOf(values, 'clusterDomain'),
    nodePortRange: Object.freeze(
      must(parsePortRange(textOf(values, 'nodePortRange')), 'range of node ports'),
    ),
    failover: textOf(values, 'failover') as Failover,
    voters: Number(textOf(values, 'voters')),
  })
}
