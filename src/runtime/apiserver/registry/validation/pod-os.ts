/** What a pod of one operating system may not say, and what sharing the host's namespaces forbids. */
import { forbidden, invalid, notSupported, required } from '../../../../kube/field-error.ts'
import type { Container, PodSpec, SecurityContext } from '../../../../kube/types.ts'
import { at } from '../support.ts'
import type { Problems } from './meta.ts'

const WINDOWS_REFUSAL = 'cannot be set for a windows pod'
const LINUX_REFUSAL = 'windows options cannot be set for a linux pod'
const POD_FIELDS = ['hostUsers', 'hostPID', 'hostIPC', 'shareProcessNamespace'] as const
const POD_CONTEXT_FIELDS = [
  'appArmorProfile',
  'seLinuxOptions',
  'seccompProfile',
  'fsGroup',
  'fsGroupChangePolicy',
  'sysctls',
  'runAsUser',
  'runAsGroup',
  'supplementalGroups',
  'supplementalGroupsPolicy',
  'seLinuxChangePolicy',
] as const
const CONTEXT_FIELDS = [
  'appArmorProfile',
  'seLinuxOptions',
  'seccompProfile',
  'capabilities',
  'readOnlyRootFilesystem',
  'privileged',
  'allowPrivilegeEscalation',
  'procMount',
  'runAsUser',
  'runAsGroup',
] as const

/** Every container with where it stands: init containers first, as upstream visits them. */
export function containersWithPaths(path: string, spec: PodSpec): readonly [string, Container][] {
  const lists = { initContainers: spec.initContainers, containers: spec.containers }
  const ephemeral = (spec.ephemeralContainers ?? []) as readonly Container[]
  return [...Object.entries(lists), ['ephemeralContainers', ephemeral] as const].flatMap(([name, list]) =>
    (list ?? []).map((item, index): [string, Container] => [at(`${path}.${name}`, index), item]),
  )
}

export function checkOs(out: Problems, path: string, spec: PodSpec): void {
  if (!spec.os) return
  if (!spec.os.name) out.push(required(`${path}.os.name`, ''))
  else if (spec.os.name === 'linux') checkLinux(out, path, spec)
  else if (spec.os.name === 'windows') checkWindowsPod(out, path, spec)
  else out.push(notSupported(`${path}.os.name`, spec.os.name, ['linux', 'windows']))
}

function checkLinux(out: Problems, path: string, spec: PodSpec): void {
  if (spec.securityContext?.windowsOptions) {
    out.push(forbidden(`${path}.securityContext.windowsOptions`, LINUX_REFUSAL))
  }
  for (const [field, container] of containersWithPaths(path, spec)) {
    if (!container.securityContext?.windowsOptions) continue
    out.push(forbidden(`${field}.securityContext.windowsOptions`, LINUX_REFUSAL))
  }
}

function checkWindowsPod(out: Problems, path: string, spec: PodSpec): void {
  for (const name of POD_FIELDS) {
    if (spec[name]) out.push(forbidden(`${path}.${name}`, WINDOWS_REFUSAL))
  }
  for (const name of POD_CONTEXT_FIELDS) {
    const value = spec.securityContext?.[name]
    if (value === undefined || (Array.isArray(value) && value.length === 0)) continue
    out.push(forbidden(`${path}.securityContext.${name}`, WINDOWS_REFUSAL))
  }
  for (const [field, container] of containersWithPaths(path, spec)) {
    for (const name of CONTEXT_FIELDS) {
      if (container.securityContext?.[name] === undefined) continue
      out.push(forbidden(`${field}.securityContext.${name}`, WINDOWS_REFUSAL))
    }
  }
}

const runsOnHost = (context: SecurityContext | undefined): boolean | undefined =>
  context?.windowsOptions?.hostProcess

/** Containers that are processes of a Windows host: all of the pod or none, and on its network. */
export function checkHostProcess(out: Problems, path: string, spec: PodSpec): void {
  const ofPod = spec.securityContext?.windowsOptions?.hostProcess
  let hosts = 0
  const all = containersWithPaths(path, spec)
  for (const [field, container] of all) {
    const own = runsOnHost(container.securityContext)
    if (ofPod !== undefined && own !== undefined && ofPod !== own) {
      const detail = `pod hostProcess value must be identical if both are specified, was ${ofPod}`
      out.push(invalid(`${field}.securityContext.windowsOptions.hostProcess`, own, detail))
    }
    if (own ?? ofPod) hosts++
  }
  if (hosts === 0) return
  if (hosts !== all.length) {
    const detail =
      'If pod contains any hostProcess containers then all containers must be HostProcess containers'
    out.push(invalid(path, '', detail))
  }
  if (spec.hostNetwork !== true) {
    const detail = 'hostNetwork must be true if pod contains any hostProcess containers'
    out.push(invalid(`${path}.hostNetwork`, spec.hostNetwork ?? false, detail))
  }
}

/** A pod with users of its own shares no namespace with the host. */
export function checkHostUsers(out: Problems, path: string, spec: PodSpec): void {
  if (spec.hostUsers !== false) return
  const names = { hostNetwork: 'hostNetwork', hostPID: 'HostPID', hostIPC: 'HostIPC' } as const
  for (const [name, shown] of Object.entries(names)) {
    if (!spec[name as keyof typeof names]) continue
    out.push(forbidden(`${path}.${shown}`, 'when `pod.Spec.HostUsers` is false'))
  }
}
