/** What routing is told, out of the add-on's parameters. Pure. */
import { mirrorOf } from '../../../kube/mirror-address.ts'
import { bytesOf } from '../../ingress/annotations.ts'
import type { IngressSettings } from '../../ingress/world.ts'
import type { ParameterValues } from '../addon-object.ts'

export const INGRESS_ADDON = 'ingress'

/** With the runtime `process`, pods have the mirrors of their addresses on loopback. */
export const loopbackPods = (runtime: string, podCidr: string): string =>
  runtime === 'process' ? podCidr.split(',').map(mirrorOf).join(',') : ''

export interface ClusterSettings {
  readonly loopbackPods: string
  readonly clusterDomain: string
}

export function ingressSettings(
  parameters: ParameterValues,
  cluster: ClusterSettings = { loopbackPods: '', clusterDomain: '' },
): IngressSettings {
  const text = (name: string) => String(parameters[name] ?? '')
  return {
    httpPort: Number(parameters['http-port'] ?? 80),
    httpsPort: Number(parameters['https-port'] ?? 443),
    defaultCertificate: text('default-ssl-certificate'),
    bodyBytesMax: bytesOf(text('proxy-body-size')) ?? 0,
    trustedProxies: [parameters['trusted-proxies'] ?? []].flat().join(','),
    proxyProtocol: parameters['proxy-protocol'] === true,
    ...cluster,
    gatewayPorts: [parameters['gateway-ports'] ?? []].flat().join(','),
    accessLog: parameters['access-log'] === true,
  }
}
