/**
 * The seccomp profile that `RuntimeDefault` means (pure): what containers need may be called, and what a capability
 * guards by whoever has that capability. All else is closed: what is known to reach beyond the container as something
 * forbidden, and what is not known, as a call that the kernel does not have, so that programs take an older one.
 */
import { OPEN_CALLS } from './seccomp-calls.ts'

interface SeccompRule {
  readonly names: readonly string[]
  readonly action: string
  readonly errnoRet?: number
  readonly args?: readonly object[]
}

export interface SeccompSpec {
  readonly defaultAction: string
  readonly defaultErrnoRet?: number
  readonly architectures?: readonly string[]
  readonly syscalls?: readonly SeccompRule[]
}

const EPERM = 1
const ENOSYS = 38
const AF_VSOCK = 40

/** Closed to everybody. */
const NEVER = [
  ...[
    '_sysctl',
    'create_module',
    'get_kernel_syms',
    'nfsservctl',
    'query_module',
    'sysfs',
    'uselib',
    'ustat',
  ],
  ...['add_key', 'keyctl', 'request_key'],
  ...['io_uring_enter', 'io_uring_register', 'io_uring_setup'],
  ...['userfaultfd', 'vm86', 'vm86old', 'move_pages', 'migrate_pages'],
  ...['kexec_file_load', 'kexec_load', 'swapon', 'swapoff', 'vserver'],
]

/** Open to those who have the capability. */
const GUARDED: Readonly<Record<string, readonly string[]>> = {
  CAP_SYS_ADMIN: [
    ...['mount', 'umount', 'umount2', 'pivot_root', 'move_mount', 'open_tree', 'mount_setattr'],
    ...['fsconfig', 'fsmount', 'fsopen', 'fspick', 'quotactl', 'quotactl_fd', 'lookup_dcookie'],
    ...['setns', 'unshare', 'setdomainname', 'sethostname', 'fanotify_init'],
    ...['statmount', 'listmount', 'open_tree_attr'],
  ],
  CAP_SYS_MODULE: ['init_module', 'finit_module', 'delete_module'],
  CAP_SYS_BOOT: ['reboot'],
  CAP_SYS_PACCT: ['acct'],
  CAP_SYS_RAWIO: ['ioperm', 'iopl'],
  CAP_SYS_TIME: [
    'clock_adjtime',
    'clock_adjtime64',
    'clock_settime',
    'clock_settime64',
    'settimeofday',
    'stime',
  ],
  CAP_SYS_NICE: ['mbind', 'set_mempolicy', 'get_mempolicy', 'set_mempolicy_home_node'],
  CAP_DAC_READ_SEARCH: ['open_by_handle_at'],
  CAP_SYS_CHROOT: ['chroot'],
  CAP_SYS_TTY_CONFIG: ['vhangup'],
  CAP_SYSLOG: ['syslog'],
  CAP_SYS_PTRACE: ['kcmp', 'process_madvise', 'pidfd_getfd'],
  CAP_BPF: ['bpf'],
  CAP_PERFMON: ['perf_event_open'],
}
/** Administrators may do what used to need that right alone. */
const BY_ADMIN = ['CAP_BPF', 'CAP_PERFMON', 'CAP_SYSLOG']

/** CLONE_NEW… : namespaces of one's own. */
const CLONE_NAMESPACES = 0x7e020000
/** PER_LINUX, PER_LINUX32, and what asks for the present value. */
const PERSONALITIES = [0, 8, 0x20000, 0x20008, 0xffffffff]

const ARCHITECTURES: Readonly<Record<string, readonly string[]>> = {
  x64: ['SCMP_ARCH_X86_64', 'SCMP_ARCH_X86', 'SCMP_ARCH_X32'],
  arm64: ['SCMP_ARCH_AARCH64', 'SCMP_ARCH_ARM'],
}

export function runtimeDefaultProfile(
  capabilities: readonly string[],
  arch: string = process.arch,
): SeccompSpec {
  const has = (name: string) =>
    capabilities.includes(name) || (BY_ADMIN.includes(name) && capabilities.includes('CAP_SYS_ADMIN'))
  const guarded = Object.entries(GUARDED)
  const opened = guarded.flatMap(([name, calls]) => (has(name) ? calls : []))
  const closed = guarded.flatMap(([name, calls]) => (has(name) ? [] : calls))
  return {
    defaultAction: 'SCMP_ACT_ERRNO',
    defaultErrnoRet: ENOSYS,
    architectures: ARCHITECTURES[arch] ?? [],
    syscalls: [
      allow([...OPEN_CALLS, ...opened]),
      refuse([...NEVER, ...closed]),
      ...(has('CAP_SYS_ADMIN') ? [allow(['clone', 'clone3'])] : cloneRules()),
      ...PERSONALITIES.map(value => allow(['personality'], [{ index: 0, value, op: 'SCMP_CMP_EQ' }])),
      // Packets of a hypervisor's own family leave every namespace.
      allow(['socket'], [{ index: 0, value: AF_VSOCK, op: 'SCMP_CMP_NE' }]),
    ],
  }
}

const allow = (names: readonly string[], args?: readonly object[]): SeccompRule => ({
  names,
  action: 'SCMP_ACT_ALLOW',
  ...(args === undefined ? {} : { args }),
})

const refuse = (names: readonly string[], args?: readonly object[]): SeccompRule => ({
  names,
  action: 'SCMP_ACT_ERRNO',
  errnoRet: EPERM,
  ...(args === undefined ? {} : { args }),
})

/** The flags of clone3 lie in memory, where no filter sees them: without the call, libraries take clone. */
function cloneRules(): SeccompRule[] {
  const bits = Array.from({ length: 32 }, (_, bit) => 2 ** bit).filter(bit => (CLONE_NAMESPACES & bit) !== 0)
  return [
    allow(['clone'], [{ index: 0, value: CLONE_NAMESPACES, valueTwo: 0, op: 'SCMP_CMP_MASKED_EQ' }]),
    ...bits.map(bit =>
      refuse(['clone'], [{ index: 0, value: bit, valueTwo: bit, op: 'SCMP_CMP_MASKED_EQ' }]),
    ),
    { ...refuse(['clone3']), errnoRet: ENOSYS },
  ]
}
