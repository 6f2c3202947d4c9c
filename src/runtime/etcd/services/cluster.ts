/** etcd's Cluster service: who belongs to the datastore. Members come and go with mk8s' own commands. */
import { WireReader } from '../../../base/wire-reader.ts'
import type { WireWriter } from '../../../base/wire-writer.ts'
import { type EtcdContext, newAnswer } from '../context.ts'
import { elsewhereError } from '../errors.ts'
import type { Method, UnaryMethod } from '../grpc/call.ts'

export function clusterMethods(context: EtcdContext): [string, Method][] {
  const elsewhere = (how: string): UnaryMethod => {
    return () => {
      throw elsewhereError(how)
    }
  }
  const methods: Record<string, UnaryMethod> = {
    MemberList: request => memberList(context, request),
    MemberAdd: elsewhere('a server joins with mk8s join, and a token of mk8s add-node'),
    MemberRemove: elsewhere('a server leaves with mk8s leave, or is taken out with mk8s remove-node'),
    MemberUpdate: elsewhere('a server tells a changed address when it starts'),
    MemberPromote: elsewhere('the leader promotes members by itself; see mk8s datastore members'),
  }
  return Object.entries(methods).map(([name, handle]) => [
    `/etcdserverpb.Cluster/${name}`,
    { kind: 'unary', handle },
  ])
}

async function memberList(context: EtcdContext, bytes: Buffer): Promise<WireWriter> {
  let linearizable = false
  for (const reader = new WireReader(bytes); reader.next(); ) {
    if (reader.field === 1) linearizable = reader.bool()
    else reader.skip()
  }
  if (linearizable) await context.store.barrier()
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
