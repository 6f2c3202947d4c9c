/** The registry's certificate by the cluster's own authority: what it is for, when it is due, and who trusts it (pure). */
import type { X509Certificate } from 'node:crypto'
import type { RegistriesDocument } from '../../../kube/registries/registries.ts'
import type { Node, Service } from '../../../kube/types.ts'
import { isDue } from '../../pki/validity.ts'
import type { ParameterValues } from '../addon-object.ts'
import { NAMESPACE, SERVICE } from './registry-settings.ts'

/** What the parameter `tls` says for it; the Secret that it lies in is called so too. */
export const CLUSTER_TLS = 'cluster'

export interface CertificateNames {
  readonly dnsNames: readonly string[]
  readonly ipAddresses: readonly string[]
}

const LOOPBACK = ['127.0.0.1', '::1']

/** Whatever the registry is reached at, on nodes and in pods. */
export function namesOf(
  nodes: readonly Node[],
  service: Service | undefined,
  clusterDomain: string,
): CertificateNames {
  const name = `${SERVICE}.${NAMESPACE}`
  const { clusterIP = '', clusterIPs = [clusterIP] } = service?.spec ?? {}
  const own = clusterIPs.filter(address => address !== '' && address !== 'None')
  return {
    dnsNames: ['localhost', name, `${name}.svc`, `${name}.svc.${clusterDomain}`],
    ipAddresses: [...new Set([...LOOPBACK, ...own, ...addressesOf(nodes)])],
  }
}

const addressesOf = (nodes: readonly Node[]): string[] =>
  nodes
    .flatMap(({ status }) => status?.addresses ?? [])
    .filter(({ type }) => type === 'InternalIP' || type === 'ExternalIP')
    .map(({ address }) => address)
    .sort()

/** A certificate that is for more than it needs stays, since nodes come back. */
export function isGood(
  certificate: X509Certificate,
  { authority, names, nowMs }: { authority: X509Certificate; names: CertificateNames; nowMs: number },
): boolean {
  const isOurs = certificate.checkIssued(authority) && certificate.verify(authority.publicKey)
  const isFor =
    names.dnsNames.every(name => certificate.checkHost(name) !== undefined) &&
    names.ipAddresses.every(address => certificate.checkIP(address) !== undefined)
  return isOurs && isFor && !isDue(certificate, authority, nowMs)
}

/** What every node is told; the machine's own addresses are spoken to without TLS unless it is said. */
export function trustDocument(
  parameters: ParameterValues,
  { ipAddresses }: CertificateNames,
  ca: string,
): RegistriesDocument {
  const port = Number(parameters['node-port'])
  const hostOf = (address: string) => `${address.includes(':') ? `[${address}]` : address}:${port}`
  const hosts = ['localhost', ...ipAddresses].map(hostOf)
  const local = ['localhost', ...LOOPBACK].map(hostOf)
  return {
    mirrors: Object.fromEntries(local.map(host => [host, { endpoint: [`https://${host}`] }])),
    configs: Object.fromEntries(hosts.map(host => [host, { tls: { ca } }])),
  }
}
