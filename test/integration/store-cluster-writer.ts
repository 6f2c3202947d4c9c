/**
 * One member of a cluster in a process of its own: core, write-ahead log on a real disk, driver and links over TLS.
 * Told by its parent what to do; says who leads and what was written. State is kept in memory.
 */
import { join } from 'node:path'
import { must } from '../../src/base/assert.ts'
import { systemClock } from '../../src/base/clock.ts'
import { silentLog } from '../../src/base/log.ts'
import { systemRandom } from '../../src/base/random.ts'
import { createDirectoryDisk } from '../../src/runtime/store/log/disk.ts'
import { type PeerAddress, type PeerCredentials, PeerLinks } from '../../src/runtime/store/peers/links.ts'
import { Replica } from '../../src/runtime/store/replica.ts'
import { startCore } from '../../src/runtime/store/start-core.ts'
import { SimStore, splitEntries } from '../simulation/sim-store.ts'

export interface MemberConfig {
  readonly member: number
  readonly directory: string
  readonly identities: Readonly<Record<number, string>>
  readonly credentials: PeerCredentials
}

export type ToMember =
  | { readonly type: 'peers'; readonly addresses: Readonly<Record<number, PeerAddress>> }
  | { readonly type: 'change'; readonly voters: number[]; readonly learners: number[] }
  | { readonly type: 'put'; readonly key: string; readonly value: string }
  | { readonly type: 'get'; readonly key: string }

export type FromMember =
  | { readonly type: 'listening'; readonly port: number }
  | { readonly type: 'status'; readonly leader: number; readonly voters: readonly number[] }
  | { readonly type: 'changed'; readonly outcome: string }
  | { readonly type: 'written'; readonly value: string; readonly error: string | null }
  | { readonly type: 'got'; readonly value: string | null }

const say = (message: FromMember) => process.send?.(message)
const config = JSON.parse(must(process.argv[2], 'a configuration')) as MemberConfig
const { member, directory, identities, credentials } = config
const addresses = new Map<number, PeerAddress>()

const { raft, wal } = await startCore({
  log: {
    disk: createDirectoryDisk(join(directory, 'wal')),
    random: systemRandom,
    clock: systemClock,
    log: silentLog,
    identity: { member, cluster: Buffer.alloc(16, 5) },
    onFailed: error => {
      throw error
    },
  },
  member,
  applied: 0,
  joins: member !== 1,
})
const store: SimStore = new SimStore({
  clock: systemClock,
  proposer: 1 + Math.floor(systemRandom.float() * 2 ** 47),
  post: requests => replica.request(requests),
  saved: [],
  onEntry: () => {},
  onApplied: () => {},
})
const links = new PeerLinks({
  member,
  credentials,
  listen: { host: '127.0.0.1', port: 0 },
  addressesOf: id => [addresses.get(id)].filter(address => address !== undefined),
  identityOf: id => identities[id] ?? '',
  clock: systemClock,
  log: silentLog,
  onMessage: (from, message) => replica.receive(message, from),
  onClosed: peer => replica.linkClosed(peer),
})
let told = ''
let received: Buffer = Buffer.alloc(0)
const replica = new Replica({
  raft,
  wal,
  clock: systemClock,
  log: silentLog,
  network: links,
  // The entries that made the state, in one piece: it is small here.
  snapshots: {
    read: (_read, done) => {
      const data = Buffer.concat(store.entries)
      queueMicrotask(() => done({ id: 1 + store.applied, index: store.applied, offset: 0, data, last: true }))
    },
    store: ({ data }, done) => {
      received = data
      queueMicrotask(done)
    },
  },
  post: message => {
    queueMicrotask(() => {
      if (message.type === 'progress') store.onProgress(message)
      else if (message.type === 'restored') store.install(splitEntries(received))
    })
    const status = { type: 'status', leader: raft.leader, voters: raft.configuration.voters } as const
    if (JSON.stringify(status) === told) return
    told = JSON.stringify(status)
    say(status)
  },
})
say({ type: 'listening', port: await links.listen() })

process.on('message', (message: ToMember) => {
  handle(message).catch((error: unknown) => {
    throw error
  })
})

async function handle(message: ToMember): Promise<void> {
  if (message.type === 'peers') {
    for (const [id, address] of Object.entries(message.addresses)) addresses.set(Number(id), address)
    replica.start()
  } else if (message.type === 'change') {
    say({ type: 'changed', outcome: replica.changeMembership(message).kind })
  } else if (message.type === 'get') {
    await store.barrier()
    say({ type: 'got', value: store.get(message.key)?.value.toString() ?? null })
  } else {
    const { key, value } = message
    const operations = [{ type: 'put', key, value: Buffer.from(value) } as const]
    const written = store.transact({ compares: [], operations })
    const error = await written.then(
      () => null,
      (reason: Error) => reason.message,
    )
    say({ type: 'written', value, error })
  }
}
