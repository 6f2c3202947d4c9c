/**
 * Keeps daemon.log bounded while the daemon writes to it: when it has grown too large it is copied to
 * daemon.log.1 and cut, which is safe because everybody appends.
 */
import { copyFileSync, fstatSync, ftruncateSync, truncateSync } from 'node:fs'
import type { Clock, Timer } from '../base/clock.ts'

const LOG_BYTES_MAX = 16 * 1024 * 1024
const CHECK_EVERY_MS = 60_000
const STDERR = 2

/** Watches standard error, when it is a file; the returned timer ends that. */
export function boundLog(
  path: string,
  { clock, bytesMax = LOG_BYTES_MAX }: { clock: Clock; bytesMax?: number },
): Timer {
  let timer = clock.after(CHECK_EVERY_MS, check)
  function check(): void {
    cutLog(path, STDERR, bytesMax)
    timer = clock.after(CHECK_EVERY_MS, check)
  }
  return { cancel: () => timer.cancel() }
}

/** One look; true when it was cut. A log that cannot be kept is still cut, to spare the disk. */
export function cutLog(path: string, descriptor: number, bytesMax: number): boolean {
  const stat = fstatSync(descriptor)
  if (!stat.isFile() || stat.size <= bytesMax) return false
  try {
    copyFileSync(path, `${path}.1`)
  } finally {
    cut(path, descriptor)
  }
  return true
}

function cut(path: string, descriptor: number): void {
  try {
    ftruncateSync(descriptor, 0)
  } catch {
    // On Windows, what was opened to append to may not be cut.
    truncateSync(path, 0)
  }
}
