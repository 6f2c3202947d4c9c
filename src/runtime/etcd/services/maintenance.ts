/** etcd's Maintenance, Cluster and Auth services as far as they mean something here, and gRPC's health check. */
import type { WireWriter } from '../../../base/wire-writer.ts'
import { type EtcdContext, newAnswer } from '../context.ts'
import { etcdErrors, notServedError } from '../errors.ts'
import { type Method, newMessage, type UnaryMethod } from '../grpc/call.ts'
import { readFirstNumber } from '../messages/watch-messages.ts'

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
  const membersChange = none('members join and leave with mk8s, not through etcd clients')
  const authOff: UnaryMethod = () => {
    throw etcdErrors.authNotEnabled()
  }
  const methods: Record<string, UnaryMethod> = {
    'etcdserverpb.Maintenance/Status': () => status(context),
    'etcdserverpb.Maintenance/Alarm': request => alarm(context, request),
    // SQLite reuses the pages that compaction freed.
    'etcdserverpb.Maintenance/Defragment': () => newAnswer(context),
    'etcdserverpb.Maintenance/Hash': none(
      'hashes of the database are not computed; see mk8s datastore check',
    ),
    'etcdserverpb.Maintenance/HashKV': none('hashes of the keys are not computed; see mk8s datastore check'),
    'etcdserverpb.Maintenance/Snapshot': none(
      'the datastore is no etcd database, so there is no snapshot of one',
    ),
    'etcdserverpb.Maintenance/MoveLeader': none('leadership is not moved through etcd clients'),
    'etcdserverpb.Maintenance/Downgrade': none('there is no etcd to downgrade'),
    'etcdserverpb.Cluster/MemberList': () => memberList(context),
    'etcdserverpb.Cluster/MemberAdd': membersChange,
    'etcdserverpb.Cluster/MemberRemove': membersChange,
    'etcdserverpb.Cluster/MemberUpdate': membersChange,
    'etcdserverpb.Cluster/MemberPromote': membersChange,
    'etcdserverpb.Auth/AuthStatus': () => newAnswer(context),
    'etcdserverpb.Auth/Authenticate': authOff,
    'grpc.health.v1.Health/Check': () => health(),
  }
  return Object.entries(methods).map(([path, handle]) => [`/${path}`, { kind: 'unary', handle }])
}

function status(context: EtcdContext): WireWriter {
  const { term, commit, applied, databaseBytes, leaderMemberId } = context.status()
  const answer = newAnswer(context)
  answer.string(2, PROTOCOL_VERSION)
  answer.int64(3, databaseBytes)
  answer.int64(4, leaderMemberId)
  answer.int64(5, commit)
  answer.int64(6, term)
  answer.int64(7, applied)
  if (leaderMemberId === 0) answer.string(8, etcdErrors.noLeader().message)
  answer.int64(9, databaseBytes)
  return answer
}

/** There are no alarms: a datastore that cannot go on stops. */
function alarm(context: EtcdContext, bytes: Buffer): WireWriter {
  if (readFirstNumber(bytes) === ALARM_ACTIVATE) throw notServedError('alarms are not raised by hand')
  return newAnswer(context)
}

function memberList(context: EtcdContext): WireWriter {
  const answer = newAnswer(context)
  for (const { id, name, peerAddresses, clientAddresses, learner } of context.members()) {
    answer.message(2, member => {
      member.int64(1, id)
      member.string(2, name)
      for (const address of peerAddresses) member.string(3, address)
      for (const address of clientAddresses) member.string(4, address)
      member.bool(5, learner)
    })
  }
  return answer
}

function health(): WireWriter {
  const answer = newMessage()
  answer.int64(1, SERVING)
  return answer
}
