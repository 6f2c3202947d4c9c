/** Which capabilities a container gets (pure). */

const ALL = [
  'CAP_CHOWN',
  'CAP_DAC_OVERRIDE',
  'CAP_DAC_READ_SEARCH',
  'CAP_FOWNER',
  'CAP_FSETID',
  'CAP_KILL',
  'CAP_SETGID',
  'CAP_SETUID',
  'CAP_SETPCAP',
  'CAP_LINUX_IMMUTABLE',
  'CAP_NET_BIND_SERVICE',
  'CAP_NET_BROADCAST',
  'CAP_NET_ADMIN',
  'CAP_NET_RAW',
  'CAP_IPC_LOCK',
  'CAP_IPC_OWNER',
  'CAP_SYS_MODULE',
  'CAP_SYS_RAWIO',
  'CAP_SYS_CHROOT',
  'CAP_SYS_PTRACE',
  'CAP_SYS_PACCT',
  'CAP_SYS_ADMIN',
  'CAP_SYS_BOOT',
  'CAP_SYS_NICE',
  'CAP_SYS_RESOURCE',
  'CAP_SYS_TIME',
  'CAP_SYS_TTY_CONFIG',
  'CAP_MKNOD',
  'CAP_LEASE',
  'CAP_AUDIT_WRITE',
  'CAP_AUDIT_CONTROL',
  'CAP_SETFCAP',
  'CAP_MAC_OVERRIDE',
  'CAP_MAC_ADMIN',
  'CAP_SYSLOG',
  'CAP_WAKE_ALARM',
  'CAP_BLOCK_SUSPEND',
  'CAP_AUDIT_READ',
  'CAP_PERFMON',
  'CAP_BPF',
  'CAP_CHECKPOINT_RESTORE',
] as const

/** What containers have when nobody says anything. */
const USUAL = [
  'CAP_CHOWN',
  'CAP_DAC_OVERRIDE',
  'CAP_FSETID',
  'CAP_FOWNER',
  'CAP_MKNOD',
  'CAP_NET_RAW',
  'CAP_SETGID',
  'CAP_SETUID',
  'CAP_SETFCAP',
  'CAP_SETPCAP',
  'CAP_NET_BIND_SERVICE',
  'CAP_SYS_CHROOT',
  'CAP_KILL',
  'CAP_AUDIT_WRITE',
]

/** Out of the bits that the kernel shows, as hexadecimal digits. */
export function capabilityNames(bits: string): string[] {
  const set = BigInt(`0x${bits === '' ? '0' : bits}`)
  return ALL.filter((_name, index) => ((set >> BigInt(index)) & 1n) === 1n)
}

export interface CapabilityWishes {
  readonly privileged: boolean
  readonly add: readonly string[]
  readonly drop: readonly string[]
  /** What this machine lets anybody have. */
  readonly host: readonly string[]
}

/** One that is asked for by name is asked for even if the machine does not have it: its absence is an error. */
export function capabilitiesOf({ privileged, add, drop, host }: CapabilityWishes): string[] {
  if (privileged) return [...host]
  const adds = add.map(longName)
  const drops = drop.map(longName)
  const base = adds.includes('CAP_ALL') ? host : drops.includes('CAP_ALL') ? [] : USUAL
  const kept = base.filter(name => !drops.includes(name) && host.includes(name))
  return [...new Set([...kept, ...adds.filter(name => name !== 'CAP_ALL')])]
}

const longName = (name: string): string => {
  const upper = name.toUpperCase()
  return upper.startsWith('CAP_') ? upper : `CAP_${upper}`
}
