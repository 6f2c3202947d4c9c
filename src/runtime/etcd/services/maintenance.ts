/** etcd's Maintenance and Auth services as far as they mean something here, and gRPC's health check. */
import type { WireWriter } from '../../../base/wire-writer.ts'
import { type EtcdContext, newAnswer } from '../context.ts'
import { etcdErrors, notServedError } from '../errors.ts'
import { type Method, newMessage, type UnaryMethod } from '../grpc/call.ts'
import { readFirstNumber } from '../messages/watch-messages.ts'
import { hashAt } from './hash.ts'

/** The version of etcd's protocol that is spoken; clients look at it before they use what came with one. */
export const PROTOCOL_VERSION = '3.5.0'
const ALARM_ACTIVATE = 1
const SERVING = 1

export function maintenanceMethods(context: EtcdContext): [string, Method][] {
  const none = (why: string): UnaryMethod => {
    return () => {
      throw notServedError(why)
    }
  }
  const authOff: UnaryMethod = () => {
    throw etcdErrors.authNotEnabled()
  }
  const methods: Record<string, UnaryMethod> = {
    'etcdserverpb.Maintenance/Status': () => status(context),
    'etcdserverpb.Maintenance/Alarm': request => alarm(context, request),
    'etcdserverpb.Maintenance/Defragment': () => defragment(context),
    'etcdserverpb.Maintenance/Hash': () => hash(context),
    'etcdserverpb.Maintenance/HashKV': request => hashKv(context, request),
    // A file that etcd's own tools cannot restore would be found out in an emergency.
    'etcdserverpb.Maintenance/Snapshot': none(
      "the datastore is a SQLite database, which etcd's tools cannot restore, so none is given out as a snapshot",
    ),
    'etcdserverpb.Maintenance/MoveLeader': request => moveLeader(context, request),
    'etcdserverpb.Maintenance/Downgrade': none('there is no etcd to downgrade'),
    'etcdserverpb.Auth/AuthStatus': () => newAnswer(context),
    'etcdserverpb.Auth/Authenticate': authOff,
    'grpc.health.v1.Health/Check': () => health(),
  }
  return Object.entries(methods).map(([path, handle]) => [`/${path}`, { kind: 'unary', handle }])
}

function status(context: EtcdContext): WireWriter {
  const { memberId, term, commit, applied, databaseBytes, leaderMemberId, membership } = context.status()
  const answer = newAnswer(context)
  answer.string(2, PROTOCOL_VERSION)
  answer.int64(3, databaseBytes)
  answer.int64(4, leaderMemberId)
  answer.int64(5, commit)
  answer.int64(6, term)
  answer.int64(7, applied)
  if (leaderMemberId === 0) answer.string(8, etcdErrors.noLeader().message)
  answer.int64(9, databaseBytes)
  answer.bool(10, membership.learners.includes(memberId))
  return answer
}

async function defragment(context: EtcdContext): Promise<WireWriter> {
  await context.store.defragment()
  return newAnswer(context)
}

async function hash(context: EtcdContext): Promise<WireWriter> {
  const { revision } = context.store
  const found = await hashAt(context.store, revision)
  const answer = newAnswer(context, revision)
  answer.int64(2, found)
  return answer
}

/** As etcd, of what this member has: nobody else is asked. */
async function hashKv(context: EtcdContext, bytes: Buffer): Promise<WireWriter> {
  const { store } = context
  const asked = readFirstNumber(bytes)
  if (asked > store.revision) throw etcdErrors.futureRevision()
  const revision = asked === 0 ? store.revision : asked
  const found = await hashAt(store, revision)
  const answer = newAnswer(context)
  answer.int64(2, found)
  answer.int64(3, store.compactedRevision)
  answer.int64(4, revision)
  return answer
}

async function moveLeader(context: EtcdContext, bytes: Buffer): Promise<WireWriter> {
  const target = readFirstNumber(bytes)
  const { memberId, leaderMemberId, membership } = context.status()
  if (leaderMemberId !== memberId) throw etcdErrors.notLeader()
  if (target === memberId) return newAnswer(context)
  if (!membership.voters.includes(target)) throw etcdErrors.badTransferee()
  if (!(await context.store.transferLeadership(target))) throw etcdErrors.transferTimeout()
  return newAnswer(context)
}

/** There are no alarms: a datastore that cannot go on stops. */
function alarm(context: EtcdContext, bytes: Buffer): WireWriter {
  if (readFirstNumber(bytes) === ALARM_ACTIVATE) throw notServedError('alarms are not raised by hand')
  return newAnswer(context)
}

function health(): WireWriter {
  const answer = newMessage()
  answer.int64(1, SERVING)
  return answer
}
