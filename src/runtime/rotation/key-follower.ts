/**
 * What each server does while a shared key is being replaced: gets the next one, brings its file to the stage that
 * the record says, has it put to use, and confirms. Also begins it.
 */

import { join } from 'node:path'
import type { Clock } from '../../base/clock.ts'
import type { Component, Health } from '../../base/component.ts'
import { Mk8sError, messageOf } from '../../base/errors.ts'
import type { Log } from '../../base/log.ts'
import type { Random } from '../../base/random.ts'
import { WakingLoop } from '../../base/waking-loop.ts'
import { readMembers } from '../members/member-table.ts'
import { readIfThere, writeFilesDurably } from '../pki/files.ts'
import { followRange } from '../store/follow-range.ts'
import type { RaftStore } from '../store/raft-store.ts'
import type { Watch } from '../store/store.ts'
import { bundleOf, type KeyRing, type KeyRotation, keysAt } from './key-rings.ts'
import { type KeyStep, planKeys } from './plan-keys.ts'

const RETRY_MS = 1_000
/** Steps of one look: fetch, set, free, set. */
const ROUNDS_MAX = 8
const QUIET_LOOK_MS = 60 * 60 * 1000
/** The server that begins confirms within moments; after so long another one may begin in its place. */
const ORPHAN_MS = 10_000

export interface KeyFollowerParts {
  readonly ring: KeyRing
  readonly store: Pick<RaftStore, 'get' | 'range' | 'watch' | 'transact' | 'barrier' | 'revision'>
  readonly memberId: number
  /** The pki directory. */
  readonly directory: string
  /** From another server; rejects while none has it. */
  readonly fetchKey: (name: string, signal: AbortSignal) => Promise<string>
  /** The text of the file that is in use; null where there is none. */
  readonly inUse: () => string | null
  /** Calls `apply` in its turn, and puts what that changed to use. */
  readonly renewNow: () => Promise<unknown>
  /** Keys that something in the store cannot be read without. */
  readonly needed: () => ReadonlySet<string>
  /** Has the store do with the first key alone. */
  readonly free: () => Promise<void>
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
}

export interface KeyFollower extends Component {
  /** Brings the file to the stage of the record; whether anything is to be put to use. */
  apply(): Promise<boolean>
  /** Makes the next key, unless there is one already. */
  begin(): Promise<void>
}

export const createKeyFollower = (parts: KeyFollowerParts): KeyFollower => new Follower(parts)

class Follower implements KeyFollower {
  readonly name: string
  readonly #parts: KeyFollowerParts
  readonly #ended = new AbortController()
  readonly #loop: WakingLoop
  /** Keys that are not in the file yet, by their names. */
  readonly #got = new Map<string, string>()
  #watch: Watch | null = null
  #coming: string | null = null
  #beginning: Promise<unknown> = Promise.resolve()
  /** What is read from the store before it has caught up may be of an earlier stage. */
  #isCaughtUp = false

  constructor(parts: KeyFollowerParts) {
    this.#parts = parts
    this.name = `keys of ${parts.ring.name}`
    this.#loop = new WakingLoop({ look: () => this.#look(), clock: parts.clock })
  }

  async prepare(): Promise<void> {}

  async start(): Promise<void> {
    const { store, ring, clock } = this.#parts
    const onChange = () => this.#loop.wake()
    this.#watch = followRange({ store, range: ring.records.range, onChange, clock })
    this.#loop.wake()
  }

  async stop(): Promise<void> {
    this.#ended.abort()
    this.#watch?.close()
    await this.#loop.stop()
    await this.#beginning
  }

  health(): Health {
    return { ok: true, reason: '' }
  }

  async apply(): Promise<boolean> {
    if (!this.#isCaughtUp) return false
    const { ring, directory, inUse } = this.#parts
    const step = await this.#plan()
    if (step.type === 'set') {
      const keys = new Map([...(await this.#keys()), ...this.#got])
      const wanted = step.names.map(name => keys.get(name) ?? '')
      await writeFilesDurably(ring.files(directory, wanted))
      this.#got.clear()
    }
    const text = await this.#text()
    return text !== null && bundleOf(this.#namesIn(text)) !== bundleOf(this.#namesIn(inUse()))
  }

  begin(): Promise<void> {
    const mine = this.#beginning.then(() => this.#begin())
    this.#beginning = mine.catch(() => {})
    return mine
  }

  async #look(): Promise<number> {
    const { log, ring } = this.#parts
    try {
      await this.#keepUp()
      return QUIET_LOOK_MS
    } catch (error) {
      if (!this.#ended.signal.aborted)
        log.debug('a key of this server could not follow', { key: ring.name, why: messageOf(error) })
      return RETRY_MS
    }
  }

  async #keepUp(): Promise<void> {
    const { store, ring, fetchKey, free, renewNow } = this.#parts
    const { signal } = this.#ended
    await store.barrier(signal)
    this.#isCaughtUp = true
    for (let round = 0; round < ROUNDS_MAX; round += 1) {
      const step = await this.#plan()
      if (step.type === 'fetch')
        for (const name of step.names) this.#got.set(name, checked(ring, name, await fetchKey(name, signal)))
      await renewNow()
      if (step.type === 'free') await free()
      if (step.type === 'none') return await this.#confirm()
    }
    throw new Error('it changes faster than it can be followed')
  }

  /** Says what is so; whether that is what the stage asks for is the leader's to see. */
  async #confirm(): Promise<void> {
    const { store, ring, memberId, inUse, free } = this.#parts
    const { records } = ring
    const stored = records.read(store)
    if (stored === null || stored.rotation.isOver) return
    const { rotation, modRevision } = stored
    const bundle = bundleOf(this.#namesIn(inUse()))
    if (rotation.stage === 'sign') await free()
    if (bundle !== bundleOf(keysAt(rotation, rotation.stage))) return
    if (records.confirmations(store).get(memberId) === bundle) return
    await store.transact({
      compares: [{ key: records.key, target: 'mod-revision', equals: modRevision }],
      operations: [
        { type: 'put', key: records.confirmationKey(memberId), value: records.encodeConfirmation(bundle) },
      ],
    })
  }

  async #plan(): Promise<KeyStep> {
    const { store, ring, needed } = this.#parts
    const [has, got] = [[...(await this.#keys()).keys()], [...this.#got.keys()]]
    const rotation = ring.records.read(store)?.rotation ?? null
    return planKeys({ has, got, rotation, coming: this.#coming, needed: needed() })
  }

  async #begin(): Promise<void> {
    const { store, ring, memberId, random, renewNow, clock, log } = this.#parts
    const { records } = ring
    await store.barrier(this.#ended.signal)
    this.#isCaughtUp = true
    const present = records.read(store)
    if (present !== null && !present.rotation.isOver && !this.#isOrphan(present.rotation)) {
      if (present.rotation.usedMs === null) return
      throw stillKept(ring)
    }
    const [earlier] = (await this.#keys()).keys()
    if (earlier === undefined)
      throw new Mk8sError('refused', `this server has no ${ring.file}`, { hint: 'run it on another server' })
    const key = ring.make(random)
    const next = ring.nameOf(key)
    try {
      // It is on disk before anybody can ask for it.
      this.#got.set(next, key)
      this.#coming = next
      const beganAt = new Date(clock.now()).toISOString()
      const rotation: KeyRotation = {
        ...{ stage: 'trust', earlier, next, beganBy: memberId, beganAt },
        ...{ usedMs: null, dropAsked: false, isOver: false },
      }
      await renewNow()
      await this.#write(rotation, present?.modRevision ?? 0)
    } finally {
      this.#coming = null
    }
    log.warn(`${ring.what} is being replaced`)
    this.#loop.wake()
  }

  async #write(rotation: KeyRotation, modRevision: number): Promise<void> {
    const { store, ring } = this.#parts
    const { records } = ring
    // That nobody has confirmed must still be so: whoever has the present one may go on with it.
    const absent = readMembers(store).map(({ record }) => [records.confirmationKey(record.id), 0] as const)
    const expected = [[records.key, modRevision] as const, ...absent]
    await store.transact({
      compares: expected.map(([key, equals]) => ({ key, target: 'mod-revision', equals })),
      operations: [{ type: 'put', key: records.key, value: records.encode(rotation) }],
    })
  }

  /** Begun a while ago, and no server has the key: its only copy is off, or was lost with a disk. */
  #isOrphan({ stage, beganAt }: KeyRotation): boolean {
    const { store, ring, clock } = this.#parts
    const isOld = clock.now() - Date.parse(beganAt) > ORPHAN_MS
    return stage === 'trust' && isOld && ring.records.confirmations(store).size === 0
  }

  #text(): Promise<string | null> {
    const { directory, ring } = this.#parts
    return readIfThere(join(directory, ring.file))
  }

  #namesIn(text: string | null): readonly string[] {
    const { ring } = this.#parts
    return text === null ? [] : ring.split(text).map(key => ring.nameOf(key))
  }

  /** Those of the file, in their order. */
  async #keys(): Promise<ReadonlyMap<string, string>> {
    const { ring } = this.#parts
    const text = await this.#text()
    return new Map(text === null ? [] : ring.split(text).map(key => [ring.nameOf(key), key] as const))
  }
}

function checked(ring: KeyRing, name: string, key: string): string {
  if (ring.nameOf(key) === name) return key
  throw new Mk8sError('pki/invalid', `what another server gave is not the key ${name} of ${ring.file}`)
}

const stillKept = ({ what, name }: KeyRing): Mk8sError =>
  new Mk8sError('refused', `${what} was replaced before, and the earlier one is still kept`, {
    ...(name === 'service-account'
      ? {
          hint: 'mk8s refresh-certs --cert service-account.key --drop-earlier, or wait until its 30 days are over',
        }
      : { hint: 'run it again in a moment' }),
  })
