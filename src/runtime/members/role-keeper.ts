/**
 * The leader's duty of one term: makes Raft's membership follow the records of the servers, keeps the roles in the
 * records true, and forgets who has left. What to do is decided in plan-roles.ts; here it is done, step by step.
 */
import type { Clock } from '../../base/clock.ts'
import type { Component, Health } from '../../base/component.ts'
import { Mk8sError, messageOf } from '../../base/errors.ts'
import type { Log } from '../../base/log.ts'
import { WakingLoop } from '../../base/waking-loop.ts'
import { CLUSTER_VERSION_MAX } from '../raft/entry-gate.ts'
import { membersOf } from '../raft/quorum.ts'
import { clusterVersionOf, raiseClusterVersion } from '../store/cluster-version.ts'
import { followRange } from '../store/follow-range.ts'
import type { RaftStore } from '../store/raft-store.ts'
import type { Operation, Watch } from '../store/store.ts'
import { encodeMember, MEMBERS_RANGE, type MemberRecord, memberKey, memberName } from './member-record.ts'
import { type MemberEntry, readMembers } from './member-table.ts'
import { planRoles, type RoleFacts, type RoleStep } from './plan-roles.ts'

/** While something is on its way, and when nothing is: nobody tells of silence. */
const BUSY_LOOK_MS = 100
const QUIET_LOOK_MS = 1_000
/** After a step that failed. */
const RETRY_MS = 500
/** From so many failures in a row on, a failure is a warning and makes the duty unwell. */
const QUIET_FAILURES = 3

export type KeeperStore = Pick<
  RaftStore,
  | 'status'
  | 'changeMembership'
  | 'transferLeadership'
  | 'onMembership'
  | 'get'
  | 'range'
  | 'watch'
  | 'transact'
  | 'revision'
>

export interface RoleKeeperParts {
  readonly store: KeeperStore
  /** The term that this duty belongs to; its writes are fenced with it. */
  readonly term: number
  /** 3, or 5 where that was asked for at install. */
  readonly votersWanted: number
  /** Removes the Node of a server that has left; there may be none any more. */
  readonly deleteNode: (name: string) => Promise<void>
  readonly clock: Clock
  readonly log: Log
}

export interface RoleKeeper extends Component {
  /** Every server holds the role that it ought to, as far as anybody can help it. */
  readonly settled: boolean
}

export function createRoleKeeper(parts: RoleKeeperParts): RoleKeeper {
  return new Keeper(parts)
}

class Keeper implements RoleKeeper {
  readonly name = 'role-keeper'
  settled = false
  readonly #parts: RoleKeeperParts
  /** When each member was first seen in the membership. */
  readonly #seenMs = new Map<number, number>()
  readonly #loop: WakingLoop
  #watch: Watch | null = null
  #unsubscribe = () => {}
  #failures = 0
  #problem = ''

  constructor(parts: RoleKeeperParts) {
    this.#parts = parts
    this.#loop = new WakingLoop({ look: () => this.#step(), clock: parts.clock })
  }

  async prepare(): Promise<void> {}

  async start(): Promise<void> {
    const { store, clock } = this.#parts
    const onChange = () => this.#loop.wake()
    this.#unsubscribe = store.onMembership(onChange)
    this.#watch = followRange({ store, range: MEMBERS_RANGE, onChange, clock })
    this.#loop.wake()
  }

  async stop(): Promise<void> {
    this.#unsubscribe()
    this.#watch?.close()
    await this.#loop.stop()
  }

  health(): Health {
    return { ok: this.#problem === '', reason: this.#problem }
  }

  /** One step, or none. Returns when to look again if nothing happens before. */
  async #step(): Promise<number> {
    try {
      const entries = readMembers(this.#parts.store)
      const step = planRoles(this.#factsOf(entries))
      this.settled = step.type === 'none' && step.settled
      const done = await this.#act(step, entries)
      this.#failures = 0
      this.#problem = ''
      if (done) this.#loop.wake()
      return this.settled ? QUIET_LOOK_MS : BUSY_LOOK_MS
    } catch (error) {
      return this.#failed(error)
    }
  }

  #factsOf(entries: readonly MemberEntry[]): RoleFacts {
    const { store, clock, votersWanted } = this.#parts
    const { membership, memberId, lastIndex, progress } = store.status()
    const nowMs = clock.monotonic()
    const members = membersOf(membership)
    for (const id of members) if (!this.#seenMs.has(id)) this.#seenMs.set(id, nowMs)
    for (const id of this.#seenMs.keys()) if (!members.includes(id)) this.#seenMs.delete(id)
    return {
      records: entries.map(({ record }) => record),
      configuration: membership,
      leader: memberId,
      lastIndex,
      progress,
      watchedMs: id => nowMs - (this.#seenMs.get(id) ?? nowMs),
      votersWanted,
    }
  }

  /** True when the next step can be looked for at once. */
  async #act(step: RoleStep, entries: readonly MemberEntry[]): Promise<boolean> {
    const { store, log } = this.#parts
    switch (step.type) {
      case 'none':
        return this.#raiseVersion(entries)
      case 'change-membership': {
        const outcome = await store.changeMembership(step.target)
        if (outcome.kind === 'accepted') log.info('the membership changes', { why: step.why })
        if (outcome.kind === 'invalid') throw new Error(`the membership cannot change: ${outcome.why}`)
        return false
      }
      case 'transfer':
        log.info('handing over leadership', { to: memberName(step.target), why: step.why })
        await store.transferLeadership(step.target)
        return false
      case 'record-roles':
        return this.#recordRoles(step.roles, entries)
      case 'forget':
        return this.#forget(step.record)
    }
  }

  /** What every server understands may be written from now on. */
  async #raiseVersion(entries: readonly MemberEntry[]): Promise<boolean> {
    const { store, log } = this.#parts
    const version = Math.min(...entries.map(({ record }) => record.entryVersion), CLUSTER_VERSION_MAX)
    if (entries.length === 0 || version <= clusterVersionOf(store)) return false
    const raised = await raiseClusterVersion(store, version)
    if (raised) log.info('every server understands it: the cluster version is raised', { version })
    return raised
  }

  /** All of them or, when a record has changed meanwhile, none: then the next look decides anew. */
  async #recordRoles(
    roles: ReadonlyMap<number, MemberRecord['role']>,
    entries: readonly MemberEntry[],
  ): Promise<boolean> {
    const changed = entries.filter(({ record }) => roles.has(record.id))
    const operations = changed.map(({ record }): Operation => {
      const role = roles.get(record.id) ?? record.role
      return { type: 'put', key: memberKey(record.id), value: encodeMember({ ...record, role }) }
    })
    const compares = changed.map(({ record, modRevision }) => ({
      key: memberKey(record.id),
      target: 'mod-revision' as const,
      equals: modRevision,
    }))
    const { store, term, log } = this.#parts
    const written = await store.transact({ compares, operations }, { term })
    if (written.succeeded)
      for (const [id, role] of roles) log.info('a server has a role', { member: memberName(id), role })
    return true
  }

  /** The Node goes first: whoever is interrupted here finds the record again. */
  async #forget({ id, nodeName }: MemberRecord): Promise<boolean> {
    const { store, term, log, deleteNode } = this.#parts
    await deleteNode(nodeName)
    await store.transact({ compares: [], operations: [{ type: 'delete', key: memberKey(id) }] }, { term })
    log.info('a server has left the cluster', { node: nodeName, member: memberName(id) })
    return true
  }

  #failed(error: unknown): number {
    this.settled = false
    const { log } = this.#parts
    // The term is over, and this duty with it.
    if (error instanceof Mk8sError && error.code === 'store/fenced') return QUIET_LOOK_MS
    this.#failures++
    if (this.#failures >= QUIET_FAILURES) {
      this.#problem = `the roles of the servers cannot be kept: ${messageOf(error)}`
      log.warn('a step towards the right roles failed', { error, failures: this.#failures })
    } else log.debug('a step towards the right roles failed', { error })
    return RETRY_MS
  }
}
