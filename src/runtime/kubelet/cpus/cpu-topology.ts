/** The processors of this machine: which share a core, and which a socket. */
import { join } from 'node:path'
import { readOrEmpty } from '../../../host/files.ts'
import { parseCpus } from './cpu-set.ts'

export interface Cpu {
  readonly id: number
  /** Of all machine: cores of different sockets differ. */
  readonly core: string
  readonly socket: string
}

/** Empty where the kernel does not say. */
export function readCpus(directory = '/sys/devices/system/cpu'): readonly Cpu[] {
  const ids = parseCpus(readOrEmpty(join(directory, 'online'))) ?? new Set<number>()
  return [...ids].map(id => {
    const tell = (name: string) => readOrEmpty(join(directory, `cpu${id}`, 'topology', name)).trim()
    const socket = tell('physical_package_id')
    return { id, socket, core: `${socket}/${tell('core_id') || id}` }
  })
}
