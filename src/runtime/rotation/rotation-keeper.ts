/**
 * The leader's duty of one term: takes a replacement (of the cluster authority, or of a key) from stage to stage, as
 * the nodes follow. Everything it goes by is in the store, so another leader goes on where this one ended.
 */
import type { Clock } from '../../base/clock.ts'
import type { Component, Health } from '../../base/component.ts'
import { messageOf } from '../../base/errors.ts'
import type { Log } from '../../base/log.ts'
import { WakingLoop } from '../../base/waking-loop.ts'
import { followRange } from '../store/follow-range.ts'
import type { RaftStore } from '../store/raft-store.ts'
import type { Watch } from '../store/store.ts'
import { planRotation, type RotationFacts, type RotationStep } from './plan-rotation.ts'
import type { RotationRecords, Stages, Stored } from './rotation-record.ts'

/** While nodes are waited for: what workers say of themselves is not watched. */
const BUSY_LOOK_MS = 500
/** While only time is. */
const QUIET_LOOK_MS = 30_000

export interface RotationKeeperParts<R extends Stages> {
  /** What is replaced, such as `the cluster authority`. */
  readonly what: string
  readonly records: RotationRecords<R>
  readonly store: Pick<RaftStore, 'get' | 'range' | 'watch' | 'transact' | 'revision'>
  /** The term that this duty belongs to; its writes are fenced with it. */
  readonly term: number
  /** Null when nothing is being replaced. */
  readonly facts: () => RotationFacts<R> | null
  /** What stays in the store at the end; null for nothing. */
  readonly ended: (rotation: R, done: boolean) => R | null
  /** Tells a worker, on its Node, which bundle it is to have. */
  readonly tell: (worker: string, bundle: string) => Promise<void>
  readonly clock: Clock
  readonly log: Log
}

export function createRotationKeeper<R extends Stages>(parts: RotationKeeperParts<R>): Component {
  return new Keeper(parts)
}

class Keeper<R extends Stages> implements Component {
  readonly name: string
  readonly #parts: RotationKeeperParts<R>
  readonly #loop: WakingLoop
  #watch: Watch | null = null

  constructor(parts: RotationKeeperParts<R>) {
    this.name = `keeper of ${parts.what}`
    this.#parts = parts
    this.#loop = new WakingLoop({ look: () => this.#step(), clock: parts.clock })
  }

  async prepare(): Promise<void> {}

  async start(): Promise<void> {
    const { store, records, clock } = this.#parts
    const onChange = () => this.#loop.wake()
    this.#watch = followRange({ store, range: records.range, onChange, clock })
    this.#loop.wake()
  }

  async stop(): Promise<void> {
    this.#watch?.close()
    await this.#loop.stop()
  }

  health(): Health {
    return { ok: true, reason: '' }
  }

  /** Returns when to look again if nothing happens before. */
  async #step(): Promise<number> {
    const { store, records, facts: read, clock, log } = this.#parts
    const stored = records.read(store)
    const facts = stored === null ? null : read()
    if (stored === null || facts === null) return QUIET_LOOK_MS
    const step = planRotation(facts)
    try {
      await this.#take(step, stored)
    } catch (error) {
      // Another leader goes on, or the next look does.
      log.debug('a replacement could not go on', { what: this.#parts.what, why: messageOf(error) })
      return BUSY_LOOK_MS
    }
    if (step.type !== 'wait' || step.for.length > 0) return BUSY_LOOK_MS
    return Math.min(QUIET_LOOK_MS, Math.max(BUSY_LOOK_MS, (step.untilMs ?? 0) - clock.now()))
  }

  async #take(step: RotationStep<R>, stored: Stored<R>): Promise<void> {
    const { log, tell, what } = this.#parts
    if (step.type === 'tell')
      for (const worker of step.workers) {
        // One that is being removed must not keep the others waiting.
        await tell(worker, step.bundle).catch(error =>
          log.debug('a worker could not be told of the authorities', { worker, why: messageOf(error) }),
        )
      }
    if (step.type === 'write') {
      await this.#write(stored, step.rotation)
      if (step.rotation.stage !== stored.rotation.stage)
        log.info('all nodes are ready for the next stage', { what, stage: step.rotation.stage })
    }
    if (step.type === 'end') {
      await this.#end(stored, step.done)
      if (step.done) log.info(`${what} is replaced on every node`)
      else log.warn(`the server that made the next one is gone; ${what} stays`)
    }
  }

  async #write({ modRevision }: Stored<R>, rotation: R): Promise<void> {
    const { store, records, term } = this.#parts
    await store.transact(
      {
        compares: [{ key: records.key, target: 'mod-revision', equals: modRevision }],
        operations: [{ type: 'put', key: records.key, value: records.encode(rotation) }],
      },
      { term },
    )
  }

  async #end({ modRevision, rotation }: Stored<R>, done: boolean): Promise<void> {
    const { store, records, term } = this.#parts
    const left = this.#parts.ended(rotation, done)
    const confirmed = [...records.confirmations(store).keys()].map(id => records.confirmationKey(id))
    const gone = left === null ? [records.key, ...confirmed] : confirmed
    await store.transact(
      {
        compares: [{ key: records.key, target: 'mod-revision', equals: modRevision }],
        operations: [
          ...gone.map(key => ({ type: 'delete', key }) as const),
          ...(left === null ? [] : [{ type: 'put', key: records.key, value: records.encode(left) } as const]),
        ],
      },
      { term },
    )
  }
}
