/**
 * What each server does while the cluster authority is being replaced: gets the next one's key, brings its own
 * files to the stage that the record says, has the renewal put them to use, and confirms. Also begins it.
 */
import type { Clock, Timer } from '../../base/clock.ts'
import type { Component, Health } from '../../base/component.ts'
import { Mk8sError, messageOf } from '../../base/errors.ts'
import type { Log } from '../../base/log.ts'
import type { Random } from '../../base/random.ts'
import { readMembers } from '../members/member-table.ts'
import type { PemPair } from '../pki/issue.ts'
import {
  forgetComingAuthority,
  keepComingAuthority,
  prepareNextAuthority,
  readAuthorities,
  setAuthorities,
} from '../pki/refresh-authority.ts'
import { certificatesIn, nameOfBundle } from '../pki/validity.ts'
import { followRange } from '../store/follow-range.ts'
import type { RaftStore } from '../store/raft-store.ts'
import type { Watch } from '../store/store.ts'
import { planServer, type ServerStep } from './plan-rotation.ts'
import { AUTHORITY_RECORDS, type AuthorityRotation, bundleNameOf, ROTATION_KEY } from './rotation-record.ts'

const RETRY_MS = 1_000
/** The server that begins confirms within moments; after so long another one may begin in its place. */
const ORPHAN_MS = 10_000
/** Nobody tells that a week is over. */
const QUIET_LOOK_MS = 60 * 60 * 1000

export interface RotationFollowerParts {
  readonly store: Pick<RaftStore, 'get' | 'range' | 'watch' | 'transact' | 'barrier' | 'revision'>
  readonly memberId: number
  /** The pki directory. */
  readonly directory: string
  /** From another server; rejects while none has it. */
  readonly fetchKey: (certificate: string, signal: AbortSignal) => Promise<PemPair>
  /** PEM of the authorities that are in use. */
  readonly inUse: () => string
  /** Calls `apply` in its turn, renews what that makes due, and `forced`, and puts it to use. */
  readonly renewNow: (forced: readonly string[]) => Promise<unknown>
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
}

export interface RotationFollower extends Component {
  /** Brings the files to the stage of the record; whether that changed anything. */
  apply(): Promise<boolean>
  /** Makes the next authority, unless there is one already, and has all nodes follow. */
  begin(): Promise<void>
}

export function createRotationFollower(parts: RotationFollowerParts): RotationFollower {
  return new Follower(parts)
}

class Follower implements RotationFollower {
  readonly name = 'authority'
  readonly #parts: RotationFollowerParts
  readonly #ended = new AbortController()
  #timer: Timer | null = null
  #watch: Watch | null = null
  #turn: Promise<unknown> = Promise.resolve()
  #waiting = false
  /** What is read from the store before it has caught up may be of an earlier stage. */
  #isCaughtUp = false

  constructor(parts: RotationFollowerParts) {
    this.#parts = parts
  }

  async prepare(): Promise<void> {}

  async start(): Promise<void> {
    const { store, clock } = this.#parts
    const onChange = () => this.#wake()
    this.#watch = followRange({ store, range: AUTHORITY_RECORDS.range, onChange, clock })
    this.#wake()
  }

  async stop(): Promise<void> {
    this.#ended.abort()
    this.#watch?.close()
    this.#timer?.cancel()
    await this.#turn
  }

  health(): Health {
    return { ok: true, reason: '' }
  }

  async apply(): Promise<boolean> {
    if (!this.#isCaughtUp) return false
    const { directory } = this.#parts
    const step = await this.#plan()
    if (step.type !== 'set') return false
    const changed = await setAuthorities(directory, step.bundle, step.cross)
    const { coming } = await readAuthorities(directory)
    const isNeeded = coming !== null && step.bundle.includes(coming.certificate)
    if (!isNeeded) await forgetComingAuthority(directory)
    return changed
  }

  begin(): Promise<void> {
    return this.#inTurn(() => this.#begin())
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const mine = this.#turn.then(work)
    this.#turn = mine.catch(() => {})
    return mine
  }

  #wake(): void {
    if (this.#waiting || this.#ended.signal.aborted) return
    this.#waiting = true
    void this.#inTurn(async () => {
      this.#waiting = false
      await this.#look()
    })
  }

  async #look(): Promise<void> {
    const { clock, log } = this.#parts
    this.#timer?.cancel()
    let delayMs = QUIET_LOOK_MS
    try {
      await this.#keepUp()
    } catch (error) {
      if (this.#ended.signal.aborted) return
      delayMs = RETRY_MS
      log.debug('the authority of this server could not follow', { why: messageOf(error) })
    }
    if (!this.#ended.signal.aborted) this.#timer = clock.after(delayMs, () => this.#wake())
  }

  async #keepUp(): Promise<void> {
    const { store, directory, fetchKey } = this.#parts
    const { signal } = this.#ended
    await store.barrier(signal)
    this.#isCaughtUp = true
    const step = await this.#plan()
    const rotation = AUTHORITY_RECORDS.read(store)?.rotation
    if (step.type === 'fetch' && rotation !== undefined) {
      await keepComingAuthority(directory, await fetchKey(rotation.next, signal))
    }
    if (step.type !== 'none') await this.#parts.renewNow([])
    // Files of an earlier attempt that failed half-way.
    if (!(await this.#isInUse())) await this.#parts.renewNow(['admin'])
    if (rotation !== undefined) await this.#confirm()
  }

  async #plan(): Promise<ServerStep> {
    const { store, directory, clock } = this.#parts
    const { trusted, coming, cross } = await readAuthorities(directory)
    const rotation = AUTHORITY_RECORDS.read(store)?.rotation ?? null
    return planServer({ trusted, coming: coming?.certificate ?? null, cross, rotation, nowMs: clock.now() })
  }

  async #isInUse(): Promise<boolean> {
    const { trusted } = await readAuthorities(this.#parts.directory)
    return trusted.join('') === certificatesIn(this.#parts.inUse()).join('')
  }

  /** Says what is so; whether that is what the stage asks for is the leader's to see. */
  async #confirm(): Promise<void> {
    const { store, memberId, inUse } = this.#parts
    const stored = AUTHORITY_RECORDS.read(store)
    const bundle = nameOfBundle(certificatesIn(inUse()))
    if (stored === null || AUTHORITY_RECORDS.confirmations(store).get(memberId) === bundle) return
    if (bundle !== bundleNameOf(stored.rotation)) return
    await store.transact({
      compares: [{ key: ROTATION_KEY, target: 'mod-revision', equals: stored.modRevision }],
      operations: [
        {
          type: 'put',
          key: AUTHORITY_RECORDS.confirmationKey(memberId),
          value: AUTHORITY_RECORDS.encodeConfirmation(bundle),
        },
      ],
    })
  }

  /** Begun a while ago, and no server has the key: its only copy is off, or was lost with a disk. */
  #isOrphan({ stage, beganAt }: AuthorityRotation): boolean {
    const { store, clock } = this.#parts
    const isOld = clock.now() - Date.parse(beganAt) > ORPHAN_MS
    return stage === 'trust' && isOld && AUTHORITY_RECORDS.confirmations(store).size === 0
  }

  async #begin(): Promise<void> {
    const { store, memberId, directory, clock, log } = this.#parts
    await store.barrier(this.#ended.signal)
    this.#isCaughtUp = true
    const present = AUTHORITY_RECORDS.read(store)
    if (present !== null && !this.#isOrphan(present.rotation)) return
    const { trusted } = await readAuthorities(directory)
    if (present === null && trusted.length > 1) throw stillTrusted()
    const { certificate, cross } = await prepareNextAuthority(this.#parts)
    const value = AUTHORITY_RECORDS.encode({
      stage: 'trust',
      earlier: trusted[0] ?? '',
      next: certificate,
      cross,
      beganBy: memberId,
      beganAt: new Date(clock.now()).toISOString(),
      usedMs: null,
      dropAsked: false,
    })
    // That nobody has confirmed must still be so: whoever has the key of the present one may go on with it.
    const absent =
      present === null
        ? []
        : readMembers(store).map(({ record }) => AUTHORITY_RECORDS.confirmationKey(record.id))
    const expected = [
      [ROTATION_KEY, present?.modRevision ?? 0] as const,
      ...absent.map(key => [key, 0] as const),
    ]
    await store.transact({
      compares: expected.map(([key, equals]) => ({ key, target: 'mod-revision', equals })),
      operations: [{ type: 'put', key: ROTATION_KEY, value }],
    })
    log.warn('the cluster authority is being replaced')
  }
}

const stillTrusted = (): Mk8sError =>
  new Mk8sError('refused', 'the authority was replaced before, and the earlier one is still trusted', {
    hint: 'mk8s refresh-certs --drop-earlier, or wait until its week is over',
  })
