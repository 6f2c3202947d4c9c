/** Security contexts of pods and of containers. */
import { duplicate, invalid, notSupported, required } from '../../../../kube/field-error.ts'
import type { PodSpec, SecurityContext } from '../../../../kube/types.ts'
import { at } from '../support.ts'
import type { Problems } from './meta.ts'
import { checkAppArmor, checkSeccomp, checkWindows } from './profiles.ts'

const ID_MAX = 2 ** 31 - 1
const SYSCTL_LENGTH_MAX = 253
const SEGMENT = '[a-z0-9]([-_a-z0-9]*[a-z0-9])?'
const SYSCTL = `^(${SEGMENT}[\\./])*${SEGMENT}$`
const IPC_SYSCTLS = ['kernel.shm', 'kernel.msg', 'kernel.sem', 'fs.mqueue.']
const FS_GROUP_POLICIES = ['Always', 'OnRootMismatch']
const GROUP_POLICIES = ['Merge', 'Strict']
const SELINUX_POLICIES = ['MountOption', 'Recursive']

export function checkContainerSecurity(
  out: Problems,
  field: string,
  context: SecurityContext | undefined,
  hostUsers: boolean,
): void {
  if (!context) return
  checkIds(out, field, context)
  checkProcMount(out, `${field}.procMount`, context.procMount, hostUsers)
  checkSeccomp(out, `${field}.seccompProfile`, context.seccompProfile)
  if (context.allowPrivilegeEscalation === false) {
    const refuse = (what: string) =>
      out.push(invalid(field, context, `cannot set \`allowPrivilegeEscalation\` to false and ${what}`))
    if (context.privileged === true) refuse('`privileged` to true')
    if (context.capabilities?.add?.includes('CAP_SYS_ADMIN')) refuse('`capabilities.Add` CAP_SYS_ADMIN')
  }
  checkWindows(out, `${field}.windowsOptions`, context.windowsOptions)
  checkAppArmor(out, `${field}.appArmorProfile`, context.appArmorProfile)
}

function checkProcMount(out: Problems, field: string, kind: string | undefined, hostUsers: boolean): void {
  if (kind === undefined || kind === 'Default') return
  if (kind !== 'Unmasked') out.push(notSupported(field, kind, ['Default', 'Unmasked']))
  else if (hostUsers) out.push(invalid(field, kind, '`hostUsers` must be false to use `Unmasked`'))
}

function checkIds(
  out: Problems,
  field: string,
  context: { runAsUser?: number; runAsGroup?: number; fsGroup?: number },
): void {
  for (const name of ['fsGroup', 'runAsUser', 'runAsGroup'] as const) {
    const id = context[name]
    if (id !== undefined) checkId(out, `${field}.${name}`, id)
  }
}

function checkId(out: Problems, field: string, id: number): void {
  if (id >= 0 && id <= ID_MAX) return
  out.push(invalid(field, id, `must be between 0 and ${ID_MAX}, inclusive`))
}

export function checkPodSecurity(out: Problems, field: string, spec: PodSpec): void {
  const context = spec.securityContext
  if (context) checkIds(out, field, context)
  for (const [index, id] of (context?.supplementalGroups ?? []).entries()) {
    checkId(out, at(`${field}.supplementalGroups`, index), id)
  }
  if (spec.shareProcessNamespace && spec.hostPID) {
    const detail = 'ShareProcessNamespace and HostPID cannot both be enabled'
    out.push(invalid(`${field}.shareProcessNamespace`, true, detail))
  }
  if (!context) return
  checkSysctls(out, `${field}.sysctls`, spec)
  const choose = (name: 'fsGroupChangePolicy' | 'supplementalGroupsPolicy' | 'seLinuxChangePolicy') => {
    const choices = POLICIES[name]
    const value = context[name]
    if (value === undefined || choices.includes(value)) return
    out.push(notSupported(`${field}.${name}`, value, choices))
  }
  choose('fsGroupChangePolicy')
  checkSeccomp(out, `${field}.seccompProfile`, context.seccompProfile)
  checkWindows(out, `${field}.windowsOptions`, context.windowsOptions)
  checkAppArmor(out, `${field}.appArmorProfile`, context.appArmorProfile)
  choose('supplementalGroupsPolicy')
  choose('seLinuxChangePolicy')
}

const POLICIES = {
  fsGroupChangePolicy: FS_GROUP_POLICIES,
  supplementalGroupsPolicy: GROUP_POLICIES,
  seLinuxChangePolicy: SELINUX_POLICIES,
} as const

function checkSysctls(out: Problems, field: string, spec: PodSpec): void {
  const seen = new Set<string>()
  for (const [index, { name = '' }] of (spec.securityContext?.sysctls ?? []).entries()) {
    const path = `${at(field, index)}.name`
    if (name === '') out.push(required(path))
    else if (name.length > SYSCTL_LENGTH_MAX || !new RegExp(SYSCTL).test(name)) {
      const detail = `must have at most ${SYSCTL_LENGTH_MAX} characters and match regex ${SYSCTL}`
      out.push(invalid(path, name, detail))
    } else if (seen.has(name)) out.push(duplicate(path, name))
    seen.add(name)
    const dotted = name.replaceAll('/', '.')
    if (spec.hostNetwork && dotted.startsWith('net.')) {
      out.push(invalid(path, name, "may not be specified when 'hostNetwork' is true"))
    }
    if (spec.hostIPC && IPC_SYSCTLS.some(prefix => dotted.startsWith(prefix))) {
      out.push(invalid(path, name, "may not be specified when 'hostIPC' is true"))
    }
  }
}
