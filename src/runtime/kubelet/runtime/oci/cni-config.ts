/** Network configurations as plugins get them, and what they answer (pure). */
import { Mk8sError, messageOf } from '../../../../base/errors.ts'
import { integerValue, parseQuantity } from '../../../../kube/quantity.ts'
import type { HostPort, SandboxConfig, SandboxInterface } from '../runtime.ts'

export interface CniPlugin {
  readonly type: string
  readonly capabilities?: Readonly<Record<string, boolean>>
  readonly [key: string]: unknown
}

export interface CniResult {
  readonly interfaces?: readonly {
    readonly name: string
    readonly mac?: string
    /** Empty: it is the host's end. */
    readonly sandbox?: string
  }[]
  readonly ips?: readonly {
    readonly address: string
    readonly gateway?: string
    /** Which of the interfaces has it. */
    readonly interface?: number
  }[]
  readonly routes?: readonly { readonly dst: string; readonly gw?: string }[]
  readonly [key: string]: unknown
}

export interface CniArguments {
  readonly containerId: string
  /** Empty when the namespace is gone. */
  readonly netns: string
  readonly interfaceName: string
  /** K8S_POD_NAME and its like. */
  readonly pod: Readonly<Record<string, string>>
  /** By capability: what only the pod decides. */
  readonly runtimeConfig: Readonly<Record<string, unknown>>
}

export interface NetworkConfig {
  readonly name: string
  readonly cniVersion: string
  readonly plugins: readonly CniPlugin[]
}

/** A list of plugins, or a single one. */
export function parseNetworkConfig(text: string, file: string): NetworkConfig {
  const wrong = (why: string) =>
    new Mk8sError('kubelet/runtime', `${file} is no network configuration`, { why })
  let parsed: Partial<NetworkConfig> & Partial<CniPlugin>
  try {
    parsed = JSON.parse(text)
  } catch (error) {
    throw wrong((error as Error).message)
  }
  const { name = '', cniVersion = '0.1.0', plugins, type } = parsed
  const all = plugins ?? (typeof type === 'string' ? [parsed as CniPlugin] : [])
  if (all.length === 0) throw wrong('it names no plugin')
  const unnamed = all.some(plugin => typeof plugin.type !== 'string' || /[/\0]/.test(plugin.type))
  if (unnamed) throw wrong('a plugin has no type')
  return { name, cniVersion, plugins: all }
}

/** Those that only carry out wishes of the pod, when it has such wishes. */
const BY_WISH = ['portmap', 'bandwidth']

export function pluginsFor(plugins: readonly CniPlugin[], { runtimeConfig }: CniArguments): CniPlugin[] {
  return plugins.filter(({ type, capabilities = {} }) => {
    const wished = Object.keys(capabilities).some(name => runtimeConfig[name] !== undefined)
    return wished || !BY_WISH.includes(type)
  })
}

export function pluginConfig(
  attachment: {
    readonly network: string
    readonly cniVersion: string
    readonly arguments: CniArguments
    readonly result: CniResult | null
  },
  plugin: CniPlugin,
): object {
  const { capabilities = {}, ...rest } = plugin
  const { runtimeConfig } = attachment.arguments
  const own = Object.keys(capabilities).filter(
    name => capabilities[name] === true && runtimeConfig[name] !== undefined,
  )
  return {
    ...rest,
    name: attachment.network,
    cniVersion: attachment.cniVersion,
    ...(own.length === 0
      ? {}
      : { runtimeConfig: Object.fromEntries(own.map(name => [name, runtimeConfig[name]])) }),
    ...(attachment.result === null ? {} : { prevResult: attachment.result }),
  }
}

/** Without the length of the prefix. */
export function addressesIn(result: CniResult | null): string[] {
  return (result?.ips ?? []).map(({ address }) => address.split('/')[0] ?? '')
}

const EVERYWHERE = ['0.0.0.0/0', '::/0']

/** Those in the pod. Plugins of before CNI 0.3 tell of none, so that all addresses are the wanted one's. */
export function interfacesIn(result: CniResult | null, wanted: string): SandboxInterface[] {
  if (result === null) return []
  const { interfaces = [], ips = [], routes = [] } = result
  const told = interfaces.flatMap((each, at) => (each.sandbox ? [{ ...each, at }] : []))
  if (told.length === 0) {
    const { ip4, ip6 } = result as { ip4?: { ip?: string }; ip6?: { ip?: string } }
    const old = [ip4?.ip, ip6?.ip].filter(ip => ip !== undefined)
    const addresses = [...addressesIn(result), ...old.map(ip => ip.split('/')[0] ?? '')]
    return [{ name: wanted, mac: '', addresses, gateways: [] }]
  }
  const hasDefault = (family: string) => routes.some(({ dst }) => dst === family)
  return told.map(({ name, mac = '', at }) => {
    const own = ips.filter(ip => (ip.interface ?? told[0]?.at) === at)
    const gateways = own.flatMap(({ address, gateway = '' }) => {
      const family = EVERYWHERE[address.includes(':') ? 1 : 0] ?? ''
      const route = routes.find(({ dst, gw }) => dst === family && gw !== undefined)
      return hasDefault(family) ? [route?.gw ?? gateway] : []
    })
    const addresses = own.map(({ address }) => address.split('/')[0] ?? '')
    return { name, mac, addresses, gateways: gateways.filter(gateway => gateway !== '') }
  })
}

export function portMappings(ports: readonly HostPort[]): object[] {
  return ports.map(({ hostPort, containerPort, protocol, hostIp }) => ({
    hostPort,
    containerPort,
    protocol: protocol.toLowerCase(),
    ...(hostIp === '' ? {} : { hostIP: hostIp }),
  }))
}

/** What only the pod decides of its own network. */
export function wishesOf({
  annotations,
  isolation,
}: Pick<SandboxConfig, 'annotations' | 'isolation'>): Readonly<Record<string, unknown>> {
  const bandwidth = bandwidthOf(annotations)
  const ports = isolation?.hostPorts ?? []
  return {
    ...(ports.length === 0 ? {} : { portMappings: portMappings(ports) }),
    ...(bandwidth === undefined ? {} : { bandwidth }),
  }
}

const INGRESS = 'kubernetes.io/ingress-bandwidth'
const EGRESS = 'kubernetes.io/egress-bandwidth'
const BITS_MIN = 1e3
const BITS_MAX = 1e15
/** What may go at once, in bits: so much of a second, at least some packets, and no more than the plugin takes. */
const BURST_SECONDS = 0.1
const BURST_BITS_MIN = 64 * 1024 * 8
const BURST_BITS_MAX = 2 ** 31 - 1

/** What the pod's annotations say of its bandwidth, in bits a second; undefined when nothing. Throws on nonsense. */
export function bandwidthOf(annotations: Readonly<Record<string, string>>): object | undefined {
  const ingress = bitsOf(annotations, INGRESS)
  const egress = bitsOf(annotations, EGRESS)
  if (ingress === undefined && egress === undefined) return undefined
  return {
    ...(ingress === undefined ? {} : { ingressRate: ingress, ingressBurst: burstOf(ingress) }),
    ...(egress === undefined ? {} : { egressRate: egress, egressBurst: burstOf(egress) }),
  }
}

const burstOf = (bits: number): number =>
  Math.min(BURST_BITS_MAX, Math.max(BURST_BITS_MIN, Math.floor(bits * BURST_SECONDS)))

function bitsOf(annotations: Readonly<Record<string, string>>, name: string): number | undefined {
  const text = annotations[name]
  if (text === undefined) return undefined
  const bits = readQuantity(name, text)
  const isSmall = bits < BITS_MIN
  if (!isSmall && bits <= BITS_MAX) return bits
  const why = isSmall ? 'unreasonably small (< 1kbit)' : 'unreasonably large (> 1Pbit)'
  throw new Mk8sError('kubelet/runtime', `annotation ${name}: resource is ${why}`)
}

function readQuantity(name: string, text: string): number {
  try {
    return integerValue(parseQuantity(text))
  } catch (error) {
    throw new Mk8sError('kubelet/runtime', `annotation ${name}: ${messageOf(error)}`, { cause: error })
  }
}
