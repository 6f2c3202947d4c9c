/** The Pod Security Standards: what `baseline` and `restricted` do not allow. Pure. */
import type { Container, PodSecurityContext, PodSpec, SecurityContext } from '../../../kube/types.ts'

export interface Violation {
  /** The rule, in few words: `privileged`, `host namespaces`. */
  readonly reason: string
  readonly detail: string
}

type AnyContainer = Pick<
  Container,
  'name' | 'ports' | 'securityContext' | 'lifecycle' | 'livenessProbe' | 'readinessProbe' | 'startupProbe'
>
type Check = (spec: PodSpec, containers: readonly AnyContainer[], minor: number) => Violation | null

/** With the minor versions from which on it holds. */
interface Rule {
  readonly check: Check
  readonly since?: number
  /** Pods of Windows need not meet it any more. */
  readonly exceptWindows?: number
  /** Pods with users of their own need not meet it any more. */
  readonly withoutHostUsers?: number
}

export type PodSecurityLevel = 'privileged' | 'baseline' | 'restricted'

/** What the level forbids in this pod by the rules of a minor version; empty for `privileged`. */
export function podViolations(
  level: PodSecurityLevel,
  spec: PodSpec,
  minor = Number.POSITIVE_INFINITY,
): readonly Violation[] {
  if (level === 'privileged') return []
  const containers = [
    ...(spec.initContainers ?? []),
    ...spec.containers,
    ...((spec.ephemeralContainers ?? []) as readonly AnyContainer[]),
  ]
  const rules = level === 'baseline' ? [...baseline, ...overridden] : [...baseline, ...restricted]
  return rules.flatMap(({ check, since = 0, exceptWindows, withoutHostUsers }) => {
    const holds = (from: number | undefined) => from !== undefined && minor >= from
    if (!holds(since)) return []
    if (spec.os?.name === 'windows' && holds(exceptWindows)) return []
    if (spec.hostUsers === false && holds(withoutHostUsers)) return []
    return check(spec, containers, minor) ?? []
  })
}

const list = (items: readonly string[]): string =>
  [...new Set(items)].map(item => JSON.stringify(item)).join(', ')

const plural = (names: readonly string[]): string =>
  `${names.length === 1 ? 'container' : 'containers'} ${list(names)}`

const namesOf = (
  containers: readonly AnyContainer[],
  isBad: (context: SecurityContext | undefined, container: AnyContainer) => boolean,
): readonly string[] =>
  containers.filter(container => isBad(container.securityContext, container)).map(({ name }) => name)

function must(reason: string, names: readonly string[], rest: string): Violation | null {
  return names.length === 0 ? null : { reason, detail: `${plural(names)} must ${rest}` }
}

const hostNamespaces: Check = spec => {
  const used = (['hostNetwork', 'hostPID', 'hostIPC'] as const).filter(field => spec[field] === true)
  return used.length === 0
    ? null
    : { reason: 'host namespaces', detail: used.map(name => `${name}=true`).join(', ') }
}

const privileged: Check = (_spec, containers) =>
  must(
    'privileged',
    namesOf(containers, context => context?.privileged === true),
    'not set securityContext.privileged=true',
  )

const BASELINE_CAPABILITIES = new Set([
  'AUDIT_WRITE',
  'CHOWN',
  'DAC_OVERRIDE',
  'FOWNER',
  'FSETID',
  'KILL',
  'MKNOD',
  'NET_BIND_SERVICE',
  'SETFCAP',
  'SETGID',
  'SETPCAP',
  'SETUID',
  'SYS_CHROOT',
])

const capabilities: Check = (_spec, containers) => {
  const extra = (context: SecurityContext | undefined) =>
    (context?.capabilities?.add ?? []).filter(name => !BASELINE_CAPABILITIES.has(name))
  const names = namesOf(containers, context => extra(context).length > 0)
  const added = list(containers.flatMap(container => extra(container.securityContext)))
  return must('non-default capabilities', names, `not include ${added} in securityContext.capabilities.add`)
}

const hostPaths: Check = spec => {
  const names = (spec.volumes ?? []).filter(volume => volume.hostPath !== undefined).map(({ name }) => name)
  const head = names.length === 1 ? 'volume' : 'volumes'
  return names.length === 0 ? null : { reason: 'hostPath volumes', detail: `${head} ${list(names)}` }
}

const hostPorts: Check = (_spec, containers) => {
  const portsOf = (container: AnyContainer) =>
    (container.ports ?? []).filter(port => (port.hostPort ?? 0) !== 0)
  const names = containers.filter(container => portsOf(container).length > 0).map(({ name }) => name)
  const ports = [...new Set(containers.flatMap(portsOf).map(port => String(port.hostPort)))]
  const head = ports.length === 1 ? 'hostPort' : 'hostPorts'
  return names.length === 0
    ? null
    : {
        reason: 'hostPort',
        detail: `${plural(names)} ${names.length === 1 ? 'uses' : 'use'} ${head} ${ports.join(', ')}`,
      }
}

const procMount: Check = (_spec, containers) =>
  must(
    'procMount',
    namesOf(containers, context => (context?.procMount ?? 'Default') !== 'Default'),
    'not set securityContext.procMount',
  )

const unconfined = (context: SecurityContext | PodSecurityContext | undefined): boolean =>
  context?.seccompProfile?.type === 'Unconfined'

const seccompBaseline: Check = (spec, containers) => {
  const setters = settersOf(
    unconfined(spec.securityContext),
    namesOf(containers, context => unconfined(context)),
  )
  if (setters.length === 0) return null
  const rest = `must not set ${SECCOMP} to "Unconfined"`
  return { reason: 'seccompProfile', detail: `${setters.join(' and ')} ${rest}` }
}

const appArmor: Check = (spec, containers) => {
  const bad = (context: SecurityContext | PodSecurityContext | undefined) =>
    context?.appArmorProfile?.type === 'Unconfined'
  if (bad(spec.securityContext)) {
    return {
      reason: 'forbidden AppArmor profile',
      detail: 'pod must not set AppArmor profile type to "Unconfined"',
    }
  }
  return must(
    'forbidden AppArmor profile',
    namesOf(containers, context => bad(context)),
    'not set AppArmor profile type to "Unconfined"',
  )
}

const SELINUX_TYPES = ['', 'container_t', 'container_init_t', 'container_kvm_t', 'container_engine_t']

const seLinux: Check = (spec, containers) => {
  const bad = (context: SecurityContext | PodSecurityContext | undefined) => {
    const options = context?.seLinuxOptions
    return (
      options !== undefined &&
      (!SELINUX_TYPES.includes(options.type ?? '') || !!options.user || !!options.role)
    )
  }
  const detail = 'securityContext set forbidden securityContext.seLinuxOptions'
  if (bad(spec.securityContext)) return { reason: 'seLinuxOptions', detail: `pod ${detail}` }
  const names = namesOf(containers, context => bad(context))
  return names.length === 0 ? null : { reason: 'seLinuxOptions', detail: `${plural(names)} ${detail}` }
}

/** With the minor version from which on it is safe. */
const SAFE_SYSCTLS = new Map([
  ['kernel.shm_rmid_forced', 0],
  ['net.ipv4.ip_local_port_range', 0],
  ['net.ipv4.ip_local_reserved_ports', 27],
  ['net.ipv4.ip_unprivileged_port_start', 0],
  ['net.ipv4.ping_group_range', 0],
  ['net.ipv4.tcp_fin_timeout', 29],
  ['net.ipv4.tcp_keepalive_intvl', 29],
  ['net.ipv4.tcp_keepalive_probes', 29],
  ['net.ipv4.tcp_keepalive_time', 29],
  ['net.ipv4.tcp_rmem', 32],
  ['net.ipv4.tcp_syncookies', 0],
  ['net.ipv4.tcp_wmem', 32],
])

const sysctls: Check = (spec, _containers, minor) => {
  const bad = (spec.securityContext?.sysctls ?? [])
    .map(({ name }) => name)
    .filter(name => minor < (SAFE_SYSCTLS.get(name) ?? Number.POSITIVE_INFINITY) || !SAFE_SYSCTLS.has(name))
  return bad.length === 0 ? null : { reason: 'forbidden sysctls', detail: bad.join(', ') }
}

const hostProcess: Check = (spec, containers) => {
  if (spec.securityContext?.windowsOptions?.hostProcess === true) {
    return {
      reason: 'hostProcess',
      detail: 'pod must not set securityContext.windowsOptions.hostProcess=true',
    }
  }
  return must(
    'hostProcess',
    namesOf(containers, context => context?.windowsOptions?.hostProcess === true),
    'not set securityContext.windowsOptions.hostProcess=true',
  )
}

/** The hosts that a probe or a hook would reach from the node. */
const probeHosts: Check = (_spec, containers) => {
  const hostsOf = ({ lifecycle, livenessProbe, readinessProbe, startupProbe }: AnyContainer) =>
    [livenessProbe, readinessProbe, startupProbe, lifecycle?.postStart, lifecycle?.preStop]
      .flatMap(handler => [handler?.httpGet?.host ?? '', handler?.tcpSocket?.host ?? ''])
      .filter(host => host !== '')
  const bad = containers.filter(container => hostsOf(container).length > 0)
  if (bad.length === 0) return null
  const names = [...new Set(bad.map(({ name }) => name))].sort()
  const hosts = [...new Set(bad.flatMap(hostsOf))].sort()
  const uses = names.length === 1 ? 'uses' : 'use'
  const what = hosts.length === 1 ? 'probe or lifecycle host' : 'probe or lifecycle hosts'
  return { reason: 'probe or lifecycle host', detail: `${plural(names)} ${uses} ${what} ${list(hosts)}` }
}

/** In the order in which upstream tells them. */
const baseline: readonly Rule[] = [
  { check: appArmor },
  { check: hostNamespaces },
  { check: hostPorts },
  { check: probeHosts, since: 34 },
  { check: privileged },
  { check: procMount, withoutHostUsers: 35 },
  { check: seLinux },
  { check: sysctls },
  { check: hostProcess },
]

/** Those of `baseline` that a stricter one of `restricted` takes the place of. */
const overridden: readonly Rule[] = [
  { check: capabilities },
  { check: hostPaths },
  { check: seccompBaseline, since: 19 },
]

const escalation: Check = (_spec, containers) =>
  must(
    'allowPrivilegeEscalation != false',
    namesOf(containers, context => context?.allowPrivilegeEscalation !== false),
    'set securityContext.allowPrivilegeEscalation=false',
  )

const restrictedCapabilities: Check = (_spec, containers) => {
  const keeps = namesOf(containers, context => !(context?.capabilities?.drop ?? []).includes('ALL'))
  const extra = (context: SecurityContext | undefined) =>
    (context?.capabilities?.add ?? []).filter(name => name !== 'NET_BIND_SERVICE')
  const adds = namesOf(containers, context => extra(context).length > 0)
  const added = list(containers.flatMap(container => extra(container.securityContext)))
  const details = [
    ...(keeps.length === 0 ? [] : [`${plural(keeps)} must set securityContext.capabilities.drop=["ALL"]`]),
    ...(adds.length === 0
      ? []
      : [`${plural(adds)} must not include ${added} in securityContext.capabilities.add`]),
  ]
  return details.length === 0 ? null : { reason: 'unrestricted capabilities', detail: details.join('; ') }
}

const VOLUME_TYPES = new Set([
  'name',
  'configMap',
  'csi',
  'downwardAPI',
  'emptyDir',
  'ephemeral',
  'image',
  'persistentVolumeClaim',
  'projected',
  'secret',
])

const volumeTypes: Check = spec => {
  const typeOf = (volume: object) => Object.keys(volume).find(key => !VOLUME_TYPES.has(key))
  const bad = (spec.volumes ?? []).filter(volume => typeOf(volume) !== undefined)
  if (bad.length === 0) return null
  const kinds = [...new Set(bad.map(volume => typeOf(volume) ?? ''))].sort()
  const types = list(kinds)
  const [head, uses] = bad.length === 1 ? ['volume', 'uses'] : ['volumes', 'use']
  const kind = kinds.length === 1 ? 'volume type' : 'volume types'
  const names = list(bad.map(({ name }) => name))
  return { reason: 'restricted volume types', detail: `${head} ${names} ${uses} restricted ${kind} ${types}` }
}

/** Who asks for it by name: the pod, and containers. */
const settersOf = (byPod: boolean, names: readonly string[]): readonly string[] => [
  ...(byPod ? ['pod'] : []),
  ...(names.length === 0 ? [] : [plural(names)]),
]

const runAsNonRoot: Check = (spec, containers) => {
  const reason = 'runAsNonRoot != true'
  const ofPod = spec.securityContext?.runAsNonRoot
  const explicit = namesOf(containers, context => context?.runAsNonRoot === false)
  const setters = settersOf(ofPod === false, explicit)
  if (setters.length > 0)
    return { reason, detail: `${setters.join(' and ')} must not set securityContext.runAsNonRoot=false` }
  const names = namesOf(containers, context => context?.runAsNonRoot === undefined && ofPod !== true)
  if (names.length === 0) return null
  return { reason, detail: `pod or ${plural(names)} must set securityContext.runAsNonRoot=true` }
}

const runAsUser: Check = (spec, containers) => {
  const names = namesOf(containers, context => context?.runAsUser === 0)
  const setters = settersOf(spec.securityContext?.runAsUser === 0, names)
  if (setters.length === 0) return null
  return { reason: 'runAsUser=0', detail: `${setters.join(' and ')} must not set runAsUser=0` }
}

const SECCOMP = 'securityContext.seccompProfile.type'

const seccompRestricted: Check = (spec, containers) => {
  const reason = 'seccompProfile'
  const isGood = (type: string) => type === 'RuntimeDefault' || type === 'Localhost'
  const typeOf = (context: SecurityContext | PodSecurityContext | undefined) => context?.seccompProfile?.type
  const ofPod = typeOf(spec.securityContext)
  const bad = containers.filter(({ securityContext }) => !isGood(typeOf(securityContext) ?? 'RuntimeDefault'))
  const setters = settersOf(
    ofPod !== undefined && !isGood(ofPod),
    bad.map(({ name }) => name),
  )
  if (setters.length > 0) {
    const types = [ofPod ?? '', ...bad.map(({ securityContext }) => typeOf(securityContext) ?? '')]
    const forbidden = list(types.filter(type => type !== '' && !isGood(type)))
    return { reason, detail: `${setters.join(' and ')} must not set ${SECCOMP} to ${forbidden}` }
  }
  const names = namesOf(containers, context => typeOf(context) === undefined && ofPod === undefined)
  if (names.length === 0) return null
  return { reason, detail: `pod or ${plural(names)} must set ${SECCOMP} to "RuntimeDefault" or "Localhost"` }
}

const restricted: readonly Rule[] = [
  { check: escalation, since: 8, exceptWindows: 25 },
  { check: restrictedCapabilities, since: 22, exceptWindows: 25 },
  { check: volumeTypes },
  { check: runAsNonRoot, withoutHostUsers: 35 },
  { check: runAsUser, since: 23, withoutHostUsers: 35 },
  { check: seccompRestricted, since: 19, exceptWindows: 25 },
]
