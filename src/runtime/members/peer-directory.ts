/**
 * What every server keeps up with: where the others are (told to the store's links), whether its own record is
 * there and true, and whether it has been taken out of the cluster.
 */
import type { Clock, Timer } from '../../base/clock.ts'
import type { Component, Health } from '../../base/component.ts'
import { Mk8sError, messageOf } from '../../base/errors.ts'
import type { Log } from '../../base/log.ts'
import { membersOf } from '../raft/quorum.ts'
import { followRange } from '../store/follow-range.ts'
import type { RaftStore } from '../store/raft-store.ts'
import type { Watch } from '../store/store.ts'
import {
  encodeMember,
  MEMBERS_RANGE,
  type MemberAddress,
  type MemberRecord,
  memberKey,
  memberName,
} from './member-record.ts'
import { readMembers } from './member-table.ts'
import { hasMoved } from './moved-member.ts'

/** Between attempts to put the own record right, and between looks whether the others still know this server. */
const RETRY_MS = 1_000
/** Somebody else may change the record at the same time. */
const ANNOUNCE_TRIES_MAX = 5
/** Without a leader for so long, the others are asked whether this server still belongs to them. */
const LEADERLESS_MS = 3_000

export type DirectoryStore = Pick<
  RaftStore,
  'status' | 'setPeers' | 'onMembership' | 'range' | 'watch' | 'transact' | 'barrier' | 'revision'
>

/** What a server says of itself in its record; the rest is decided by others. */
export type OwnMember = Pick<
  MemberRecord,
  'id' | 'nodeName' | 'peerAddresses' | 'apiAddress' | 'joinAddress' | 'failureDomain' | 'entryVersion'
>

export interface PeerDirectoryParts {
  readonly store: DirectoryStore
  readonly own: OwnMember
  /** It began the cluster, so it writes the first record; a server that joins finds its own. */
  readonly founding: boolean
  /** Whether another server that has a leader says that `own` is not in the cluster any more. */
  readonly isForgotten: (records: readonly MemberRecord[], signal: AbortSignal) => Promise<boolean>
  /** Whether one of them was made a cluster of its own by a recovery, without `own`. */
  readonly isCutOff?: (records: readonly MemberRecord[], signal: AbortSignal) => Promise<boolean>
  /** Where its record does not say yet that it has moved. */
  readonly movedTo?: (record: MemberRecord) => readonly MemberAddress[]
  /** Tells the others where this server is now, when it has moved and they cannot find it. */
  readonly tellMove?: (records: readonly MemberRecord[], signal: AbortSignal) => Promise<void>
  /** Called once; the daemon says so and stays down. */
  readonly onRemoved: (error: Mk8sError) => void
  readonly clock: Clock
  readonly log: Log
}

export interface PeerDirectory extends Component {
  /** In order of their ids. */
  members(): readonly MemberRecord[]
  /** Called at each change of the records; returns an unsubscribe. */
  onChange(listener: () => void): () => void
  /** Writes into the own record that this server is about to stop; the next start takes it back. */
  announceStop(signal: AbortSignal): Promise<void>
}

export function createPeerDirectory(parts: PeerDirectoryParts): PeerDirectory {
  return new Directory(parts)
}

class Directory implements PeerDirectory {
  readonly name = 'peers'
  readonly #parts: PeerDirectoryParts
  readonly #listeners = new Set<() => void>()
  readonly #ended = new AbortController()
  #watch: Watch | null = null
  #timer: Timer | null = null
  #unsubscribe = () => {}
  /** The own record has been there in the store of this process's life. */
  #wasThere = false
  #isTrue = false
  #problem = ''
  #removed = false
  /** The others were asked once whether a recovery left this server behind while it was off. */
  #askedForRecovery = false
  #stopping = false
  #leaderlessSinceMs: number | null = null
  #looking: Promise<void> | null = null

  constructor(parts: PeerDirectoryParts) {
    this.#parts = parts
  }

  async prepare(): Promise<void> {}

  async start(): Promise<void> {
    this.#unsubscribe = this.#parts.store.onMembership(() => this.#look())
    const { store, clock } = this.#parts
    const onChange = () => this.#changed()
    this.#watch = followRange({ store, range: MEMBERS_RANGE, onChange, clock })
    this.#changed()
  }

  async announceStop(signal: AbortSignal): Promise<void> {
    this.#stopping = true
    const isSaid = () => this.members().find(({ id }) => id === this.#parts.own.id)?.stopped !== undefined
    for (let tries = 0; tries < ANNOUNCE_TRIES_MAX && !isSaid(); tries++) await this.#putRight(signal)
  }

  async stop(): Promise<void> {
    this.#ended.abort()
    this.#unsubscribe()
    this.#watch?.close()
    this.#timer?.cancel()
    await this.#looking
  }

  health(): Health {
    return { ok: this.#problem === '', reason: this.#problem }
  }

  members(): readonly MemberRecord[] {
    return readMembers(this.#parts.store).map(({ record }) => record)
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  #changed(): void {
    if (this.#ended.signal.aborted) return
    const { store, own } = this.#parts
    const members = this.members()
    const others = members.filter(({ id }) => id !== own.id)
    // A server that joins has heard of the others from elsewhere, and here of nobody yet.
    if (others.length < members.length)
      store.setPeers(others.map(record => ({ member: record.id, addresses: this.#addressesOf(record) })))
    for (const listener of this.#listeners) listener()
    this.#look()
  }

  #addressesOf(record: MemberRecord): readonly MemberAddress[] {
    return [...(this.#parts.movedTo?.(record) ?? []), ...record.peerAddresses]
  }

  #look(): void {
    if (this.#ended.signal.aborted || this.#looking !== null) return
    this.#timer?.cancel()
    this.#looking = this.#settle()
      .then(() => {
        this.#problem = ''
      })
      .catch(error => {
        this.#isTrue = false
        if (this.#ended.signal.aborted) return
        this.#problem = `the record of this server is not right yet: ${messageOf(error)}`
        this.#parts.log.debug('the own record could not be looked after', { error })
      })
      .finally(() => {
        this.#looking = null
        if (this.#ended.signal.aborted) return
        this.#timer = this.#parts.clock.after(RETRY_MS, () => this.#look())
      })
  }

  async #settle(): Promise<void> {
    const { store, own } = this.#parts
    const before = this.members().find(({ id }) => id === own.id)
    const { membership } = store.status()
    if (before?.leaving && !membersOf(membership).includes(own.id)) return this.#declareRemoved()
    if (before === undefined && this.#wasThere) return this.#declareRemoved()
    if (before !== undefined) this.#wasThere = true
    if (await this.#isLeftBehind()) return this.#declareRemoved('the cluster was recovered without it')
    if (this.#hasLeader()) {
      if (!this.#isTrue || before === undefined) await this.#putRight()
    } else if (this.#isLeaderless() && this.#wasThere) {
      if (before !== undefined && hasMoved(before, own))
        await this.#parts.tellMove?.(this.members(), this.#ended.signal)
      const forgotten = await this.#parts.isForgotten(this.members(), this.#ended.signal)
      if (forgotten) this.#declareRemoved()
    }
  }

  /** Old servers that are started together would be a cluster again, with the same name and the same clients. */
  async #isLeftBehind(): Promise<boolean> {
    const members = this.members()
    const { isCutOff, own } = this.#parts
    if (this.#askedForRecovery || isCutOff === undefined || !members.some(({ id }) => id === own.id))
      return false
    this.#askedForRecovery = true
    return await isCutOff(members, this.#ended.signal)
  }

  #hasLeader(): boolean {
    const known = this.#parts.store.status().leaderMemberId !== 0
    if (known) this.#leaderlessSinceMs = null
    return known
  }

  #isLeaderless(): boolean {
    const nowMs = this.#parts.clock.monotonic()
    this.#leaderlessSinceMs ??= nowMs
    return nowMs - this.#leaderlessSinceMs >= LEADERLESS_MS
  }

  /** Everything that was committed is known here behind the barrier, so that a record that is missing was removed. */
  async #putRight(signal = this.#ended.signal): Promise<void> {
    const { store, own, founding, log } = this.#parts
    await store.barrier(signal)
    const entries = readMembers(store)
    const present = entries.find(({ record }) => record.id === own.id)
    if (present === undefined) {
      if (entries.length > 0 || !founding) return this.#missing(entries.length)
      await this.#put(foundingRecord(own, this.#parts.clock), 0)
      return
    }
    this.#wasThere = true
    const { stopped: _before, ...before } = present.record
    const next: MemberRecord = { ...before, ...own, ...(this.#stopping && { stopped: true }) }
    if (!encodeMember(next).equals(encodeMember(present.record))) {
      await this.#put(next, present.modRevision)
      log.info('the record of this server is up to date', { joinAddress: own.joinAddress })
      return
    }
    this.#isTrue = true
  }

  /** A server that joins has no record before its join is committed. */
  #missing(others: number): void {
    if (others > 0 && (this.#wasThere || this.#parts.founding)) this.#declareRemoved()
  }

  async #put(record: MemberRecord, modRevision: number): Promise<void> {
    const key = memberKey(record.id)
    await this.#parts.store.transact({
      compares: [{ key, target: 'mod-revision', equals: modRevision }],
      operations: [{ type: 'put', key, value: encodeMember(record) }],
    })
  }

  #declareRemoved(why = 'it has left, or was removed on another server'): void {
    if (this.#removed) return
    this.#removed = true
    const { own, log, onRemoved } = this.#parts
    log.error('this server is not in the cluster any more', { member: memberName(own.id) })
    onRemoved(removedError(own.nodeName, why))
  }
}

const removedError = (nodeName: string, why: string): Mk8sError =>
  new Mk8sError('node/removed', `the node ${nodeName} is not in the cluster any more`, {
    why,
    hint: 'mk8s uninstall; then mk8s join, with a new line from mk8s add-node on a server',
  })

const foundingRecord = (own: OwnMember, clock: Clock): MemberRecord => ({
  ...own,
  role: 'voter',
  joinedAt: new Date(clock.now()).toISOString(),
  leaving: false,
})
