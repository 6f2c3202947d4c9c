/**
 * The leader's duty of one term: takes the replacement of the cluster authority from stage to stage, as the nodes
 * follow. Everything it goes by is in the store, so another leader goes on where this one ended.
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
import {
  confirmationKey,
  encodeRotation,
  ROTATION_KEY,
  ROTATION_RANGE,
  readConfirmations,
  readRotation,
  type StoredRotation,
} from './rotation-record.ts'

/** While nodes are waited for: what workers say of themselves is not watched. */
const BUSY_LOOK_MS = 500
/** While only time is. */
const QUIET_LOOK_MS = 30_000

export interface RotationKeeperParts {
  readonly store: Pick<RaftStore, 'get' | 'range' | 'watch' | 'transact' | 'revision'>
  /** The term that this duty belongs to; its writes are fenced with it. */
  readonly term: number
  readonly facts: () => RotationFacts | null
  /** Tells a worker, on its Node, which bundle it is to have. */
  readonly tell: (worker: string, bundle: string) => Promise<void>
  readonly clock: Clock
  readonly log: Log
}

export function createRotationKeeper(parts: RotationKeeperParts): Component {
  return new Keeper(parts)
}

class Keeper implements Component {
  readonly name = 'authority-keeper'
  readonly #parts: RotationKeeperParts
  readonly #loop: WakingLoop
  #watch: Watch | null = null

  constructor(parts: RotationKeeperParts) {
    this.#parts = parts
    this.#loop = new WakingLoop({ look: () => this.#step(), clock: parts.clock })
  }

  async prepare(): Promise<void> {}

  async start(): Promise<void> {
    const { store, clock } = this.#parts
    const onChange = () => this.#loop.wake()
    this.#watch = followRange({ store, range: ROTATION_RANGE, onChange, clock })
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
    const { store, facts: read, clock, log } = this.#parts
    const stored = readRotation(store)
    const facts = stored === null ? null : read()
    if (stored === null || facts === null) return QUIET_LOOK_MS
    const step = planRotation(facts)
    try {
      await this.#take(step, stored)
    } catch (error) {
      // Another leader goes on, or the next look does.
      log.debug('the replacement of the authority could not go on', { why: messageOf(error) })
      return BUSY_LOOK_MS
    }
    if (step.type !== 'wait' || step.for.length > 0) return BUSY_LOOK_MS
    return Math.min(QUIET_LOOK_MS, Math.max(BUSY_LOOK_MS, (step.untilMs ?? 0) - clock.now()))
  }

  async #take(step: RotationStep, stored: StoredRotation): Promise<void> {
    const { log, tell } = this.#parts
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
        log.info('all nodes are ready for the next stage of the new authority', {
          stage: step.rotation.stage,
        })
    }
    if (step.type === 'end') {
      await this.#end(stored)
      if (step.done) log.info('the cluster authority is replaced on every node')
      else log.warn('the server that made the next authority is gone; the present one stays')
    }
  }

  async #write({ modRevision }: StoredRotation, rotation: StoredRotation['rotation']): Promise<void> {
    const { store, term } = this.#parts
    await store.transact(
      {
        compares: [{ key: ROTATION_KEY, target: 'mod-revision', equals: modRevision }],
        operations: [{ type: 'put', key: ROTATION_KEY, value: encodeRotation(rotation) }],
      },
      { term },
    )
  }

  async #end({ modRevision }: StoredRotation): Promise<void> {
    const { store, term } = this.#parts
    const keys = [ROTATION_KEY, ...[...readConfirmations(store).keys()].map(confirmationKey)]
    await store.transact(
      {
        compares: [{ key: ROTATION_KEY, target: 'mod-revision', equals: modRevision }],
        operations: keys.map(key => ({ type: 'delete', key })),
      },
      { term },
    )
  }
}
