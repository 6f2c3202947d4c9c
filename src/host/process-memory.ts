/** What this process holds, and giving back what it no longer needs. */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { loadLibrary } from './native.ts'
import { system } from './system.ts'

type Collect = (options: { readonly type: 'minor' }) => void

/** How long after a collection of all memory V8 looks whether another one would give some back; 30 s of its own. */
const REDUCER_DELAY_MS = 8_000

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
