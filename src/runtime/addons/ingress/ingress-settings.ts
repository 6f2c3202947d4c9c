/** What routing is told, out of the add-on's parameters. Pure. */
import { bytesOf } from '../../ingress/annotations.ts'
import type { IngressSettings } from '../../ingress/world.ts'
import type { ParameterValues } from '../addon-object.ts'

export const INGRESS_ADDON = 'ingress'

export function ingressSettings(parameters: ParameterValues): IngressSettings {
  const text = (name: string) => String(parameters[name] ?? '')
  return {
    httpPort: Number(parameters['http-port'] ?? 80),
    httpsPort: Number(parameters['https-port'] ?? 443),
    defaultCertificate: text('default-ssl-certificate'),
    bodyBytesMax: bytesOf(text('proxy-body-size')) ?? 0,
    trustedProxies: [parameters['trusted-proxies'] ?? []].flat().join(','),
    proxyProtocol: parameters['proxy-protocol'] === true,
    accessLog: parameters['access-log'] === true,
  }
}
