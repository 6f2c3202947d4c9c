/**
 * Tells a container that was made to become its own program. With runc, what it made waits until somebody reads the
 * word that it writes to `exec.fifo`, which is what `runc start` does; a read takes no program. Whatever else there is
 * to do or to complain about is left to the program.
 */
import { constants, openSync, realpathSync } from 'node:fs'
import { readFile, rm } from 'node:fs/promises'
import { Socket } from 'node:net'
import { basename, join } from 'node:path'
import { type Clock, sleep } from '../../../../base/clock.ts'
import { Mk8sError, systemCodeOf } from '../../../../base/errors.ts'
import { readOrEmpty } from '../../../../host/files.ts'
import { isRunning, type ProcessIdentity } from '../../../../host/processes.ts'
import { callProgram, type OciProgram } from './conmon.ts'
import { containerFiles } from './oci-paths.ts'

export interface Beginning {
  readonly id: string
  /** The container's. */
  readonly directory: string
  readonly program: OciProgram
  readonly init: ProcessIdentity | null
  readonly clock: Clock
}

const LOOK_MS = 100
const LOOKS_MAX = 600
const PAUSE_MS = 2
const PAUSES_MAX = 250

/** Nothing more to do for one that runs already. */
export async function beginContainer(beginning: Beginning): Promise<void> {
  const { id, program, init } = beginning
  const fifo = join(program.state, id, 'exec.fifo')
  if (!hasBegun(program, init)) {
    const isHeard = (await isPlain(beginning)) && (await hearWord(fifo, beginning))
    if (!isHeard) await callProgram(program, ['start', id])
  }
  // By its absence runc tells a container that runs from one that waits.
  await rm(fifo, { force: true })
  // A signal would end it before it has begun.
  for (let round = 0; round < PAUSES_MAX && init !== null && waits(program, init); round++) {
    await sleep(beginning.clock, PAUSE_MS)
  }
}

const hasBegun = (program: OciProgram, init: ProcessIdentity | null): boolean =>
  init !== null && isRunning(init) && !waits(program, init)

/** It is what the program made of itself. */
function waits({ path }: OciProgram, { pid }: ProcessIdentity): boolean {
  const name = basename(path)
  const [word = '', second] = readOrEmpty(`/proc/${pid}/cmdline`).split('\0')
  return basename(word) === name && (second === 'init' || name === 'crun')
}

/** crun's fifo goes the other way, whatever name it is called by; and what a specification adds is the program's. */
async function isPlain({ program, directory }: Beginning): Promise<boolean> {
  if (basename(realpathSync(program.path)) !== 'runc') return false
  return !(await readFile(containerFiles(directory).spec, 'utf8')).includes('"poststart"')
}

/** False where there is no such fifo, and when the container ends without a word. */
async function hearWord(fifo: string, { init, clock }: Beginning): Promise<boolean> {
  const socket = openFifo(fifo)
  if (socket === null || init === null) return false
  const heard = new Promise<boolean>(resolve => {
    socket.once('data', () => resolve(true))
    socket.once('close', () => resolve(false))
    socket.on('error', () => {})
  })
  try {
    for (let look = 0; look < LOOKS_MAX; look++) {
      const word = await Promise.race([heard, sleep(clock, LOOK_MS).then(() => null)])
      if (word !== null) return word
      if (!isRunning(init)) return false
    }
  } finally {
    socket.destroy()
  }
  throw new Mk8sError('kubelet/runtime', 'the container did not begin in time')
}

/** Without waiting for whoever writes. */
function openFifo(path: string): Socket | null {
  try {
    const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
    return new Socket({ fd, readable: true, writable: false })
  } catch (error) {
    if (systemCodeOf(error) === 'ENOENT') return null
    throw error
  }
}
