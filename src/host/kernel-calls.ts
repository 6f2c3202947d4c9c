/**
 * Calls of the Linux kernel that would otherwise take the start of a program each: mounts that need no disk, and
 * namespaces held by files. They hold up the calling thread, for less time than it takes to start a program.
 */
import { closeSync, openSync, writeFileSync } from 'node:fs'
import { Mk8sError } from '../base/errors.ts'
import { loadLibrary } from './native.ts'
import { onLinux } from './on-linux.ts'

export type HeldNamespace = 'net' | 'ipc' | 'uts'

const CLONE_FLAGS: Readonly<Record<HeldNamespace, number>> = {
  net: 0x40000000,
  ipc: 0x08000000,
  uts: 0x04000000,
}
const MOUNT_FLAGS = { nosuid: 2, nodev: 4, noexec: 8, bind: 0x1000 } as const

export type MountFlag = keyof typeof MOUNT_FLAGS

export interface KernelMount {
  readonly source: string
  readonly target: string
  /** None for a file that is shown at another place. */
  readonly type?: string
  readonly flags?: readonly MountFlag[]
  readonly data?: string
}

const BYTES_MAX = 4_095
const INET = 2
const DATAGRAM_CLOSED_ON_EXEC = 0o2000002
const GET_FLAGS = 0x8913n
const SET_FLAGS = 0x8914n
const INTERFACE_BYTES = 40
const FLAGS_AT = 16
const IS_UP = 1

export class KernelCalls {
  readonly #c: CLibrary

  constructor(library: CLibrary) {
    this.#c = library
  }

  mount({ source, target, type = '', flags = [], data = '' }: KernelMount): void {
    const bits = flags.reduce((sum, name) => sum | MOUNT_FLAGS[name], 0)
    const result = this.#c.mount(text(source), text(target), text(type), BigInt(bits), text(data))
    this.#check(result, `${target} cannot be mounted`)
  }

  /** Programs that use it keep it. Nothing may be written to the disk for its sake: it is held up until that is done. */
  unmountLazily(target: string): void {
    const DETACH = 2
    this.#check(this.#c.umount2(text(target), DETACH), `${target} cannot be unmounted`)
  }

  /**
   * Makes namespaces, runs `setUp` inside of them (what it calls has to be done when it returns), and holds each by the
   * file of its name. This thread is in them meanwhile, and nothing else runs on it.
   */
  makeNamespaces(files: Partial<Readonly<Record<HeldNamespace, string>>>, setUp: () => void): void {
    const names = Object.keys(files) as HeldNamespace[]
    const own = names.map(name => ({ name, descriptor: openSync(`/proc/thread-self/ns/${name}`, 'r') }))
    try {
      this.#check(
        this.#c.unshare(names.reduce((sum, name) => sum | CLONE_FLAGS[name], 0)),
        'namespaces cannot be made',
      )
      setUp()
      for (const name of names) {
        const target = files[name] ?? ''
        this.mount({ source: `/proc/thread-self/ns/${name}`, target, flags: ['bind'] })
      }
    } finally {
      for (const { name, descriptor } of own) {
        // A daemon in a pod's network would do harm to everybody; another one begins anew.
        if (this.#c.setns(descriptor, CLONE_FLAGS[name]) !== 0) process.kill(process.pid, 'SIGKILL')
        closeSync(descriptor)
      }
    }
  }

  /** In the namespace that this thread is in. */
  raiseLoopback(): void {
    const socket = this.#c.socket(INET, DATAGRAM_CLOSED_ON_EXEC, 0)
    this.#check(socket, 'the loopback interface cannot be reached')
    const request = Buffer.alloc(INTERFACE_BYTES)
    request.write('lo')
    try {
      this.#check(this.#c.ioctl(socket, GET_FLAGS, request), 'the loopback interface cannot be read')
      request.writeUInt16LE(request.readUInt16LE(FLAGS_AT) | IS_UP, FLAGS_AT)
      this.#check(this.#c.ioctl(socket, SET_FLAGS, request), 'the loopback interface cannot be raised')
    } finally {
      closeSync(socket)
    }
  }

  #check(result: number, message: string): void {
    if (result >= 0) return
    throw new Mk8sError('host/program-failed', message, {
      why: `the kernel says error ${this.#c.errorNumber()}`,
    })
  }
}

/** `kernel.shm_rmid_forced` and the like, of the namespaces that this thread is in. */
export function writeSysctl(name: string, value: string): void {
  writeFileSync(`/proc/sys/${name.replaceAll('.', '/')}`, value)
}

/** A string of C. */
function text(value: string): Buffer {
  const bytes = Buffer.from(`${value}\0`)
  if (bytes.length <= BYTES_MAX && bytes.indexOf(0) === bytes.length - 1) return bytes
  throw new Mk8sError('host/program-failed', `the kernel takes no text like this: ${value.slice(0, 80)}`)
}

type CLibrary = ReturnType<typeof loadC>

function loadC() {
  const c = loadLibrary(null)
  const int = { return: 'i32' } as const
  const errorAt = c.getFunction('__errno_location', { arguments: [], return: 'pointer' })
  const { getInt32 } = process.getBuiltinModule('node:ffi')
  return {
    mount: c.getFunction('mount', { ...int, arguments: ['buffer', 'buffer', 'buffer', 'u64', 'buffer'] }),
    umount2: c.getFunction('umount2', { ...int, arguments: ['buffer', 'i32'] }),
    unshare: c.getFunction('unshare', { ...int, arguments: ['i32'] }),
    setns: c.getFunction('setns', { ...int, arguments: ['i32', 'i32'] }),
    socket: c.getFunction('socket', { ...int, arguments: ['i32', 'i32', 'i32'] }),
    ioctl: c.getFunction('ioctl', { ...int, arguments: ['i32', 'u64', 'buffer'] }),
    errorNumber: () => getInt32(errorAt()),
  }
}

/** Null where Node cannot call the C library; the programs can do all of it too. */
export const kernelCalls = onLinux(() => new KernelCalls(loadC()))
