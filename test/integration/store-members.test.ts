/** Several members of the store's engine, each with its threads and files, over TLS on this host. */

import assert from 'node:assert/strict'
import {
  closeSync,
  existsSync,
  mkdtempSync,
  openSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { systemClock } from '../../src/base/clock.ts'
import { Mk8sError } from '../../src/base/errors.ts'
import { type Log, silentLog } from '../../src/base/log.ts'
import { systemRandom } from '../../src/base/random.ts'
import { openRaftStore } from '../../src/runtime/store/open-raft-store.ts'
import type { PeerAddress } from '../../src/runtime/store/peers/peer-network.ts'
import type { PeerLocation, RaftStore } from '../../src/runtime/store/raft-store.ts'
import { prefixEnd, type StoreEvent } from '../../src/runtime/store/store.ts'
import { until } from '../support/until.ts'
import { createPeerAuthority, identityOf, issuePeer } from '../unit/runtime/store/peers/peer-credentials.ts'

const CLUSTER = '0b8f4f5e-6f0e-4f0c-9f58-1f6b1f5f9c11'

const stderrLog: Log = {
  debug: () => {},
  info: (message, fields) => process.stderr.write(`${message} ${JSON.stringify(fields)}\n`),
  warn: (message, fields) => process.stderr.write(`${message} ${JSON.stringify(fields)}\n`),
  error: (message, fields) => process.stderr.write(`${message} ${JSON.stringify(fields)}\n`),
  child: () => stderrLog,
}
const log = process.env.MK8S_TEST_LOG ? stderrLog : silentLog

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', () => resolve()))
  const address = server.address()
  await new Promise(resolve => server.close(resolve))
  return typeof address === 'object' && address !== null ? address.port : 0
}

class Members {
  readonly directory = mkdtempSync(join(tmpdir(), 'mk8s-members-'))
  readonly stores = new Map<number, RaftStore>()
  readonly #addresses = new Map<number, PeerAddress>()
  readonly #authority = createPeerAuthority()
  readonly fatal: Error[] = []

  constructor(t: TestContext) {
    t.after(async () => {
      await Promise.all([...this.stores.keys()].map(id => this.close(id)))
      rmSync(this.directory, { recursive: true, force: true })
      assert.deepEqual(this.fatal, [])
    })
  }

  async open(member: number): Promise<RaftStore> {
    const listen = this.#addresses.get(member) ?? { host: '127.0.0.1', port: await freePort() }
    this.#addresses.set(member, listen)
    const credentials = await issuePeer(await this.#authority, member)
    const store = await openRaftStore({
      directory: this.directoryOf(member),
      clock: systemClock,
      random: systemRandom,
      log,
      clusterId: CLUSTER,
      memberId: member,
      joins: member !== 1,
      peers: { credentials, listen, identityOf, known: this.locations },
      onFatal: error => this.fatal.push(error),
    })
    this.stores.set(member, store)
    for (const other of this.stores.values()) other.setPeers(this.locations)
    return store
  }

  get locations(): PeerLocation[] {
    return [...this.#addresses].map(([member, address]) => ({ member, addresses: [address] }))
  }

  directoryOf(member: number): string {
    return join(this.directory, `${member}`)
  }

  get(member: number): RaftStore {
    const store = this.stores.get(member)
    assert.ok(store, `member ${member} runs`)
    return store
  }

  async close(member: number): Promise<void> {
    const store = this.get(member)
    this.stores.delete(member)
    await store.close()
  }

  leader(): Promise<RaftStore> {
    return until('a leader', () => [...this.stores.values()].find(store => store.leadership.leader))
  }

  /** A leader that is deposed before others have its entry takes the change with it, so it may have to be asked for again. */
  async change(voters: number[], learners: number[]): Promise<void> {
    const holds = (store: RaftStore) => {
      const { membership } = store.status()
      const { outgoing } = membership
      return (
        outgoing.length === 0 && `${membership.voters} ${membership.learners}` === `${voters} ${learners}`
      )
    }
    await until('the new membership', async () => {
      if ([...this.stores.values()].every(holds)) return true
      const leader = await this.leader()
      if (holds(leader)) return false
      const outcome = await leader.changeMembership({ voters, learners })
      assert.notEqual(outcome.kind, 'invalid', JSON.stringify(outcome))
      return false
    })
  }
}

async function grow(t: TestContext, before?: (one: RaftStore) => Promise<void>): Promise<Members> {
  const members = new Members(t)
  const one = await members.open(1)
  await before?.(one)
  await Promise.all([members.open(2), members.open(3)])
  await members.change([1], [2, 3])
  await members.change([1, 2, 3], [])
  return members
}

const put = (store: RaftStore, key: string, value: string, lease = 0) =>
  store.transact({
    compares: [],
    operations: [{ type: 'put', key, value: Buffer.from(value), lease }],
  })

/** As clients do: an unknown outcome, or nobody who leads, is tried again. */
async function putSurely(store: RaftStore, key: string, value: string): Promise<void> {
  for (;;) {
    try {
      await put(store, key, value)
      return
    } catch (error) {
      if (!(error instanceof Mk8sError)) throw error
    }
  }
}

async function read(store: RaftStore, key: string): Promise<string | null> {
  await store.barrier()
  return store.get(key)?.value.toString() ?? null
}

test('a store grows from one member to three, and each of them reads and writes', async t => {
  const members = await grow(t, async one => {
    for (let n = 0; n < 50; n++) await put(one, `/first/${n}`, `value ${n}`)
  })
  const [one, two, three] = [members.get(1), members.get(2), members.get(3)]
  for (const store of [two, three]) {
    assert.equal(await read(store, '/first/49'), 'value 49')
    assert.equal(store.status().leaderMemberId, 1)
    assert.deepEqual(store.status().progress, [])
  }
  const written = await put(two, '/second', 'through a follower')
  assert.ok(written.succeeded)
  assert.equal(await read(three, '/second'), 'through a follower')
  assert.equal(await read(one, '/second'), 'through a follower')
  const decided = await three.decide({
    conditions: [{ key: '/second', target: 'version', relation: 'equal', operand: 1 }],
    steps: [{ type: 'put', key: '/second', value: Buffer.from('decided'), lease: null }],
    otherwise: [],
  })
  assert.ok(decided.succeeded)
  assert.equal(await read(two, '/second'), 'decided')
  const progress = await until('progress', () => {
    const found = one.status().progress
    return found.length === 2 && found.every(({ match }) => match === one.status().lastIndex) && found
  })
  assert.deepEqual(progress.map(({ member, snapshot }) => [member, snapshot]).sort(), [
    [2, false],
    [3, false],
  ])
  assert.equal((await two.changeMembership({ voters: [1], learners: [] })).kind, 'not-leader')
})

test('leadership is handed over on request and when a leader closes', async t => {
  const members = await grow(t)
  assert.equal(await members.get(2).transferLeadership(), false)
  assert.equal(await members.get(1).transferLeadership(3), true)
  await until('member 3 leads', () => members.get(3).leadership.leader)
  const begun = performance.now()
  await members.close(3)
  const leader = await members.leader()
  assert.ok(performance.now() - begun < 10_000)
  await put(leader, '/after', 'the close')
  await members.open(3)
  assert.equal(await read(members.get(3), '/after'), 'the close')
})

test('a member that was away catches up, with the log and with a snapshot', async t => {
  const members = await grow(t)
  await members.close(3)
  await put(members.get(2), '/away', 'a little')
  await members.open(3)
  assert.equal(await read(members.get(3), '/away'), 'a little')
  await members.close(3)
  const value = 'x'.repeat(1024 * 1024)
  for (let n = 0; n < 24; n++) await put(members.get(1), `/large/${n % 4}`, `${n}${value}`)
  for (let n = 0; n < 10; n++) await put(members.get(2), `/small/${n}`, `${n}`)
  writeFileSync(join(members.directoryOf(3), 'received.sqlite.part'), 'half of an earlier one')
  const three = await members.open(3)
  await put(members.get(2), '/small/late', 'late')
  assert.equal(await read(three, '/small/late'), 'late')
  assert.equal(three.get('/large/3')?.value.length, value.length + 2)
  for (const name of ['received.sqlite', 'received.sqlite.part', 'snapshot.sqlite']) {
    assert.equal(existsSync(join(members.directoryOf(3), name)), false, name)
  }
  const { log: logCheck, databaseFindings } = await three.check()
  assert.deepEqual([logCheck.findings, databaseFindings], [[], []])
  await put(three, '/small/own', 'written by it')
  await members.close(3)
  assert.equal(await read(await members.open(3), '/small/own'), 'written by it')
})

/**
 * Damages snapshots while they arrive in the directory, so many of them; resolves when that is done. It looks more
 * often than `until` does, because one may arrive between two looks, and knows each by when its file was made.
 */
function spoilSnapshots(directory: string, times: number): Promise<void> {
  const path = join(directory, 'received.sqlite.part')
  const made = new Set<bigint>()
  const { promise, resolve } = Promise.withResolvers<void>()
  const timer = setInterval(() => {
    const file = statSync(path, { throwIfNoEntry: false, bigint: true })
    if (file === undefined || file.size <= 2 * 1024 * 1024 || made.has(file.birthtimeNs)) return
    made.add(file.birthtimeNs)
    overwrite(path)
    if (made.size < times) return
    clearInterval(timer)
    resolve()
  }, 1)
  return promise
}

function overwrite(path: string): void {
  const file = openSync(path, 'r+')
  writeSync(file, Buffer.alloc(64 * 1024, 0xa5), 0, 64 * 1024, 512 * 1024)
  closeSync(file)
}

async function growWithoutThird(t: TestContext): Promise<Members> {
  const members = await grow(t)
  await members.close(3)
  const value = 'x'.repeat(1024 * 1024)
  for (let n = 0; n < 24; n++) await put(members.get(1), `/large/${n % 12}`, `${n}${value}`)
  return members
}

test('a snapshot that arrives damaged is thrown away and fetched again', async t => {
  const members = await growWithoutThird(t)
  const spoilt = spoilSnapshots(members.directoryOf(3), 2)
  const three = await members.open(3)
  await spoilt
  await until('all of it', () => three.revision === members.get(1).revision)
  assert.equal((await three.check()).databaseFindings.length, 0)
  assert.equal(three.get('/large/11')?.value.length, 2 + 1024 * 1024)
})

test('snapshots that are damaged again and again end the member with the reason', async t => {
  const members = await growWithoutThird(t)
  const spoilt = spoilSnapshots(members.directoryOf(3), 3)
  await members.open(3)
  const [error] = await until('its end', () => members.fatal.length > 0 && members.fatal)
  await spoilt
  assert.ok(error instanceof Mk8sError)
  assert.equal(error.code, 'store/corrupt')
  members.fatal.length = 0
})

test('a member that lags catches up while others write as fast as they can', async t => {
  const members = await grow(t)
  await members.close(3)
  const value = 'x'.repeat(1024)
  let [written, stopping] = [0, false]
  const write = async (writer: number) => {
    while (!stopping) {
      await put(members.get(1), `/load/${writer}/${written % 500}`, value)
      written++
    }
  }
  const writers = Array.from({ length: 32 }, (_, writer) => write(writer))
  await until('more than the log keeps', () => written > 20_000)
  const three = await members.open(3)
  const caughtUp = () => three.status().applied + 2_000 > members.get(1).status().applied
  await until('member 3 has caught up', () => three.status().applied > 20_000 && caughtUp())
  t.diagnostic(`${written} writes when member 3 had caught up`)
  stopping = true
  await Promise.all(writers)
  await three.barrier()
  assert.equal(three.revision, members.get(1).revision)
})

test('a watch on a follower goes on over a change of leader, without gap, duplicate or disorder', async t => {
  const members = await grow(t)
  const watcher = members.get(3)
  const seen: number[] = []
  const values: string[] = []
  const onEvents = (events: readonly StoreEvent[], revision: number) => {
    seen.push(revision)
    for (const event of events) if (event.type === 'put') values.push(event.kv.value.toString())
  }
  const watch = watcher.watch(
    { start: '/watched/', end: prefixEnd('/watched/'), after: watcher.revision },
    { onEvents, onClosed: error => values.push(error.message) },
  )
  for (let n = 0; n < 100; n++) {
    if (n === 30) await members.get(1).transferLeadership(2)
    if (n === 60) await members.close(2)
    await put(members.get(n % 2 === 0 ? 1 : 3), '/watched/key', `${n}`)
  }
  await until('the last event', () => values.length >= 100)
  watch.close()
  assert.deepEqual(
    values,
    Array.from({ length: 100 }, (_, n) => `${n}`),
  )
  assert.deepEqual(
    seen,
    [...new Set(seen)].sort((a, b) => a - b),
  )
})

test('a lease is kept alive through a follower, and ends when nobody does', async t => {
  const members = await grow(t)
  const two = members.get(2)
  const lease = await two.grantLease(1_500)
  await put(two, '/leased', 'alive', lease)
  const begun = performance.now()
  await until('its time has passed', async () => {
    assert.equal(await two.keepLeaseAlive(lease), 1_500)
    return performance.now() - begun > 2_400
  })
  assert.equal(await read(members.get(3), '/leased'), 'alive')
  assert.equal(two.lease(lease)?.remainingMs, null)
  await until('the end of the lease', () => two.lease(lease) === null && two.get('/leased') === null)
  await assert.rejects(two.keepLeaseAlive(lease), { code: 'store/no-lease' })
})

test('three members restart together with everything that was acknowledged', async t => {
  const members = await grow(t)
  for (let n = 0; n < 20; n++) await put(members.get((n % 3) + 1), `/kept/${n}`, `${n}`)
  await Promise.all([1, 2, 3].map(id => members.close(id)))
  await Promise.all([1, 2, 3].map(id => members.open(id)))
  for (const id of [1, 2, 3]) {
    for (let n = 0; n < 20; n++) assert.equal(await read(members.get(id), `/kept/${n}`), `${n}`)
  }
  await putSurely(members.get(2), '/kept/more', 'yes')
  assert.equal(await read(members.get(3), '/kept/more'), 'yes')
})

test('without a quorum nothing is acknowledged, and errors say so in time', async t => {
  const members = await grow(t)
  await Promise.all([members.close(1), members.close(2)])
  const three = members.get(3)
  await until('nobody leads', () => three.status().leaderMemberId === 0)
  const begun = performance.now()
  const [written, readAnswer] = await Promise.allSettled([put(three, '/lost', 'x'), three.barrier()])
  assert.equal((written as PromiseRejectedResult).reason.code, 'store/no-leader')
  assert.equal((readAnswer as PromiseRejectedResult).reason.code, 'store/no-leader')
  assert.ok(performance.now() - begun < 60_000)
})

test('the file of the database shrinks when it is defragmented', async t => {
  const members = new Members(t)
  const one = await members.open(1)
  const value = 'x'.repeat(256 * 1024)
  for (let n = 0; n < 40; n++) await put(one, '/key', `${n}${value}`)
  await one.compact(one.revision)
  const { before, after } = await one.defragment()
  assert.ok(after < before, `${before} → ${after}`)
  assert.equal(await read(one, '/key'), `39${value}`)
})
