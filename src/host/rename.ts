/**
 * Renaming, also over a file that somebody is just reading: Windows refuses that for as long as it is open, which takes
 * moments, and virus scanners open what is new.
 */
import { renameSync as renameAtOnceSync } from 'node:fs'
import { rename as renameAtOnce } from 'node:fs/promises'
import { setTimeout } from 'node:timers/promises'
import { systemCodeOf } from '../base/errors.ts'
import { system } from './system.ts'

const PAUSE_MS = 10
const TRIES_MAX = 200

/** Somebody has the file open. */
const isPassing = (code: string | undefined): boolean =>
  code === 'EPERM' || code === 'EACCES' || code === 'EBUSY'

export async function rename(from: string, to: string): Promise<void> {
  for (let tries = 1; ; tries++) {
    try {
      return await renameAtOnce(from, to)
    } catch (error) {
      if (system !== 'windows' || tries === TRIES_MAX || !isPassing(systemCodeOf(error))) throw error
      await setTimeout(PAUSE_MS)
    }
  }
}

/** Waits with the whole thread, so for small files at quiet times. */
export function renameSync(from: string, to: string): void {
  for (let tries = 1; ; tries++) {
    try {
      renameAtOnceSync(from, to)
      return
    } catch (error) {
      if (system !== 'windows' || tries === TRIES_MAX || !isPassing(systemCodeOf(error))) throw error
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, PAUSE_MS)
    }
  }
}
