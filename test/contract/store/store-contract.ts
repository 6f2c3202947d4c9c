/** What every engine behind the Store interface must do. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Mk8sError } from '../../../src/base/errors.ts'
import {
  type KeyValue,
  prefixEnd,
  type Store,
  type StoreEvent,
  type Transaction,
  type WatchListener,
} from '../../../src/runtime/store/store.ts'

export interface StoreUnderTest {
  readonly store: Store
  /** The same data again after a stop, for engines that keep it. */
  readonly reopen: (() => Promise<Store>) | null
  readonly dispose: () => Promise<void>
}

export type OpenStore = () => Promise<StoreUnderTest>

const value = (text: string) => Buffer.from(text)
const putting = (key: string, text: string, lease?: number): Transaction => ({
  compares: [],
  operations: [{ type: 'put', key, value: value(text), ...(lease === undefined ? {} : { lease }) }],
})
const deleting = (key: string): Transaction => ({ compares: [], operations: [{ type: 'delete', key }] })
const all = { start: '/', end: '0' }
const textOf = (kv: KeyValue | null) => kv?.value.toString()

async function put(store: Store, key: string, text: string, lease?: number): Promise<KeyValue> {
  const result = await store.transact(putting(key, text, lease))
  assert.ok(result.succeeded)
  const kv = result.put[0]
  assert.ok(kv)
  return kv
}

const failsWith = (code: string) => (error: unknown) => error instanceof Mk8sError && error.code === code

class Recorder implements WatchListener {
  readonly seen: string[] = []
  readonly revisions: number[] = []
  closed: Error | null = null
  onEvents(events: readonly StoreEvent[], revision: number): void {
    for (const event of events) {
      this.seen.push(event.type === 'put' ? `put ${event.kv.key}=${textOf(event.kv)}` : `delete ${event.key}`)
    }
    this.revisions.push(revision)
  }
  onClosed(error: Error): void {
    this.closed = error
  }
}

/** One test of a contract: on an engine of its own, which is closed afterwards. */
export function contractCheck(engine: string, open: OpenStore) {
  return (name: string, body: (under: StoreUnderTest) => Promise<void>) =>
    test(`${engine}: ${name}`, async () => {
      const under = await open()
      try {
        await body(under)
      } finally {
        await under.dispose()
      }
    })
}

export function testStoreContract(engine: string, open: OpenStore): void {
  const check = contractCheck(engine, open)

  check('a put is read back with its revisions', async ({ store }) => {
    const before = store.revision
    const first = await put(store, '/a', '1')
    const second = await put(store, '/a', '2')
    assert.deepEqual([first.createRevision, first.modRevision, first.version], [before + 1, before + 1, 1])
    assert.deepEqual([second.createRevision, second.modRevision, second.version], [before + 1, before + 2, 2])
    assert.equal(store.get('/a'), second, 'the object is the same while it is the latest')
    assert.equal(store.revision, before + 2)
    assert.equal(store.get('/b'), null)
  })

  check('a failed compare changes nothing and says what is there', async ({ store }) => {
    const kv = await put(store, '/a', '1')
    const { revision } = store
    const result = await store.transact({
      compares: [{ key: '/a', target: 'mod-revision', equals: 0 }],
      operations: [{ type: 'put', key: '/a', value: value('2') }],
    })
    assert.ok(!result.succeeded)
    assert.equal(result.found[0], kv)
    assert.equal(store.revision, revision)
    assert.equal(textOf(store.get('/a')), '1')
  })

  check('a transaction happens as a whole at one revision', async ({ store }) => {
    await put(store, '/old', 'x')
    const result = await store.transact({
      compares: [
        { key: '/old', target: 'version', equals: 1 },
        { key: '/new', target: 'create-revision', equals: 0 },
      ],
      operations: [
        { type: 'put', key: '/new', value: value('y') },
        { type: 'delete', key: '/old' },
      ],
    })
    assert.ok(result.succeeded)
    assert.equal(store.get('/new')?.modRevision, result.revision)
    assert.equal(store.get('/old'), null)
  })

  check('a transaction without effect uses no revision', async ({ store }) => {
    const { revision } = store
    const result = await store.transact(deleting('/absent'))
    assert.ok(result.succeeded)
    assert.equal(store.revision, revision)
  })

  check('only one of many concurrent creations wins', async ({ store }) => {
    const create = (text: string): Transaction => ({
      ...putting('/a', text),
      compares: [{ key: '/a', target: 'mod-revision', equals: 0 }],
    })
    const results = await Promise.all(Array.from({ length: 50 }, (_, n) => store.transact(create(`${n}`))))
    assert.equal(results.filter(result => result.succeeded).length, 1)
  })

  check('a range is ordered, limited and counted', async ({ store }) => {
    await Promise.all(['/c', '/a', '/b/1', '/b', '/d'].map(key => put(store, key, key)))
    const page = store.range({ ...all, limit: 2 })
    assert.deepEqual(
      page.entries.map(kv => kv.key),
      ['/a', '/b'],
    )
    assert.equal(page.remaining, 3)
    assert.equal(store.count('/b', prefixEnd('/b')), 2)
    assert.deepEqual(store.range({ start: '/b/', end: prefixEnd('/b/') }).entries.length, 1)
    assert.equal(store.range({ start: '/x', end: '/y' }).remaining, 0)
  })

  check('pages at one revision show one state whatever happens between', async ({ store }) => {
    for (const key of ['/a', '/b', '/c', '/d']) await put(store, key, 'old')
    const { revision } = store
    await store.transact(deleting('/b'))
    await put(store, '/c', 'new')
    await put(store, '/aa', 'new')
    const first = store.range({ ...all, limit: 3, revision })
    assert.deepEqual(
      first.entries.map(kv => [kv.key, textOf(kv)]),
      [
        ['/a', 'old'],
        ['/b', 'old'],
        ['/c', 'old'],
      ],
    )
    assert.equal(first.remaining, 1)
    assert.deepEqual(
      store.range({ start: '/c\0', end: '0', revision }).entries.map(kv => kv.key),
      ['/d'],
    )
  })

  check('a revision that has not happened cannot be read', async ({ store }) => {
    assert.throws(
      () => store.range({ ...all, revision: store.revision + 1 }),
      failsWith('store/future-revision'),
    )
    await assert.rejects(store.compact(store.revision + 1), failsWith('store/future-revision'))
  })

  check('compaction forgets history and keeps the latest', async ({ store }) => {
    await put(store, '/a', '1')
    const old = store.revision
    await put(store, '/a', '2')
    await put(store, '/b', '1')
    await store.compact(store.revision)
    assert.equal(store.compactedRevision, store.revision)
    assert.throws(() => store.range({ ...all, revision: old }), failsWith('store/compacted'))
    assert.throws(() => store.watch({ ...all, after: old }, new Recorder()), failsWith('store/compacted'))
    assert.equal(textOf(store.get('/a')), '2')
    assert.equal(store.range(all).entries.length, 2)
  })

  check('a watch gets kept history first, then everything live, in order', async ({ store }) => {
    const start = store.revision
    await put(store, '/a', '1')
    await put(store, '/b', '1')
    const recorder = new Recorder()
    const watch = store.watch({ start: '/a', end: '/b', after: start }, recorder)
    await put(store, '/a', '2')
    await put(store, '/b', '2')
    await store.transact(deleting('/a'))
    assert.deepEqual(recorder.seen, ['put /a=1', 'put /a=2', 'delete /a'])
    assert.ok(
      recorder.revisions.every((revision, at) => at === 0 || revision > (recorder.revisions[at - 1] ?? 0)),
    )
    watch.close()
    await put(store, '/a', '3')
    assert.equal(recorder.seen.length, 3)
  })

  check('a watch resumed behind any event misses none and repeats none', async ({ store }) => {
    const start = store.revision
    for (let n = 0; n < 10; n++) await put(store, '/a', `${n}`)
    for (let after = start; after <= store.revision; after++) {
      const recorder = new Recorder()
      store.watch({ ...all, after }, recorder).close()
      assert.equal(recorder.seen.length, store.revision - after)
    }
  })

  check('a watcher sees the state that goes with its event', async ({ store }) => {
    const states: unknown[] = []
    store.watch(
      { ...all, after: store.revision },
      { onEvents: () => states.push(textOf(store.get('/a'))), onClosed() {} },
    )
    await put(store, '/a', '1')
    await put(store, '/a', '2')
    assert.deepEqual(states, ['1', '2'])
  })

  check('an event carries what was there before', async ({ store }) => {
    const previous: unknown[] = []
    const onEvents = (events: readonly StoreEvent[]) => {
      for (const event of events) previous.push(textOf(event.previous))
    }
    store.watch({ ...all, after: store.revision }, { onEvents, onClosed() {} })
    await put(store, '/a', '1')
    await put(store, '/a', '2')
    await store.transact(deleting('/a'))
    assert.deepEqual(previous, [undefined, '1', '2'])
  })

  check('a revoked lease takes its keys along, at one revision', async ({ store }) => {
    const lease = await store.grantLease(60_000)
    await put(store, '/a', '1', lease)
    await put(store, '/b', '1', lease)
    await put(store, '/c', '1', lease)
    await put(store, '/c', 'kept')
    const { revision } = store
    const recorder = new Recorder()
    store.watch({ ...all, after: revision }, recorder)
    await store.revokeLease(lease)
    assert.deepEqual(recorder.seen, ['delete /a', 'delete /b'])
    assert.equal(store.revision, revision + 1)
    await assert.rejects(store.transact(putting('/a', '2', lease)), failsWith('store/no-lease'))
    await assert.rejects(store.revokeLease(lease), failsWith('store/no-lease'))
  })

  check('a lease that runs out takes its keys along', async ({ store }) => {
    const lease = await store.grantLease(20)
    const gone = Promise.withResolvers<void>()
    const onEvents = (events: readonly StoreEvent[]) => {
      if (events.some(event => event.type === 'delete')) gone.resolve()
    }
    store.watch({ ...all, after: store.revision }, { onEvents, onClosed() {} })
    await put(store, '/a', '1', lease)
    await gone.promise
    assert.equal(store.get('/a'), null)
  })

  check('a write of another term is refused', async ({ store }) => {
    const { leader, term } = store.leadership
    assert.ok(leader)
    await assert.rejects(store.transact(putting('/a', '1'), { term: term + 1 }), failsWith('store/fenced'))
    assert.equal(store.get('/a'), null)
    assert.ok((await store.transact(putting('/a', '1'), { term })).succeeded)
  })

  check('what is too large is refused', async ({ store }) => {
    const huge: Transaction = {
      compares: [],
      operations: [{ type: 'put', key: '/a', value: Buffer.alloc(2 * 1024 * 1024) }],
    }
    await assert.rejects(store.transact(huge), failsWith('store/too-large'))
  })

  check('a barrier resolves', async ({ store }) => {
    await put(store, '/a', '1')
    await store.barrier()
    await Promise.all([store.barrier(), store.barrier()])
  })

  check('everything is there after a restart', async ({ store, reopen }) => {
    if (reopen === null) return
    const lease = await store.grantLease(60_000)
    await put(store, '/a', '1')
    await put(store, '/compacted', 'x')
    await store.transact(deleting('/compacted'))
    await store.compact(store.revision)
    await put(store, '/a', '2', lease)
    const compacted = store.compactedRevision
    await put(store, '/b', '1')
    await store.transact(deleting('/b'))
    const { revision } = store
    const again = await reopen()
    assert.equal(again.revision, revision)
    assert.equal(again.compactedRevision, compacted)
    assert.deepEqual({ ...again.get('/a') }, { ...store.get('/a') })
    assert.equal(again.count('/', '0'), 1)
    const recorder = new Recorder()
    again.watch({ ...all, after: compacted }, recorder).close()
    assert.deepEqual(recorder.seen, ['put /a=2', 'put /b=1', 'delete /b'])
    assert.equal(textOf(again.range({ ...all, revision: compacted }).entries[0] ?? null), '1')
    await again.revokeLease(lease)
    assert.equal(again.get('/a'), null)
    assert.ok((await put(again, '/c', '1')).modRevision > revision)
    assert.ok(again.leadership.term > store.leadership.term)
  })
}
