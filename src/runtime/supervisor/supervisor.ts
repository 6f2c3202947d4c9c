/** Runs the daemon's components: prepares them side by side, starts them in order, stops them in reverse. */
import type { Clock } from '../../base/clock.ts'
import type { Component, Health } from '../../base/component.ts'
import type { Log } from '../../base/log.ts'

export interface SupervisorParts {
  readonly components: readonly Component[]
  readonly log: Log
  readonly clock: Clock
  /** How long one component may take to stop before the next one is stopped all the same. */
  readonly stopTimeoutMs?: number
}

export interface NamedHealth extends Health {
  readonly name: string
}

const STOP_TIMEOUT_MS = 10_000

export interface Supervisor {
  /** Prepares and starts everything. When one fails, those already started are stopped and its error is thrown. */
  start(signal: AbortSignal): Promise<void>
  /** Stops what was started, in reverse. Never throws; may be called at any time, twice too. */
  stop(): Promise<void>
  /** One line per component, in the order of starting. */
  health(): readonly NamedHealth[]
}

export function createSupervisor(parts: SupervisorParts): Supervisor {
  const { components, log, clock } = parts
  const touched = new Set<Component>()
  let stopping: Promise<void> | undefined

  const stopAll = async () => {
    for (const component of components.toReversed()) {
      if (touched.delete(component)) await stopOne(component, parts)
    }
  }
  const stop = () => {
    stopping ??= stopAll()
    return stopping
  }
  return {
    async start(signal) {
      try {
        for (const component of components) touched.add(component)
        await prepareAll(components, signal)
        for (const component of components) {
          signal.throwIfAborted()
          const begun = clock.monotonic()
          await component.start(signal)
          log.debug('component started', {
            component: component.name,
            ms: Math.round(clock.monotonic() - begun),
          })
        }
      } catch (error) {
        await stop()
        throw error
      }
    },
    stop,
    health: () => components.map(component => ({ name: component.name, ...component.health() })),
  }
}

/** Waits for all of them, so that none is still preparing while the others are being stopped. */
async function prepareAll(components: readonly Component[], signal: AbortSignal): Promise<void> {
  const failed = new AbortController()
  const either = AbortSignal.any([signal, failed.signal])
  const outcomes = await Promise.allSettled(
    components.map(component =>
      component.prepare(either).catch(error => {
        failed.abort(error)
        throw error
      }),
    ),
  )
  const failure = outcomes.find(outcome => outcome.status === 'rejected')
  if (failure) throw failed.signal.reason ?? failure.reason
}

async function stopOne(
  component: Component,
  { log, clock, stopTimeoutMs = STOP_TIMEOUT_MS }: SupervisorParts,
) {
  const late = Promise.withResolvers<'late'>()
  const timer = clock.after(stopTimeoutMs, () => late.resolve('late'))
  try {
    const outcome = await Promise.race([component.stop(), late.promise])
    if (outcome === 'late') log.error('component did not stop in time', { component: component.name })
  } catch (error) {
    log.error('component failed to stop', { component: component.name, error })
  } finally {
    timer.cancel()
  }
}
