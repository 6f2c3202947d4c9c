/** A job of Windows: what a process and all that it starts use together, and that all of it ends with the process. */
import { loadLibrary } from '../native.ts'

const ACCOUNTING = 1
const PROCESS_IDS = 3
const EXTENDED_LIMITS = 9
const KILL_ON_CLOSE = 0x2000
const LIMITS_BYTES = 144
const LIMIT_FLAGS_AT = 16
const ACCOUNTING_BYTES = 48
const PAGE_FAULTS_AT = 32
const ACTIVE_AT = 40
const IDS_MAX = 4_096
const MEMORY_BYTES = 72
const WORKING_SET_AT = 16
/** PROCESS_QUERY_LIMITED_INFORMATION and PROCESS_VM_READ. */
const ACCESS = 0x1000 | 0x0010

export interface JobUsage {
  /** In steps of 100 ns. */
  readonly cpu: bigint
  readonly workingSetBytes: number
  readonly pageFaults: number
  readonly processes: number
}

export interface Job {
  /** Of all that is in the job but this process. */
  usage(): JobUsage
}

/** This process and everything that it starts from now on; when it has gone, however, they go too. */
export function gatherInJob(): Job {
  const calls = bind()
  const job = calls.create(0n, 0n)
  const limits = Buffer.alloc(LIMITS_BYTES)
  limits.writeUInt32LE(KILL_ON_CLOSE, LIMIT_FLAGS_AT)
  const isLimited = calls.setLimits(job, EXTENDED_LIMITS, limits, LIMITS_BYTES) !== 0
  if (job === 0n || !isLimited || calls.assign(job, calls.self()) === 0)
    throw new Error('a job of Windows cannot be made')
  return { usage: () => usageOf(calls, job) }
}

type Calls = ReturnType<typeof bind>

function bind() {
  const kernel = loadLibrary('kernel32.dll')
  const query = ['u64', 'i32', 'buffer', 'u32', 'u64'] as const
  return {
    create: kernel.getFunction('CreateJobObjectW', { arguments: ['u64', 'u64'], return: 'u64' }),
    assign: kernel.getFunction('AssignProcessToJobObject', { arguments: ['u64', 'u64'], return: 'i32' }),
    self: kernel.getFunction('GetCurrentProcess', { arguments: [], return: 'u64' }),
    setLimits: kernel.getFunction('SetInformationJobObject', {
      arguments: ['u64', 'i32', 'buffer', 'u32'],
      return: 'i32',
    }),
    query: kernel.getFunction('QueryInformationJobObject', { arguments: query, return: 'i32' }),
    open: kernel.getFunction('OpenProcess', { arguments: ['u32', 'i32', 'u32'], return: 'u64' }),
    memory: kernel.getFunction('K32GetProcessMemoryInfo', {
      arguments: ['u64', 'buffer', 'u32'],
      return: 'i32',
    }),
    close: kernel.getFunction('CloseHandle', { arguments: ['u64'], return: 'i32' }),
  }
}

function usageOf(calls: Calls, job: bigint): JobUsage {
  const figures = Buffer.alloc(ACCOUNTING_BYTES)
  calls.query(job, ACCOUNTING, figures, ACCOUNTING_BYTES, 0n)
  const { user, system } = process.cpuUsage()
  const own = BigInt(user + system) * 10n
  const all = figures.readBigInt64LE(0) + figures.readBigInt64LE(8)
  const others = processesIn(calls, job).filter(pid => pid !== process.pid)
  return {
    cpu: all > own ? all - own : 0n,
    workingSetBytes: others.reduce((sum, pid) => sum + workingSetOf(calls, pid), 0),
    pageFaults: figures.readUInt32LE(PAGE_FAULTS_AT),
    processes: Math.max(0, figures.readUInt32LE(ACTIVE_AT) - 1),
  }
}

function processesIn(calls: Calls, job: bigint): number[] {
  const list = Buffer.alloc(8 + 8 * IDS_MAX)
  if (calls.query(job, PROCESS_IDS, list, list.length, 0n) === 0) return []
  return Array.from({ length: list.readUInt32LE(4) }, (_, index) =>
    Number(list.readBigUInt64LE(8 + 8 * index)),
  )
}

function workingSetOf(calls: Calls, pid: number): number {
  const handle = calls.open(ACCESS, 0, pid)
  if (handle === 0n) return 0
  const counters = Buffer.alloc(MEMORY_BYTES)
  counters.writeUInt32LE(MEMORY_BYTES, 0)
  const isKnown = calls.memory(handle, counters, MEMORY_BYTES) !== 0
  calls.close(handle)
  return isKnown ? Number(counters.readBigUInt64LE(WORKING_SET_AT)) : 0
}
