/** Decides from facts whether this machine can be a node. Pure: `facts.ts` collects. */
import { type ErrorCode, Mk8sError } from '../base/errors.ts'
import { isRealRuntime, type RealRuntime } from './container-programs.ts'
import type { HostFacts } from './facts.ts'
import type { PortFact } from './port-holder.ts'
import { asAdministrator, SYSTEM_NAMES } from './system.ts'

export interface Finding {
  readonly check: string
  readonly level: 'ok' | 'warning' | 'error'
  readonly code: ErrorCode
  /** A sentence; empty when ok. */
  readonly message: string
  readonly hint: string
}

export interface PreflightWanted {
  readonly dataDir: string
  readonly bindAddress: string
  /** A configuration is there already: this is a repair. */
  readonly installed: boolean
  readonly runtime: RuntimeName
  /** A runtime that is there already is to be used. */
  readonly hasCriSocket: boolean
}

type RuntimeName = RealRuntime | 'process' | 'simulated'

const MIB = 1024 * 1024
const MEMORY_MIN = 512 * MIB
const DISK_MIN = 256 * MIB
const DISK_COMFORTABLE = 2048 * MIB
const INODES_MIN = 1_000
const KERNEL_MIN = [4, 19] as const
const YEAR_MIN = 2025
const YEAR_MAX = 2100

/** One finding per check, in the order in which they are shown. */
export function preflight(facts: HostFacts, wanted: PreflightWanted): readonly Finding[] {
  return [
    systemFinding(facts),
    rootFinding(facts),
    memoryFinding(facts),
    diskFinding(facts),
    directoryFinding(facts, wanted),
    timeFinding(facts),
    ...facts.ports.map(port => portFinding(port, facts)),
    ...featureFindings(facts),
    ...(isRealRuntime(wanted.runtime)
      ? [containerFinding(facts, { ...wanted, runtime: wanted.runtime })]
      : []),
  ]
}

/** The error that stands for all findings that forbid to go on; undefined when there are none. */
export function preflightError(findings: readonly Finding[]): Mk8sError | undefined {
  const errors = findings.filter(finding => finding.level === 'error')
  const [first] = errors
  if (first === undefined) return undefined
  if (errors.length === 1) return new Mk8sError(first.code, first.message, { hint: first.hint })
  return new Mk8sError(first.code, `this machine cannot be a node yet: ${errors.length} checks failed`, {
    why: errors.map(finding => `${finding.message} (${finding.hint})`).join('\n'),
    hint: 'correct these and run the command again; nothing was changed',
    fields: { findings: errors },
  })
}

const ok = (check: string): Finding => ({
  check,
  level: 'ok',
  code: 'host/unsupported',
  message: '',
  hint: '',
})

type Bad = Omit<Finding, 'level' | 'check'>
const error = (check: string, bad: Bad): Finding => ({ check, level: 'error', ...bad })
const warning = (check: string, bad: Bad): Finding => ({ check, level: 'warning', ...bad })

function systemFinding({ system, kernel }: HostFacts): Finding {
  const code = 'host/unsupported'
  if (system === 'other') {
    const message = 'a node needs Linux, macOS or Windows'
    return error('operating system', { code, message, hint: 'install on a Linux machine' })
  }
  if (system !== 'linux') return warning('operating system', { code, ...cannotDo(SYSTEM_NAMES[system]) })
  const [major = 0, minor = 0] = kernel.split('.').map(part => Number.parseInt(part, 10))
  const old = major < KERNEL_MIN[0] || (major === KERNEL_MIN[0] && minor < KERNEL_MIN[1])
  if (!old) return ok('operating system')
  const message = `the kernel ${kernel} is older than ${KERNEL_MIN.join('.')}`
  return error('operating system', { code, message, hint: 'upgrade the kernel' })
}

/** What a node can do there and what not, in words for who installs one. */
const cannotDo = (name: string) => ({
  message:
    `on ${name}, pods are programs of this machine: no containers, images or limits, and their addresses ` +
    'and those of Services are reached on this machine only',
  hint: 'for containers, use a Linux machine; this one may join its cluster as a worker',
})

function rootFinding({ isRoot, system }: HostFacts): Finding {
  if (isRoot) return ok('root')
  const message = `installing a node needs ${system === 'windows' ? 'an administrator' : 'root'}`
  return error('root', { code: 'host/not-root', message, hint: asAdministrator(system, 'mk8s install') })
}

function memoryFinding({ memoryBytes }: HostFacts): Finding {
  if (memoryBytes >= MEMORY_MIN) return ok('memory')
  const message = `${mib(memoryBytes)} of memory are too little; a node needs ${mib(MEMORY_MIN)}`
  return error('memory', { code: 'host/unsupported', message, hint: 'give the machine more memory' })
}

const diskProblems: Readonly<Record<string, string>> = {
  EROFS: 'the file system is read-only',
  EACCES: 'this user may not write there',
}

function diskFinding({ disk, isRoot }: HostFacts): Finding {
  const hint = 'free or repair the disk, or choose another --data-dir'
  if (disk.problem !== '' && !(disk.problem === 'EACCES' && !isRoot)) {
    const message = `${disk.path} cannot be written: ${diskProblems[disk.problem] ?? disk.problem}`
    return error('disk', { code: 'host/disk', message, hint })
  }
  if (disk.problem !== '') return ok('disk')
  if (disk.freeBytes < DISK_MIN || disk.freeInodes < INODES_MIN) {
    const left = disk.freeBytes < DISK_MIN ? mib(disk.freeBytes) : `${disk.freeInodes} inodes`
    const message = `the disk of ${disk.path} is full: ${left} left, a node needs ${mib(DISK_MIN)}`
    return error('disk', { code: 'host/disk', message, hint })
  }
  if (disk.freeBytes >= DISK_COMFORTABLE) return ok('disk')
  const message = `only ${mib(disk.freeBytes)} are left on the disk of ${disk.path}`
  return warning('disk', { code: 'host/disk', message, hint: 'free some space soon' })
}

/** What an install makes before it writes the configuration; interrupted there, it may be taken up again. */
const BEGUN = ['lost+found', 'run', 'pki', 'admin.kubeconfig', 'cluster-init.yaml']

/** On Windows any user may have made the directory, and keys in it. */
function directoryFinding(
  { dataDirEntries, system }: HostFacts,
  { dataDir, installed }: PreflightWanted,
): Finding {
  const isBegun = (name: string) => BEGUN.includes(name) || /\.\d+\.tmp$/.test(name)
  const foreign = dataDirEntries.filter(name => system === 'windows' || !isBegun(name))
  if (installed || foreign.length === 0) return ok('data directory')
  const message = `${dataDir} is not empty, and holds no configuration of mk8s: ${foreign.slice(0, 3).join(', ')}`
  const hint = 'choose an empty --data-dir, or run mk8s uninstall if this is what is left of a node'
  return error('data directory', { code: 'refused', message, hint })
}

function timeFinding({ wallTimeMs, monotonicAdvances }: HostFacts): Finding {
  const year = new Date(wallTimeMs).getUTCFullYear()
  if (year >= YEAR_MIN && year < YEAR_MAX && monotonicAdvances) return ok('time')
  const message = monotonicAdvances
    ? `the clock says the year ${year}; certificates made now would be worthless`
    : 'the monotonic clock goes backwards'
  return error('time', { code: 'host/unsupported', message, hint: 'set the clock' })
}

function portFinding({ name, address, port, state, holder }: PortFact, { system }: HostFacts): Finding {
  const check = `port ${port} (${name})`
  const choose = `end that program, or choose another port with --${name}-port`
  switch (state) {
    case 'free':
      return ok(check)
    case 'taken': {
      const message = `port ${port} (${name}) on ${address} is in use${holder ? ` by ${holder}` : ''}`
      return error(check, { code: 'host/port-taken', message, hint: choose })
    }
    case 'not-permitted': {
      const message = `port ${port} (${name}) may not be opened by this user`
      return error(check, { code: 'host/not-root', message, hint: asAdministrator(system, 'mk8s install') })
    }
    default: {
      const message = `${address} is not an address of this machine`
      return error(check, { code: 'config/invalid', message, hint: 'choose another --bind-address' })
    }
  }
}

/** The runtimes of today do without these, so that their absence is only worth a word. */
function featureFindings({ kernelFeatures, system }: HostFacts): Finding[] {
  if (system !== 'linux') return []
  return Object.entries(kernelFeatures).map(([name, there]) => {
    if (there) return ok(name)
    const message = `the kernel offers no ${name}; the runtimes process and simulated do without`
    return warning(name, { code: 'host/unsupported', message, hint: 'none is needed for these runtimes' })
  })
}

const mib = (bytes: number): string => `${Math.floor(bytes / MIB)} MiB`

function containerFinding(
  { containers }: HostFacts,
  { hasCriSocket, runtime }: PreflightWanted & { readonly runtime: RealRuntime },
): Finding {
  const { obstacle } = containers
  const missing = containers.missing[runtime]
  const installable = containers.installable[runtime]
  const hint = 'choose --runtime process, which needs none of this'
  if (obstacle !== '') return error('containers', { code: 'host/unsupported', message: obstacle, hint })
  const needed = hasCriSocket ? missing.filter(name => name === 'nft') : missing
  if (needed.length === 0 || installable) return ok('containers')
  const message = `the runtime ${runtime} needs programs that are not installed: ${needed.join(', ')}`
  return error('containers', {
    code: 'host/program-missing',
    message,
    hint: `install them, or give apt-get a source for them; or ${hint}`,
  })
}

/** Of the runtimes with real containers, what `auto` takes first. */
const BY_PREFERENCE = ['oci', 'containerd'] as const

/** Which runtime `auto` means on this machine, and why. */
export function decideRuntime(
  choice: 'auto' | RuntimeName,
  { system, isRoot, containers }: Pick<HostFacts, 'system' | 'isRoot' | 'containers'>,
  hasCriSocket = false,
): { name: RuntimeName; reason: string } {
  if (choice !== 'auto') return { name: choice, reason: 'chosen with --runtime' }
  if (system !== 'linux')
    return { name: 'process', reason: `containers need Linux; this is ${SYSTEM_NAMES[system]}` }
  const { obstacle, missing, installable } = containers
  if (!isRoot) return { name: 'process', reason: 'containers need root' }
  if (obstacle !== '') return { name: 'process', reason: obstacle }
  if (hasCriSocket) return { name: 'containerd', reason: 'a CRI socket is given' }
  const there = BY_PREFERENCE.find(name => missing[name].length === 0)
  if (there !== undefined) return { name: there, reason: 'everything that it needs is installed' }
  const possible = BY_PREFERENCE.find(name => installable[name])
  if (possible !== undefined) {
    return { name: possible, reason: 'the package manager can install what is missing' }
  }
  const lacking = missing[BY_PREFERENCE[0]].join(', ')
  return { name: 'process', reason: `not installed, and unknown to the package manager: ${lacking}` }
}
