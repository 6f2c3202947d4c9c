/** The Pod Security Standards: what `baseline` and `restricted` do not allow. Pure. */
import type { Container, PodSecurityContext, PodSpec, SecurityContext } from '../../../kube/types.ts'

export interface Violation {
  /** The rule, in few words: `privileged`, `host namespaces`. */
  readonly reason: string
  readonly detail: string
}

type AnyContainer = Pick<Container, 'name' | 'ports' | 'securityContext'>
type Check = (spec: PodSpec, containers: readonly AnyContainer[]) => Violation | null

export type PodSecurityLevel = 'privileged' | 'baseline' | 'restricted'

/** What the level forbids in this pod; empty for `privileged`. */
export function podViolations(level: PodSecurityLevel, spec: PodSpec): readonly Violation[] {
  if (level === 'privileged') return []
  const containers = [
    ...(spec.initContainers ?? []),
    ...spec.containers,
    ...((spec.ephemeralContainers ?? []) as readonly AnyContainer[]),
  ]
  const checks = level === 'baseline' ? baseline : [...baseline.filter(isNotStricter), ...restricted]
  return checks.flatMap(check => check(spec, containers) ?? [])
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
  const ports = containers.flatMap(portsOf).map(port => String(port.hostPort))
  const head = ports.length === 1 ? 'hostPort' : 'hostPorts'
  return names.length === 0
    ? null
    : { reason: 'hostPort', detail: `${plural(names)} uses ${head} ${ports.join(', ')}` }
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
  if (unconfined(spec.securityContext)) {
    return {
      reason: 'seccompProfile',
      detail: 'pod must not set securityContext.seccompProfile.type to "Unconfined"',
    }
  }
  return must(
    'seccompProfile',
    namesOf(containers, context => unconfined(context)),
    'not set securityContext.seccompProfile.type to "Unconfined"',
  )
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

const SAFE_SYSCTLS = new Set([
  'kernel.shm_rmid_forced',
  'net.ipv4.ip_local_port_range',
  'net.ipv4.ip_local_reserved_ports',
  'net.ipv4.ip_unprivileged_port_start',
  'net.ipv4.ping_group_range',
  'net.ipv4.tcp_fin_timeout',
  'net.ipv4.tcp_keepalive_intvl',
  'net.ipv4.tcp_keepalive_probes',
  'net.ipv4.tcp_keepalive_time',
  'net.ipv4.tcp_rmem',
  'net.ipv4.tcp_syncookies',
  'net.ipv4.tcp_wmem',
])

const sysctls: Check = spec => {
  const bad = (spec.securityContext?.sysctls ?? [])
    .map(({ name }) => name)
    .filter(name => !SAFE_SYSCTLS.has(name))
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

const baseline: readonly Check[] = [
  hostNamespaces,
  privileged,
  capabilities,
  hostPaths,
  hostPorts,
  hostProcess,
  procMount,
  seccompBaseline,
  appArmor,
  seLinux,
  sysctls,
]

/** Replaced by a stricter rule of `restricted`. */
const isNotStricter = (check: Check): boolean =>
  check !== capabilities && check !== seccompBaseline && check !== hostPaths

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
  const types = list(bad.map(volume => typeOf(volume) ?? ''))
  const [head, uses, kind] =
    bad.length === 1 ? ['volume', 'uses', 'volume type'] : ['volumes', 'use', 'volume types']
  const names = list(bad.map(({ name }) => name))
  return { reason: 'restricted volume types', detail: `${head} ${names} ${uses} restricted ${kind} ${types}` }
}

const runAsNonRoot: Check = (spec, containers) => {
  const byPod = spec.securityContext?.runAsNonRoot === true
  const names = namesOf(containers, context => !(context?.runAsNonRoot ?? byPod))
  if (names.length === 0) return null
  const explicit = containers.some(container => container.securityContext?.runAsNonRoot === false)
  const head = explicit ? plural(names) : `pod or ${plural(names)}`
  const rest = explicit
    ? 'not set securityContext.runAsNonRoot=false'
    : 'set securityContext.runAsNonRoot=true'
  return { reason: 'runAsNonRoot != true', detail: `${head} must ${rest}` }
}

const runAsUser: Check = (spec, containers) => {
  if (spec.securityContext?.runAsUser === 0) {
    return { reason: 'runAsUser=0', detail: 'pod must not set runAsUser=0' }
  }
  return must(
    'runAsUser=0',
    namesOf(containers, context => context?.runAsUser === 0),
    'not set runAsUser=0',
  )
}

const seccompRestricted: Check = (spec, containers) => {
  const good = (context: SecurityContext | PodSecurityContext | undefined) =>
    ['RuntimeDefault', 'Localhost'].includes(context?.seccompProfile?.type ?? '')
  const byPod = good(spec.securityContext)
  const names = namesOf(containers, context =>
    context?.seccompProfile === undefined ? !byPod : !good(context),
  )
  if (names.length === 0) return null
  const rest = 'must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost"'
  return { reason: 'seccompProfile', detail: `pod or ${plural(names)} ${rest}` }
}

const restricted: readonly Check[] = [
  escalation,
  restrictedCapabilities,
  volumeTypes,
  runAsNonRoot,
  runAsUser,
  seccompRestricted,
]
