/** When a process of Windows began, as long as it runs. */
import { loadLibrary } from '../native.ts'

/** PROCESS_QUERY_LIMITED_INFORMATION and SYNCHRONIZE. */
const ACCESS = 0x1000 | 0x0010_0000
const WAIT_TIMEOUT = 0x102
const FILETIME_BYTES = 8

type Calls = ReturnType<typeof bind>
let calls: Calls | undefined

function bind() {
  const kernel = loadLibrary('kernel32.dll')
  const buffers = ['buffer', 'buffer', 'buffer', 'buffer'] as const
  return {
    open: kernel.getFunction('OpenProcess', { arguments: ['u32', 'i32', 'u32'], return: 'u64' }),
    times: kernel.getFunction('GetProcessTimes', { arguments: ['u64', ...buffers], return: 'i32' }),
    wait: kernel.getFunction('WaitForSingleObject', { arguments: ['u64', 'u32'], return: 'u32' }),
    close: kernel.getFunction('CloseHandle', { arguments: ['u64'], return: 'i32' }),
  }
}

export interface ProcessTimes {
  /** In steps of 100 ns since 1601; with the process id it names one process, over reboots too. */
  readonly begun: bigint
  /** Of the processor, in its own name and the kernel's, in the same steps. */
  readonly used: bigint
}

/** Undefined for one that has ended, even while somebody still holds it open. */
export function processTimes(pid: number): ProcessTimes | undefined {
  calls ??= bind()
  const handle = calls.open(ACCESS, 0, pid)
  if (handle === 0n) return undefined
  try {
    const [begun, ended, kernel, user] = [0, 0, 0, 0].map(() => Buffer.alloc(FILETIME_BYTES)) as Four
    if (calls.wait(handle, 0) !== WAIT_TIMEOUT) return undefined
    if (calls.times(handle, begun, ended, kernel, user) === 0) return undefined
    return { begun: begun.readBigUInt64LE(), used: kernel.readBigUInt64LE() + user.readBigUInt64LE() }
  } finally {
    calls.close(handle)
  }
}

type Four = [Buffer, Buffer, Buffer, Buffer]
