/** What this process holds, and giving back what it no longer needs. */
import { availableParallelism } from 'node:os'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { loadLibrary } from './native.ts'
import { system } from './system.ts'

type Collect = (options: { readonly type: 'minor' }) => void

/** How long after a collection of all memory V8 looks whether another one would give some back; 30 s of its own. */
const REDUCER_DELAY_MS = 8_000

/** A server has three threads that work at the same time, and the others want to run, too. */
const CORES_WITHOUT_HELPERS_MAX = 4

let collect: Collect | null = null

/** Of this thread; takes about a millisecond. */
export function collectYoung(): void {
  collect ??= exposedCollector()
  collect({ type: 'minor' })
}

function exposedCollector(): Collect {
  setFlagsFromString('--expose-gc')
  const exposed = runInNewContext('gc') as Collect
  setFlagsFromString('--no-expose-gc')
  return exposed
}

/** Before other threads are started. */
export function reduceMemorySooner(): void {
  setFlagsFromString(`--gc-memory-reducer-start-delay-ms=${REDUCER_DELAY_MS}`)
}

/**
 * Lets each thread collect its young memory alone. V8 asks helpers for it, which have to wait where the program's own
 * threads keep all cores busy, and the collecting thread waits for them. Goes for all threads.
 */
export function collectYoungAlone(): void {
  if (availableParallelism() <= CORES_WITHOUT_HELPERS_MAX) setFlagsFromString('--no-parallel-scavenge')
}

/** Gives what lies free between what is used back to the system; false where the C library does not know how. */
export function releaseFreed(): boolean {
  trim ??= loadTrim()
  if (trim === 'none') return false
  trim(0n)
  return true
}

type Trim = (pad: bigint) => number

let trim: Trim | 'none' | null = null

function loadTrim(): Trim | 'none' {
  if (system !== 'linux') return 'none'
  try {
    return loadLibrary(null).getFunction('malloc_trim', { arguments: ['u64'], return: 'i32' })
  } catch {
    return 'none'
  }
}
