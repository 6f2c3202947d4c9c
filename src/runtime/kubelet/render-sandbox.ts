/** What a pod's sandbox is to be like, and the files that name its addresses and its resolver (pure). */

import { Mk8sError } from '../../base/errors.ts'
import { qosClassOf } from '../../kube/qos.ts'
import type { Container, Pod } from '../../kube/types.ts'
import type { DnsConfig, HostPort, SandboxIsolation } from './runtime/runtime.ts'

export interface DnsSettings {
  readonly clusterDns: string
  readonly clusterDomain: string
}

const HOSTNAME_LENGTH_MAX = 63
const KERNEL_HOSTNAME_MAX = 64
const NDOTS = 'ndots:5'

/** What programs in the pod see as the name of their host. */
export function podHostname(pod: Pod): string {
  const { hostnameOverride, hostname } = pod.spec ?? {}
  if (hostnameOverride || hostname) return hostnameOverride || hostname || ''
  return (pod.metadata.name ?? '').slice(0, HOSTNAME_LENGTH_MAX).replace(/[-.]+$/, '')
}

/** As `podHostname`, or the whole name where the pod wants that; throws when the kernel cannot keep it. */
export function sandboxHostname(pod: Pod, clusterDomain: string): string {
  const { setHostnameAsFQDN, subdomain } = pod.spec ?? {}
  const name = podHostname(pod)
  if (pod.spec?.hostnameOverride || setHostnameAsFQDN !== true || !subdomain) return name
  const whole = `${name}.${subdomain}.${pod.metadata.namespace}.svc.${clusterDomain}`
  if (whole.length <= KERNEL_HOSTNAME_MAX) return whole
  throw new Mk8sError(
    'kubelet/runtime',
    `failed to construct FQDN from Pod hostname and cluster domain, FQDN ${whole} is too long ` +
      `(${KERNEL_HOSTNAME_MAX} characters is the max, ${whole.length} characters requested)`,
  )
}

export function renderIsolation(pod: Pod, dns: DnsSettings, hostResolver: string): SandboxIsolation {
  const { spec } = pod
  const sysctls = spec?.securityContext?.sysctls ?? []
  return {
    dns: renderDns(pod, dns, hostResolver),
    hostPorts: allContainers(pod).flatMap(hostPortsOf),
    qosClass: qosClassOf(pod),
    sharing: {
      hostPid: spec?.hostPID === true,
      hostIpc: spec?.hostIPC === true,
      processes: spec?.shareProcessNamespace === true,
    },
    privileged: allContainers(pod).some(({ securityContext }) => securityContext?.privileged === true),
    sysctls: Object.fromEntries(sysctls.map(({ name, value }) => [name, value])),
  }
}

const allContainers = (pod: Pod): Container[] => [
  ...(pod.spec?.initContainers ?? []),
  ...(pod.spec?.containers ?? []),
]

function hostPortsOf({ ports }: Container): HostPort[] {
  return (ports ?? []).flatMap(({ hostPort, containerPort, hostIP, protocol }) =>
    hostPort
      ? [
          {
            protocol: (protocol ?? 'TCP') as HostPort['protocol'],
            containerPort,
            hostPort,
            hostIp: hostIP ?? '',
          },
        ]
      : [],
  )
}

/** Undefined: the host's own resolver, as it is. */
export function renderDns(pod: Pod, settings: DnsSettings, hostResolver: string): DnsConfig | undefined {
  const { dnsPolicy = 'ClusterFirst', dnsConfig, hostNetwork } = pod.spec ?? {}
  const isCluster = dnsPolicy === 'ClusterFirstWithHostNet' || (dnsPolicy === 'ClusterFirst' && !hostNetwork)
  const host = parseResolver(hostResolver)
  if (!isCluster && dnsPolicy !== 'None' && dnsConfig === undefined) return undefined
  const base = isCluster ? clusterDns(pod, settings, host) : dnsPolicy === 'None' ? NO_DNS : host
  const options = new Map(base.options.map(option => [option.split(':')[0] ?? '', option]))
  for (const { name = '', value } of dnsConfig?.options ?? []) {
    options.set(name, value === undefined ? name : `${name}:${value}`)
  }
  return {
    servers: [...new Set([...base.servers, ...(dnsConfig?.nameservers ?? [])])],
    searches: [...new Set([...base.searches, ...(dnsConfig?.searches ?? [])])],
    options: [...options.values()],
  }
}

const NO_DNS: DnsConfig = { servers: [], searches: [], options: [] }

function clusterDns(
  pod: Pod,
  { clusterDns: server, clusterDomain }: DnsSettings,
  host: DnsConfig,
): DnsConfig {
  const services = `svc.${clusterDomain}`
  const searches = [`${pod.metadata.namespace}.${services}`, services, clusterDomain, ...host.searches]
  return { servers: [server], searches: [...new Set(searches)], options: [NDOTS] }
}

/** A resolv.conf, as container runtimes write it. */
export function renderResolver({ servers, searches, options }: DnsConfig): string {
  const lines = [
    ...(searches.length > 0 ? [`search ${searches.join(' ')}`] : []),
    ...servers.map(server => `nameserver ${server}`),
    ...(options.length > 0 ? [`options ${options.join(' ')}`] : []),
  ]
  return `${lines.join('\n')}\n`
}

/** What a resolv.conf says. */
export function parseResolver(text: string): DnsConfig {
  const words = text.split('\n').map(line => line.trim().split(/\s+/))
  const valuesOf = (key: string) => words.filter(([first]) => first === key).map(([, ...rest]) => rest)
  return {
    servers: valuesOf('nameserver').flatMap(([server]) => (server === undefined ? [] : [server])),
    searches: (valuesOf('search').at(-1) ?? []).filter(name => name !== '.'),
    options: valuesOf('options').flat(),
  }
}

const LOCAL_HOSTS = `127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
fe00::0\tip6-localnet
fe00::0\tip6-mcastprefix
fe00::1\tip6-allnodes
fe00::2\tip6-allrouters
`

export interface HostsFileFacts {
  readonly podAddresses: readonly string[]
  readonly clusterDomain: string
  /** The host's own file, for pods on its network. */
  readonly hostHosts: string
}

/** A pod's `/etc/hosts`. */
export function renderHostsFile(
  pod: Pod,
  { podAddresses, clusterDomain, hostHosts }: HostsFileFacts,
): string {
  const { hostNetwork, hostAliases = [], subdomain } = pod.spec ?? {}
  const name = podHostname(pod)
  const domain = `${name}.${subdomain}.${pod.metadata.namespace}.svc.${clusterDomain}`
  const names = subdomain && !pod.spec?.hostnameOverride ? `${domain}\t${name}` : name
  const head = hostNetwork
    ? `# Kubernetes-managed hosts file (host network).\n${hostHosts}`
    : `# Kubernetes-managed hosts file.\n${LOCAL_HOSTS}${podAddresses.map(each => `${each}\t${names}\n`).join('')}`
  const aliases = hostAliases.map(({ ip, hostnames = [] }) => `${[ip, ...hostnames].join('\t')}\n`)
  if (aliases.length === 0) return head
  return `${head}\n# Entries added by HostAliases.\n${aliases.join('')}`
}
