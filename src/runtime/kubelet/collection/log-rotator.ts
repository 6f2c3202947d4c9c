/** Rotates the logs of running containers: looks every 10 s, and has the runtime open a new file. */
import { createReadStream, createWriteStream } from 'node:fs'
import { readdir, rm, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { createGzip } from 'node:zlib'
import { type Clock, sleep } from '../../../base/clock.ts'
import { systemCodeOf } from '../../../base/errors.ts'
import type { Log } from '../../../base/log.ts'
import { rename } from '../../../host/rename.ts'
import type { ContainerStatus, Runtime } from '../runtime/runtime.ts'
import { asideOf, LOG_LIMITS, type LogLimits, planRotation } from './plan-rotation.ts'

export interface LogRotatorParts {
  readonly runtime: Pick<Runtime, 'listContainers' | 'reopenLog'>
  readonly clock: Clock
  readonly log: Log
  readonly limits?: LogLimits
}

/** containerLogMonitorInterval. */
const LOOK_MS = 10_000

export class LogRotator {
  readonly #parts: LogRotatorParts

  constructor(parts: LogRotatorParts) {
    this.#parts = parts
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#parts
    while (!signal.aborted) {
      await sleep(clock, LOOK_MS, signal).catch(() => {})
      if (signal.aborted) return
      await this.rotateAll().catch(error => log.debug('logs could not be looked at', { error }))
    }
  }

  /** One container after the other, so that compressing never takes more than one core's time. */
  async rotateAll(): Promise<void> {
    const { runtime, log } = this.#parts
    for (const container of await runtime.listContainers()) {
      if (container.state !== 'running') continue
      await this.#rotate(container).catch(error => {
        log.warn("a container's log could not be rotated", { container: container.id, error })
      })
    }
  }

  async #rotate({ id, logPath }: ContainerStatus): Promise<void> {
    const { runtime, clock, limits = LOG_LIMITS } = this.#parts
    const directory = dirname(logPath)
    const current = basename(logPath)
    const currentBytes = (await stat(logPath).catch(() => undefined))?.size
    if (currentBytes !== undefined && currentBytes < limits.fileBytesMax) return
    const names = await readdir(directory)
    const plan = planRotation({ current, currentBytes, names, nowMs: clock.now() }, limits)
    if (plan === null) return
    for (const name of plan.remove) await rm(join(directory, name), { force: true })
    for (const name of plan.compress) await compress(join(directory, name))
    if (currentBytes === undefined) return runtime.reopenLog(id)
    if (plan.rotateTo === undefined) return
    const aside = join(directory, plan.rotateTo)
    await rename(logPath, aside)
    try {
      await runtime.reopenLog(id)
    } catch (error) {
      // The container writes to the file that it has open; it gets its name back.
      await rename(aside, logPath)
      throw error
    }
  }
}

async function compress(path: string): Promise<void> {
  const unfinished = `${path}.tmp`
  await pipeline(createReadStream(path), createGzip(), createWriteStream(unfinished, { mode: 0o640 }))
  await rename(unfinished, `${path}.gz`)
  await rm(path, { force: true })
}

/** The log of a container that is gone, with all that was put aside of it. */
export async function removeLog(logPath: string): Promise<void> {
  const directory = dirname(logPath)
  const names = await readdir(directory).catch(error => {
    if (systemCodeOf(error) !== 'ENOENT') throw error
    return []
  })
  const current = basename(logPath)
  for (const name of [current, ...asideOf(current, names)]) await rm(join(directory, name), { force: true })
}
