/** The endpoint on a memory store and a unix socket, and requests as one would write them by hand. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemClock } from '../../../../src/base/clock.ts'
import { silentLog } from '../../../../src/base/log.ts'
import type { WireWriter } from '../../../../src/base/wire-writer.ts'
import { createEtcdEndpoint } from '../../../../src/runtime/etcd/etcd.ts'
import { createMemoryStore, type MemoryStore } from '../../../../src/runtime/store/memory-store.ts'
import { GrpcClient, GrpcStream } from '../../../support/grpc-client.ts'

const signal = new AbortController().signal

export interface Setup {
  readonly store: MemoryStore
  readonly client: GrpcClient
  readonly path: string
}

export async function withEndpoint(use: (setup: Setup) => Promise<void>): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'mk8s-etcd-'))
  const path = join(directory, 'etcd.sock')
  const store = createMemoryStore({ clock: systemClock })
  const status = {
    memberId: 0xabc,
    leaderMemberId: 0xabc,
    clusterId: '01234567-89ab-cdef-0123-456789abcdef',
    term: 1,
    commit: 5,
    applied: 5,
    databaseBytes: 4096,
    membership: { voters: [0xabc, 0xdef], learners: [] },
  }
  const served = Object.assign(store, {
    defragment: async () => ({ before: 2, after: 1 }),
    transferLeadership: async (target?: number) => target === 0xdef,
  })
  const member = { id: 0xabc, name: 'n1', peerAddresses: [], clientAddresses: [], learner: false }
  const endpoint = createEtcdEndpoint({
    listen: { type: 'unix', path },
    store: served,
    status: () => status,
    members: () => [member],
    metrics: () => 'up 1\n',
    clock: systemClock,
    log: silentLog,
  })
  await endpoint.prepare(signal)
  await endpoint.start(signal)
  const client = new GrpcClient({ path })
  try {
    await use({ store, client, path })
  } finally {
    client.close()
    await endpoint.stop()
    await store.close()
    rmSync(directory, { recursive: true })
  }
}

export const kv = (name: string) => `/etcdserverpb.KV/${name}`
export const lease = (name: string) => `/etcdserverpb.Lease/${name}`

type Write = (writer: WireWriter) => void

export const bytesOf = (text: string | Buffer): Buffer =>
  typeof text === 'string' ? Buffer.from(text) : text

export const putting =
  (key: string | Buffer, value: string | Buffer, more: Write = () => {}): Write =>
  writer => {
    writer.bytes(1, bytesOf(key))
    writer.bytes(2, bytesOf(value))
    more(writer)
  }

/** Range, delete range, and what else begins with a key and an end. */
export const over =
  (key: string | Buffer, end: string | Buffer = '', more: Write = () => {}): Write =>
  writer => {
    writer.bytes(1, bytesOf(key))
    writer.bytes(2, bytesOf(end))
    more(writer)
  }

export function openWatch(client: GrpcClient): GrpcStream {
  return new GrpcStream(client.open('/etcdserverpb.Watch/Watch'))
}

export const creatingWatch =
  (key: string | Buffer, end: string | Buffer = '', more: Write = () => {}): Write =>
  writer =>
    writer.message(1, over(key, end, more))
