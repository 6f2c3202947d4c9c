import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemClock } from '../../../../src/base/clock.ts'
import { hashAt } from '../../../../src/runtime/etcd/services/hash.ts'
import { createMemoryStore } from '../../../../src/runtime/store/memory-store.ts'
import { bytesIn, numberIn } from '../../../support/grpc-client.ts'
import { kv, putting, withEndpoint } from './setup.ts'

const maintenance = (name: string) => `/etcdserverpb.Maintenance/${name}`
const member = (name: string) => `/etcdserverpb.Cluster/${name}`

test('leadership moves to another voter, and to nobody else', async () => {
  await withEndpoint(async ({ client }) => {
    const move = async (target: number) => {
      const { status, message } = await client.call(maintenance('MoveLeader'), writer =>
        writer.int64(1, target),
      )
      return [status, message]
    }
    assert.deepEqual(await move(0xdef), [0, ''])
    assert.deepEqual(await move(0xabc), [0, ''])
    assert.deepEqual(await move(0x123), [9, 'etcdserver: bad leader transferee'])
  })
})

test('members are listed, and changed with mk8s only', async () => {
  await withEndpoint(async ({ client }) => {
    const { messages } = await client.call(member('MemberList'), writer => writer.bool(1, true))
    assert.deepEqual(
      bytesIn(messages[0], 2).map(found => numberIn(found, 1)),
      [0xabc],
    )
    for (const [name, how] of [
      ['MemberAdd', /mk8s join/],
      ['MemberRemove', /mk8s remove-node/],
      ['MemberPromote', /mk8s datastore members/],
      ['MemberUpdate', /starts/],
    ] as const) {
      const { status, message } = await client.call(member(name), () => {})
      assert.equal(status, 9)
      assert.match(message, how)
    }
  })
})

test('a snapshot that etcd could not restore is refused rather than given', async () => {
  await withEndpoint(async ({ client }) => {
    const { status, message, messages } = await client.call(maintenance('Snapshot'), () => {})
    assert.deepEqual([status, messages.length], [12, 0])
    assert.match(message, /SQLite/)
    assert.equal((await client.call(maintenance('Defragment'), () => {})).status, 0)
  })
})

test('the hash of a revision is that of its keys, whoever asks and whenever', async () => {
  await withEndpoint(async ({ client, store }) => {
    const hash = async (revision: number) => {
      const { status, messages } = await client.call(maintenance('HashKV'), writer =>
        writer.int64(1, revision),
      )
      return status === 0 ? numberIn(messages[0], 2) : -status
    }
    for (let n = 0; n < 1_200; n++) await client.call(kv('Put'), putting(`key-${n}`, `value ${n}`))
    const { revision } = store
    const before = await hash(revision)
    assert.ok(before > 0)
    await client.call(kv('Put'), putting('key-3', 'other'))
    assert.equal(await hash(revision), before)
    assert.notEqual(await hash(0), before)
    assert.equal(await hash(store.revision + 1), -11)
    await store.compact(store.revision)
    assert.equal(await hash(revision), -11)
    const other = createMemoryStore({ clock: systemClock })
    for (let n = 0; n < 1_200; n++) {
      const put = { type: 'put' as const, key: `key-${n}`, value: Buffer.from(`value ${n}`) }
      await other.transact({ compares: [], operations: [put] })
    }
    assert.equal(await hashAt(other, revision), before)
    await other.close()
  })
})
