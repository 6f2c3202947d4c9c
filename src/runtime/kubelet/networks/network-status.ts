/** What a pod's annotation says of its interfaces (pure). */
import { type CniResult, interfacesIn } from '../runtime/oci/cni-config.ts'
import type { SandboxNetwork } from '../runtime/runtime.ts'

/** As in the annotation. */
export interface NetworkStatus {
  readonly name: string
  readonly interface: string
  readonly ips?: readonly string[]
  readonly mac?: string
  readonly default?: boolean
  readonly dns: object
  readonly gateway?: readonly string[]
  readonly 'device-info'?: object
}

export interface AttachedNetwork {
  readonly name: string
  readonly interfaceName: string
  readonly result: CniResult | null
  readonly defaultRoute: readonly string[]
  /** What is known of the device that it was made of. */
  readonly deviceInfo?: object | null
}

export function renderNetworkStatus(
  own: Pick<SandboxNetwork, 'interfaces' | 'dns'> & { readonly name: string },
  attached: readonly AttachedNetwork[],
): readonly NetworkStatus[] {
  const first = own.interfaces.find(({ name }) => name === 'eth0') ?? own.interfaces[0]
  const eth0 = { name: own.name, interface: first?.name ?? 'eth0', default: true, dns: own.dns }
  const { addresses = [], mac = '', gateways = [] } = first ?? {}
  return [render(eth0, { addresses, mac, gateways }), ...attached.map(renderOne)]
}

function renderOne(attached: AttachedNetwork): NetworkStatus {
  const { name, interfaceName, result, defaultRoute, deviceInfo } = attached
  const found = interfacesIn(result, interfaceName).find(each => each.name === interfaceName)
  const { addresses = [], mac = '', gateways = [] } = found ?? {}
  const all = [...new Set([...gateways, ...defaultRoute])]
  const dns = (result?.['dns'] as object | undefined) ?? {}
  const status = render({ name, interface: interfaceName, dns }, { addresses, mac, gateways: all })
  return deviceInfo ? { ...status, 'device-info': deviceInfo } : status
}

function render(
  base: { name: string; interface: string; default?: boolean; dns: object },
  found: { addresses: readonly string[]; mac: string; gateways: readonly string[] },
): NetworkStatus {
  const { name, dns, ...rest } = base
  return {
    ...{ name, interface: rest.interface },
    ...(found.addresses.length > 0 ? { ips: found.addresses } : {}),
    ...(found.mac === '' ? {} : { mac: found.mac }),
    ...(rest.default === true ? { default: true } : {}),
    dns,
    ...(found.gateways.length > 0 ? { gateway: found.gateways } : {}),
  }
}
