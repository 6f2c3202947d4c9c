/** etcd's Lease service. Times are whole seconds there, and a lease that does not exist has -1 of them. */

import { Mk8sError } from '../../../base/errors.ts'
import { WireReader } from '../../../base/wire-reader.ts'
import type { WireWriter } from '../../../base/wire-writer.ts'
import { type EtcdContext, newAnswer } from '../context.ts'
import { etcdErrors, limitError } from '../errors.ts'
import type { Method, StreamCall, StreamHandler, UnaryMethod } from '../grpc/call.ts'
import { keyToBytes } from '../keys.ts'
import { readFirstNumber } from '../messages/watch-messages.ts'

/** A shorter one could run out during a change of leadership. */
const TTL_SECONDS_MIN = 1
const TTL_SECONDS_MAX = 9_000_000_000

export function leaseMethods(context: EtcdContext): [string, Method][] {
  const unary: Record<string, UnaryMethod> = {
    LeaseGrant: request => grant(context, request),
    LeaseRevoke: request => revoke(context, request),
    LeaseTimeToLive: request => timeToLive(context, request),
    LeaseLeases: () => leases(context),
  }
  const open = (call: StreamCall) => keepAliveStream(context, call)
  return [
    ...Object.entries(unary).map(([name, handle]): [string, Method] => [
      `/etcdserverpb.Lease/${name}`,
      { kind: 'unary', handle },
    ]),
    ['/etcdserverpb.Lease/LeaseKeepAlive', { kind: 'stream', open }],
  ]
}

async function grant(context: EtcdContext, bytes: Buffer): Promise<WireWriter> {
  let [ttl, id] = [0, 0]
  for (const reader = new WireReader(bytes); reader.next(); ) {
    if (reader.field === 1) ttl = reader.int64()
    else if (reader.field === 2) id = reader.int64()
    else reader.skip()
  }
  if (ttl > TTL_SECONDS_MAX) throw etcdErrors.leaseTtlTooLarge()
  if (!Number.isSafeInteger(id) || id < 0) throw limitError('the id of a lease lies between 0 and 2^53')
  const seconds = Math.max(TTL_SECONDS_MIN, ttl)
  const lease = await context.store.grantLease(seconds * 1_000, id === 0 ? undefined : id)
  const answer = newAnswer(context)
  answer.int64(2, lease)
  answer.int64(3, seconds)
  return answer
}

async function revoke(context: EtcdContext, bytes: Buffer): Promise<WireWriter> {
  const id = readFirstNumber(bytes)
  if (!Number.isSafeInteger(id) || id <= 0) throw etcdErrors.leaseNotFound()
  await context.store.revokeLease(id)
  return newAnswer(context)
}

async function timeToLive(context: EtcdContext, bytes: Buffer): Promise<WireWriter> {
  let id = 0
  let withKeys = false
  for (const reader = new WireReader(bytes); reader.next(); ) {
    if (reader.field === 1) id = reader.int64()
    else if (reader.field === 2) withKeys = reader.bool()
    else reader.skip()
  }
  await context.store.barrier()
  const found = context.store.lease(id)
  const remainingMs = found === null ? null : await remaining(context, id)
  const answer = newAnswer(context)
  answer.int64(2, id)
  if (found === null || remainingMs === null) {
    answer.int64(3, -1)
    return answer
  }
  answer.int64(3, Math.floor(remainingMs / 1_000))
  answer.int64(4, Math.round(found.ttlMs / 1_000))
  if (withKeys) for (const key of found.keys) answer.repeatedBytes(5, keyToBytes(key))
  return answer
}

/** Only the leader counts, and is asked. Null for a lease that does not exist any more. */
async function remaining({ store }: EtcdContext, id: number): Promise<number | null> {
  try {
    return store.lease(id)?.remainingMs ?? (await store.leaseRemaining(id))
  } catch (error) {
    if (error instanceof Mk8sError && error.code === 'store/no-lease') return null
    throw error
  }
}

async function leases(context: EtcdContext): Promise<WireWriter> {
  await context.store.barrier()
  const answer = newAnswer(context)
  for (const lease of context.store.leases()) answer.message(2, status => status.int64(1, lease))
  return answer
}

function keepAliveStream(context: EtcdContext, call: StreamCall): StreamHandler {
  return {
    async onMessage(bytes) {
      const id = readFirstNumber(bytes)
      const ttlMs = await keepAlive(context, id)
      const answer = newAnswer(context)
      answer.int64(2, id)
      answer.int64(3, Math.round(ttlMs / 1_000))
      call.send(answer)
    },
    onClosed() {},
  }
}

/** 0 for a lease that does not exist, which ends the client's interest and not the stream. */
async function keepAlive({ store }: EtcdContext, id: number): Promise<number> {
  try {
    return await store.keepLeaseAlive(id)
  } catch (error) {
    if (error instanceof Mk8sError && error.code === 'store/no-lease') return 0
    throw error
  }
}
