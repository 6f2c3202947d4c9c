import assert from 'node:assert/strict'
import { test } from 'node:test'
import { bytesIn, type GrpcStream, numberIn } from '../../../support/grpc-client.ts'
import { until } from '../../../support/until.ts'
import { creatingWatch, kv, lease, openWatch, over, putting, withEndpoint } from './setup.ts'

const PUT = 'put'
const describe = (event: Buffer) => {
  const entry = bytesIn(event, 2)[0]
  const key = bytesIn(entry, 1)[0]?.toString()
  const previous = bytesIn(bytesIn(event, 3)[0], 5)[0]
  const change = numberIn(event, 1) === 0 ? `${PUT} ${key}=${bytesIn(entry, 5)[0]}` : `delete ${key}`
  return previous === undefined ? change : `${change} was ${previous}`
}

/** The events of the next messages, until there are so many. */
async function events(watch: GrpcStream, count: number): Promise<string[]> {
  const seen: string[] = []
  while (seen.length < count) {
    const message = await watch.next()
    assert.ok(message !== null, 'the stream goes on')
    seen.push(...bytesIn(message, 11).map(describe))
  }
  return seen
}

const watchId = (message: Buffer | null) => numberIn(message ?? undefined, 2)
const flag = (message: Buffer | null, field: number) => numberIn(message ?? undefined, field) === 1

test('a watch shows history, then what happens, as asked for', async () => {
  await withEndpoint(async ({ client, store }) => {
    await client.call(kv('Put'), putting('a', '1'))
    const { revision } = store
    await client.call(kv('Put'), putting('a', '2'))
    const watch = openWatch(client)
    watch.send(
      creatingWatch('a', 'b', writer => {
        writer.int64(3, revision)
        writer.bool(6, true)
      }),
    )
    const created = await watch.next()
    assert.ok(flag(created, 3))
    assert.equal(watchId(created), 0)
    await client.call(kv('DeleteRange'), over('a'))
    assert.deepEqual(await events(watch, 3), ['put a=1', 'put a=2 was 1', 'delete a was 2'])
    watch.send(creatingWatch('a', 'b', writer => writer.bytes(5, Buffer.from([0]))))
    assert.equal(watchId(await watch.next()), 1)
    watch.send(creatingWatch('a', 'b', writer => writer.int64(5, 1)))
    assert.equal(watchId(await watch.next()), 2)
    watch.send(writer => writer.message(2, inner => inner.int64(1, 0)))
    assert.ok(flag(await watch.next(), 4), 'canceled')
    await client.call(kv('Put'), putting('a', '3'))
    const put = await watch.next()
    assert.deepEqual([watchId(put), bytesIn(put ?? undefined, 11).map(describe)], [2, ['put a=3']])
    await client.call(kv('DeleteRange'), over('a'))
    const deleted = await watch.next()
    assert.deepEqual([watchId(deleted), bytesIn(deleted ?? undefined, 11).map(describe)], [1, ['delete a']])
  })
})

test('a compacted start is canceled with the revision to begin again at', async () => {
  await withEndpoint(async ({ client, store }) => {
    for (let n = 1; n <= 5; n++) await client.call(kv('Put'), putting('a', `${n}`))
    const compacted = store.revision - 2
    await client.call(kv('Compact'), writer => writer.int64(1, compacted))
    const watch = openWatch(client)
    const from = (revision: number) => creatingWatch('a', '', writer => writer.int64(3, revision))
    watch.send(from(2))
    assert.ok(flag(await watch.next(), 3))
    const canceled = (await watch.next()) ?? undefined
    assert.ok(flag(canceled ?? null, 4))
    assert.equal(numberIn(canceled, 5), compacted + 1)
    watch.send(from(numberIn(canceled, 5)))
    await watch.next()
    assert.deepEqual(await events(watch, 2), ['put a=4', 'put a=5'])
  })
})

test('watches that cannot be are refused one by one', async () => {
  await withEndpoint(async ({ client }) => {
    const watch = openWatch(client)
    const withId = (id: number) => creatingWatch('a', '', writer => writer.int64(7, id))
    watch.send(withId(7))
    assert.equal(watchId(await watch.next()), 7)
    watch.send(withId(7))
    const twice = await watch.next()
    assert.deepEqual([watchId(twice), flag(twice, 3), flag(twice, 4)], [-1, true, true])
    watch.send(creatingWatch('b', 'a'))
    const empty = await watch.next()
    assert.deepEqual(
      [watchId(empty), bytesIn(empty ?? undefined, 6)[0]?.toString()],
      [-1, 'mvcc: watcher range is empty'],
    )
    watch.send(writer => writer.message(3, () => {}))
    const progress = await watch.next()
    assert.equal(watchId(progress), -1)
    assert.equal(flag(progress, 4), false)
  })
})

test('a large revision comes in fragments to a client that puts them together', async () => {
  await withEndpoint(async ({ client, store }) => {
    const keys = Array.from({ length: 100 }, (_, n) => `k${String(n).padStart(3, '0')}`)
    const value = Buffer.alloc(10_000, 'x')
    for (const key of keys) await client.call(kv('Put'), putting(key, value))
    const { revision } = store
    await client.call(kv('DeleteRange'), over('k', 'l'))
    const watch = openWatch(client)
    watch.send(
      creatingWatch('k', 'l', writer => {
        writer.int64(3, revision + 1)
        writer.bool(6, true)
        writer.bool(8, true)
      }),
    )
    await watch.next()
    const sizes: [number, boolean][] = []
    for (let seen = 0; seen < keys.length; seen = sizes.reduce((sum, [count]) => sum + count, 0)) {
      const message = await watch.next()
      sizes.push([bytesIn(message ?? undefined, 11).length, flag(message, 7)])
    }
    assert.ok(sizes.length > 1)
    assert.deepEqual(
      sizes.map(([, fragment]) => fragment),
      [...sizes.slice(1).map(() => true), false],
    )
  })
})

test('two hundred watchers see everything, in order', async () => {
  await withEndpoint(async ({ client }) => {
    const streams = Array.from({ length: 20 }, () => openWatch(client))
    for (const stream of streams) {
      for (let n = 0; n < 10; n++) stream.send(creatingWatch('a', 'b'))
      for (let n = 0; n < 10; n++) await stream.next()
    }
    const puts = Array.from({ length: 50 }, (_, n) => `put a=${n}`)
    for (const [n] of puts.entries()) await client.call(kv('Put'), putting('a', `${n}`))
    for (const stream of streams) {
      const seen = new Map<number, string[]>()
      const done = () => seen.size === 10 && [...seen.values()].every(list => list.length === puts.length)
      while (!done()) {
        const message = await stream.next()
        const id = watchId(message)
        seen.set(id, [...(seen.get(id) ?? []), ...bytesIn(message ?? undefined, 11).map(describe)])
      }
      for (const list of seen.values()) assert.deepEqual(list, puts)
    }
  })
})

test('a watcher that does not read misses nothing, and costs nobody else', async () => {
  await withEndpoint(async ({ client, store }) => {
    const watch = openWatch(client)
    watch.send(creatingWatch('a', 'b'))
    await watch.next()
    watch.stream.pause()
    const value = Buffer.alloc(1_000, 'x')
    const count = 15_000
    for (let n = 0; n < count; n += 100) {
      const operations = Array.from({ length: 100 }, (_, at) => ({
        type: 'put' as const,
        key: `a${String(n + at).padStart(6, '0')}`,
        value,
      }))
      await store.transact({ compares: [], operations })
      if (n % 1_000 === 0) await client.call(kv('Put'), putting('other', '1'))
    }
    watch.stream.resume()
    const seen = (await events(watch, count)).map(text => text.slice(4, 11))
    assert.equal(seen[0], 'a000000')
    assert.deepEqual(seen, [...seen].sort())
    assert.equal(new Set(seen).size, count)
  })
})

test('leases are granted, kept, looked at, listed, and end with their keys', async () => {
  await withEndpoint(async ({ client, store }) => {
    const grant = async (ttl: number, id = 0) => {
      const answer = await client.call(lease('LeaseGrant'), writer => {
        writer.int64(1, ttl)
        writer.int64(2, id)
      })
      return answer.status === 0 ? numberIn(answer.messages[0], 2) : answer.message
    }
    assert.equal(await grant(60, 4_711), 4_711)
    assert.equal(await grant(60, 4_711), 'etcdserver: lease already exists')
    assert.equal(await grant(9_000_000_001), 'etcdserver: too large lease TTL')
    const short = Number(await grant(1))
    await client.call(
      kv('Put'),
      putting('short', '', writer => writer.int64(3, short)),
    )
    await client.call(
      kv('Put'),
      putting('long', '', writer => writer.int64(3, 4_711)),
    )
    const look = async (id: number) => {
      const { messages } = await client.call(lease('LeaseTimeToLive'), writer => {
        writer.int64(1, id)
        writer.bool(2, true)
      })
      return [numberIn(messages[0], 3), numberIn(messages[0], 4), bytesIn(messages[0], 5).map(String)]
    }
    assert.deepEqual(await look(4_711), [59, 60, ['long']])
    const alive = client.open(lease('LeaseKeepAlive'))
    const { GrpcStream } = await import('../../../support/grpc-client.ts')
    const keeping = new GrpcStream(alive)
    keeping.send(writer => writer.int64(1, 4_711))
    keeping.send(writer => writer.int64(1, 99))
    assert.equal(numberIn((await keeping.next()) ?? undefined, 3), 60)
    assert.equal(numberIn((await keeping.next()) ?? undefined, 3), 0, 'there is no such lease')
    await until('the short lease is over', async () => store.get('short') === null)
    assert.deepEqual(await look(short), [-1, 0, []])
    const [all] = (await client.call(lease('LeaseLeases'), () => {})).messages
    assert.deepEqual(
      bytesIn(all, 2).map(entry => numberIn(entry, 1)),
      [4_711],
    )
    const revoked = await client.call(lease('LeaseRevoke'), writer => writer.int64(1, 4_711))
    assert.equal(revoked.status, 0)
    assert.equal(store.get('long'), null)
    const again = await client.call(lease('LeaseRevoke'), writer => writer.int64(1, 4_711))
    assert.deepEqual([again.status, again.message], [5, 'etcdserver: requested lease not found'])
  })
})
