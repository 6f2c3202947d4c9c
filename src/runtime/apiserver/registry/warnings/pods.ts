/** What clients are told about pods and templates of pods that are fine otherwise. Pure. */
import type { Container, ContainerPort, ObjectMeta, PodSpec } from '../../../../kube/types.ts'
import { containersWithPaths } from '../validation/pod-os.ts'
import {
  addressWarnings,
  fractionWarnings,
  nodeSelectorWarnings,
  replacedLabel,
  termWarnings,
} from './labels.ts'
import { tokenPathWarnings } from './token-paths.ts'

const BYTES = ['memory', 'ephemeral-storage']
const NO_POD = 'a null labelSelector results in matching no pod'
const USE_SECCOMP = 'non-functional in v1.27+; use the "seccompProfile" field instead'
const ANNOTATIONS: readonly (readonly [key: string, message: string])[] = [
  [
    'scheduler.alpha.kubernetes.io/critical-pod',
    'non-functional in v1.16+; use the "priorityClassName" field instead',
  ],
  ['security.alpha.kubernetes.io/sysctls', 'non-functional in v1.11+; use the "sysctls" field instead'],
  [
    'security.alpha.kubernetes.io/unsafe-sysctls',
    'non-functional in v1.11+; use the "sysctls" field instead',
  ],
]
const VOLUMES: Readonly<Record<string, string>> = {
  photonPersistentDisk: 'deprecated in v1.11, non-functional in v1.16+',
  gitRepo: 'deprecated in v1.11, and disabled by default in v1.33+',
  scaleIO: 'deprecated in v1.16, non-functional in v1.22+',
  flocker: 'deprecated in v1.22, non-functional in v1.25+',
  storageos: 'deprecated in v1.22, non-functional in v1.25+',
  quobyte: 'deprecated in v1.22, non-functional in v1.25+',
  glusterfs: 'deprecated in v1.25, non-functional in v1.26+',
  cephfs: 'deprecated in v1.28, non-functional in v1.31+',
  rbd: 'deprecated in v1.28, non-functional in v1.31+',
}

export interface PodLike {
  readonly metadata?: Pick<ObjectMeta, 'annotations'> | undefined
  readonly spec?: PodSpec | undefined
}

/** `path`: where a template is, such as `spec.template`; empty for a pod itself. */
export function podWarnings(path: string, { metadata, spec }: PodLike): string[] {
  if (!spec) return []
  const annotations = metadata?.annotations ?? {}
  const [at, about] = path === '' ? ['spec', 'metadata'] : [`${path}.spec`, `${path}.metadata`]
  const containers = containersWithPaths(at, spec)
  return [
    ...placementWarnings(at, spec),
    ...ANNOTATIONS.flatMap(([key, message]) =>
      key in annotations ? [`${about}.annotations[${key}]: ${message}`] : [],
    ),
    ...volumeWarnings(at, spec),
    ...tokenPathWarnings(at, spec),
    ...listWarnings(at, spec),
    ...fractionWarnings(`${at}.overhead`, spec.overhead, BYTES),
    ...seccompWarnings(about, spec, annotations),
    ...containers.flatMap(([field, one]) => [
      ...profileWarnings(about, spec, one, { annotations, isTemplate: path !== '' }),
      ...containerWarnings(field, one),
    ]),
    ...portWarnings(containers),
    ...(Number(spec.terminationGracePeriodSeconds ?? 0) < 0
      ? [
          `${at}.terminationGracePeriodSeconds: must be >= 0; negative values are invalid and will be treated as 1`,
        ]
      : []),
    ...affinityWarnings(at, spec),
    ...nameserverWarnings(at, spec),
  ]
}

function placementWarnings(at: string, spec: PodSpec): string[] {
  const affinity = spec.affinity?.nodeAffinity
  const node = `${at}.affinity.nodeAffinity`
  const required = affinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms ?? []
  const preferred = affinity?.preferredDuringSchedulingIgnoredDuringExecution ?? []
  const terms = `${node}.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms`
  const wishes = `${node}.preferredDuringSchedulingIgnoredDuringExecution`
  return [
    ...nodeSelectorWarnings(`${at}.nodeSelector`, spec.nodeSelector),
    ...required.flatMap((one, index) =>
      termWarnings(`${terms}[${index}].matchExpressions`, one.matchExpressions),
    ),
    ...preferred.flatMap(({ preference }, index) =>
      termWarnings(`${wishes}[${index}].preference.matchExpressions`, preference?.matchExpressions),
    ),
    ...(spec.topologySpreadConstraints ?? []).flatMap(({ topologyKey, labelSelector }, index) => {
      const field = `${at}.topologySpreadConstraints[${index}]`
      const message = replacedLabel(topologyKey)
      return [
        ...(message === undefined ? [] : [`${field}.topologyKey: ${topologyKey} is ${message}`]),
        ...(labelSelector ? [] : [`${field}.labelSelector: ${NO_POD}`]),
      ]
    }),
  ]
}

function volumeWarnings(at: string, { volumes = [] }: PodSpec): string[] {
  return volumes.flatMap((volume, index) => {
    const field = `${at}.volumes[${index}]`
    const old = Object.keys(volume).flatMap(name =>
      Object.hasOwn(VOLUMES, name) ? [`${field}.${name}: ${VOLUMES[name]}`] : [],
    )
    const claim = volume.ephemeral?.volumeClaimTemplate?.spec?.resources
    const template = `${field}.ephemeral.volumeClaimTemplate.spec.resources`
    return [...old, ...claimSizeWarnings(template, claim)]
  })
}

export function claimSizeWarnings(
  field: string,
  resources: { readonly requests?: object; readonly limits?: object } | undefined,
): string[] {
  return (['requests', 'limits'] as const).flatMap(name =>
    fractionWarnings(`${field}.${name}`, resources?.[name] as Record<string, string> | undefined, [
      'storage',
    ]),
  )
}

function listWarnings(at: string, { hostAliases = [], imagePullSecrets = [] }: PodSpec): string[] {
  const secrets = imagePullSecrets.map(({ name = '' }) => name)
  return [
    ...repeated(hostAliases.map(({ ip = '' }) => ip)).map(
      ([index, ip]) => `${at}.hostAliases[${index}].ip: duplicate ip ${JSON.stringify(ip)}`,
    ),
    ...repeated(secrets).map(
      ([index, name]) => `${at}.imagePullSecrets[${index}].name: duplicate name ${JSON.stringify(name)}`,
    ),
    ...secrets.flatMap((name, index) =>
      name === '' ? [`${at}.imagePullSecrets[${index}].name: invalid empty name ""`] : [],
    ),
  ]
}

function repeated(texts: readonly string[]): [index: number, text: string][] {
  return texts.flatMap((text, index): [number, string][] =>
    texts.indexOf(text) < index ? [[index, text]] : [],
  )
}

const SECCOMP_POD = 'seccomp.security.alpha.kubernetes.io/pod'
const SECCOMP_CONTAINER = 'container.seccomp.security.alpha.kubernetes.io/'
const APPARMOR_CONTAINER = 'container.apparmor.security.beta.kubernetes.io/'

function seccompWarnings(about: string, spec: PodSpec, annotations: object): string[] {
  if (spec.securityContext?.seccompProfile || !(SECCOMP_POD in annotations)) return []
  return [`${about}.annotations[${SECCOMP_POD}]: ${USE_SECCOMP}`]
}

function profileWarnings(
  about: string,
  spec: PodSpec,
  { name, securityContext }: Container,
  { annotations, isTemplate }: { readonly annotations: object; readonly isTemplate: boolean },
): string[] {
  const [seccomp, appArmor] = [`${SECCOMP_CONTAINER}${name}`, `${APPARMOR_CONTAINER}${name}`]
  const hasProfile = spec.securityContext?.appArmorProfile ?? securityContext?.appArmorProfile
  return [
    ...(!securityContext?.seccompProfile && seccomp in annotations
      ? [`${about}.annotations[${seccomp}]: ${USE_SECCOMP}`]
      : []),
    ...(isTemplate && !hasProfile && appArmor in annotations
      ? [`${about}.annotations[${appArmor}]: deprecated since v1.30; use the "appArmorProfile" field instead`]
      : []),
  ]
}

function containerWarnings(field: string, { resources, env = [] }: Container): string[] {
  return [
    ...BYTES.flatMap(name => [
      ...fractionWarnings(`${field}.resources.limits`, resources?.limits, [name]),
      ...fractionWarnings(`${field}.resources.requests`, resources?.requests, [name]),
    ]),
    ...(env.length > 1 ? envWarnings(field, env) : []),
  ]
}

/** A value that goes on from the one before is meant so. */
function envWarnings(field: string, env: NonNullable<Container['env']>): string[] {
  const seen = new Set<string>()
  return env.flatMap(({ name, value = '', valueFrom }, index) => {
    if (!seen.has(name)) {
      seen.add(name)
      return []
    }
    const reference = `$(${name})`
    if (!valueFrom && value !== reference && value.includes(reference)) return []
    const shown = JSON.stringify(name)
    return [
      `${field}.env[${index}]: hides previous definition of ${shown}, which may be dropped when using apply`,
    ]
  })
}

function portWarnings(containers: readonly [string, Container][]): string[] {
  const seen = new Map<string, { readonly field: string; readonly port: ContainerPort }[]>()
  const out: string[] = []
  for (const [path, { ports = [] }] of containers) {
    for (const [index, port] of ports.entries()) {
      const field = `${path}.ports[${index}]`
      if (port.hostIP && !port.hostPort) out.push(`${field}: hostIP set without hostPort: ${shownPort(port)}`)
      const key = `${port.containerPort}/${port.protocol}`
      const others = seen.get(key) ?? []
      for (const other of others) {
        const how = collision(port, other.port)
        if (how !== null) out.push(`${field}: ${how} port definition with ${other.field}`)
      }
      seen.set(key, [...others, { field, port }])
    }
  }
  return out
}

const shownPort = ({ name = '', hostPort = 0, containerPort, protocol = '', hostIP = '' }: ContainerPort) =>
  `{Name:${name} HostPort:${hostPort} ContainerPort:${containerPort} Protocol:${protocol} HostIP:${hostIP}}`

function collision(port: ContainerPort, other: ContainerPort): string | null {
  const [ip, otherIp] = [port.hostIP ?? '', other.hostIP ?? '']
  const [host, otherHost] = [port.hostPort ?? 0, other.hostPort ?? 0]
  if (ip === otherIp && host === otherHost) return 'duplicate'
  if (host === 0 || otherHost === 0) return 'overlapping'
  return host === otherHost && (ip === '') !== (otherIp === '') ? 'dangerously ambiguous' : null
}

function affinityWarnings(at: string, { affinity }: PodSpec): string[] {
  return (['podAffinity', 'podAntiAffinity'] as const).flatMap(name => {
    const field = `${at}.affinity.${name}`
    const { requiredDuringSchedulingIgnoredDuringExecution: required = [] } = affinity?.[name] ?? {}
    const { preferredDuringSchedulingIgnoredDuringExecution: preferred = [] } = affinity?.[name] ?? {}
    const terms = `${field}.requiredDuringSchedulingIgnoredDuringExecution`
    const wishes = `${field}.preferredDuringSchedulingIgnoredDuringExecution`
    return [
      ...required.flatMap(({ labelSelector }, index) =>
        labelSelector ? [] : [`${terms}[${index}].labelSelector: ${NO_POD}`],
      ),
      ...preferred.flatMap(({ podAffinityTerm }, index) =>
        podAffinityTerm?.labelSelector
          ? []
          : [`${wishes}[${index}].podAffinityTerm.labelSelector: ${NO_POD}`],
      ),
    ]
  })
}

function nameserverWarnings(at: string, { dnsConfig, hostAliases = [] }: PodSpec): string[] {
  return [
    ...(dnsConfig?.nameservers ?? []).flatMap((text, index) =>
      addressWarnings(`${at}.dnsConfig.nameservers[${index}]`, text),
    ),
    ...hostAliases.flatMap(({ ip = '' }, index) => addressWarnings(`${at}.hostAliases[${index}].ip`, ip)),
  ]
}
