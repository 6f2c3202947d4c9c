/** Waits until an add-on is what it is meant to be, and says which object stands in the way. */
import { type Clock, sleepAlive } from '../../base/clock.ts'
import { Mk8sError } from '../../base/errors.ts'
import type { Addon, AddonPhase } from '../../runtime/addons/addon-object.ts'

const LOOK_MS = 200

export interface WaitOptions {
  readonly read: () => Promise<Addon | null>
  readonly phase: Extract<AddonPhase, 'Ready' | 'Disabled'>
  readonly timeoutMs: number
  readonly clock: Clock
  /** Told whenever something else stands in the way. */
  readonly onProgress?: (text: string) => void
}

/** Throws `addon/not-ready`. */
export async function waitForAddon(name: string, options: WaitOptions): Promise<void> {
  const { read, phase, timeoutMs, clock, onProgress } = options
  const untilMs = clock.monotonic() + timeoutMs
  let last = ''
  for (;;) {
    const addon = await read()
    const isSeen = addon?.status?.observedGeneration === addon?.metadata.generation
    const reached = addon === null ? phase === 'Disabled' : isSeen && addon.status?.phase === phase
    if (reached) return
    const why = isSeen && addon !== null ? reasonOf(addon) : 'no server that leads has seen it yet'
    if (isSeen && addon?.status?.phase === 'Failed') throw notReady(name, phase, why)
    if (clock.monotonic() >= untilMs) throw notReady(name, phase, why)
    if (isSeen && why !== last && why !== '') onProgress?.(why)
    last = why
    await sleepAlive(clock, LOOK_MS)
  }
}

const reasonOf = ({ status }: Addon): string =>
  [status?.failing, status?.message].filter(text => text !== undefined && text !== '').join(': ')

function notReady(name: string, phase: string, why: string): Mk8sError {
  const what = phase === 'Ready' ? 'did not become ready' : 'is not gone yet'
  return new Mk8sError('addon/not-ready', `${name} ${what}`, {
    why,
    hint: `mk8s addons info ${name}; mk8s status shows pods that are not well`,
  })
}
