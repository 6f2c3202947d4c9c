/**
 * Takes a node out of the cluster: `mk8s remove-node` on any server, `mk8s leave` on the node itself. Every step can
 * be taken again, so that whoever is interrupted begins anew; from the mark in the record on, the leader finishes it.
 */
import { type Clock, sleep } from '../../base/clock.ts'
import { Mk8sError } from '../../base/errors.ts'
import type { Log } from '../../base/log.ts'
import { isNotFound, type KubeClient } from '../../client/kube-client.ts'
import type { RemovalOutcome, RemovalRequest } from '../../client/node-removal.ts'
import { NODES } from '../../client/resources.ts'
import type { Node } from '../../kube/types.ts'
import { membersOf } from '../raft/quorum.ts'
import type { RaftStore } from '../store/raft-store.ts'
import { drainNode } from './drain.ts'
import { encodeMember, type MemberRecord, memberKey, memberName } from './member-record.ts'
import type { MemberStatus } from './member-status.ts'
import { readMembers } from './member-table.ts'
import { removalProblem } from './plan-removal.ts'
import { banNode } from './removed-nodes.ts'

/** How long the leader may take to let the server out: as long as a standby needs to catch up. */
const LEAVING_MS_MAX = 120_000
const POLL_MS = 100
/** A record that somebody else changes at the same time is read again so many times. */
const MARK_TRIES_MAX = 10

export interface RemovalParts {
  readonly store: Pick<RaftStore, 'status' | 'range' | 'transact' | 'barrier'>
  readonly status: MemberStatus
  /** As an administrator. */
  readonly client: KubeClient
  readonly nodeName: string
  readonly votersWanted: number
  /** Ends the pods of this node, when it is this one that leaves. */
  readonly stopWorkloads: () => Promise<void>
  readonly clock: Clock
  readonly log: Log
}

export async function removeNode(parts: RemovalParts, request: RemovalRequest): Promise<RemovalOutcome> {
  const { store, client, log } = parts
  const { name = parts.nodeName } = request
  await store.barrier().catch(error => {
    throw withoutQuorum(error)
  })
  const record = readMembers(store).find(entry => entry.record.nodeName === name)?.record
  const node = await getNode(client, name)
  if (record === undefined && node === null)
    return { name, removed: false, server: false, evicted: 0, forced: [] }
  const alive = record === undefined ? isReady(node) : await mayGo(parts, record)
  log.info('a node is taken out of the cluster', { node: name, force: request.force, alive })
  const drainMs = request.force ? 0 : request.drainMs
  const drained = await drainNode(parts, { nodeName: name, alive: alive && !request.force, limitMs: drainMs })
  if (name === parts.nodeName) await parts.stopWorkloads()
  if (record === undefined) await removeWorker(parts, name)
  else await removeServer(parts, record)
  return { name, removed: true, server: record !== undefined, ...drained }
}

const withoutQuorum = (error: unknown): Mk8sError =>
  new Mk8sError(
    'store/no-leader',
    'the datastore has no leader, so no node can be taken out of the cluster',
    {
      why: 'too few of the servers that vote answer; mk8s status says which',
      hint: 'start them again, or, when they are lost for good: mk8s recover',
      cause: error,
    },
  )

async function getNode(client: KubeClient, name: string): Promise<Node | null> {
  try {
    return await client.get<Node>(NODES, { name })
  } catch (error) {
    if (isNotFound(error)) return null
    throw error
  }
}

const isReady = (node: Node | null): boolean =>
  node?.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') ?? false

/** Throws when it must not go; otherwise whether it lives. One that is leaving already is not asked about again. */
async function mayGo({ store, status, votersWanted }: RemovalParts, target: MemberRecord): Promise<boolean> {
  const { members } = await status.collect()
  const living = new Set(members.filter(({ alive }) => alive).map(({ id }) => id))
  const isAlive = (id: number) => living.has(memberName(id))
  const { membership, leaderMemberId: leader } = store.status()
  const records = readMembers(store).map(({ record }) => record)
  const problem = removalProblem({
    target,
    records,
    configuration: membership,
    leader,
    votersWanted,
    isAlive,
  })
  if (problem !== null && !target.leaving) throw problem
  return isAlive(target.id)
}

/** A worker that still runs is kept from making its Node again. */
async function removeWorker({ client, store, clock }: RemovalParts, name: string): Promise<void> {
  await banNode(store, name, clock.now())
  await client.delete(NODES, { name }).catch(error => {
    if (!isNotFound(error)) throw error
  })
}

/** The mark is the point of no return: whoever leads takes it from there. */
async function removeServer(parts: RemovalParts, target: MemberRecord): Promise<void> {
  await markLeaving(parts, target.id)
  const { store, clock, nodeName } = parts
  const deadline = clock.monotonic() + LEAVING_MS_MAX
  const isSelf = target.nodeName === nodeName
  while (clock.monotonic() < deadline) {
    if (isSelf ? await isOut(parts, target.id) : !hasRecord(store, target.id)) return
    await sleep(clock, POLL_MS)
  }
  throw new Mk8sError('timeout', `${target.nodeName} is still leaving after ${LEAVING_MS_MAX / 1_000} s`, {
    why: 'the leader goes on with it; another server may still be getting the data',
    hint: 'mk8s status, then the same command again',
  })
}

async function markLeaving({ store }: RemovalParts, id: number): Promise<void> {
  const key = memberKey(id)
  for (let tries = 0; tries < MARK_TRIES_MAX; tries++) {
    const entry = readMembers(store).find(({ record }) => record.id === id)
    if (entry === undefined || entry.record.leaving) return
    const { succeeded } = await store.transact({
      compares: [{ key, target: 'mod-revision', equals: entry.modRevision }],
      operations: [{ type: 'put', key, value: encodeMember({ ...entry.record, leaving: true }) }],
    })
    if (succeeded) return
  }
  throw new Mk8sError('store/overloaded', 'the record of the server changes all the time', {
    hint: 'try again',
  })
}

const hasRecord = (store: RemovalParts['store'], id: number): boolean =>
  readMembers(store).some(({ record }) => record.id === id)

/** A server that has left gets no more of the log, so it may have to ask the others. */
async function isOut({ store, status }: RemovalParts, id: number): Promise<boolean> {
  if (!hasRecord(store, id) || !membersOf(store.status().membership).includes(id)) return true
  if (store.status().leaderMemberId !== 0) return false
  const answers = await status.ask()
  return answers.some(({ leader, records }) => leader !== 0 && !records.some(record => record.id === id))
}
