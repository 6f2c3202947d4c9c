/** What every engine must do with decisions, with leases that are kept alive, and with keys of any bytes. */
import assert from 'node:assert/strict'
import { Mk8sError } from '../../../src/base/errors.ts'
import type { Condition, Decision, Step, Store, StoreEvent } from '../../../src/runtime/store/store.ts'
import { contractCheck, type OpenStore } from './store-contract.ts'

const put = (key: string, text: string, lease = 0): Step => ({
  type: 'put',
  key,
  value: Buffer.from(text),
  lease,
})
const range = (start: string, end: string, revision?: number): Step => ({
  type: 'range',
  range: { start, end, ...(revision !== undefined && { revision }) },
})
const doing = (...steps: Step[]): Decision => ({ conditions: [], steps, otherwise: [] })
const failsWith = (code: string) => (error: unknown) => error instanceof Mk8sError && error.code === code

async function decidedBy(store: Store, ...conditions: Condition[]): Promise<boolean> {
  return (await store.decide({ conditions, steps: [], otherwise: [] })).succeeded
}

export function testDecisionContract(engine: string, open: OpenStore): void {
  const check = contractCheck(engine, open)

  check('a decision takes one of two branches, at one revision', async ({ store }) => {
    await store.decide(doing(put('/a', '1'), put('/b', '1')))
    const { revision } = store
    const decision: Decision = {
      conditions: [{ key: '/a', target: 'value', relation: 'equal', operand: Buffer.from('1') }],
      steps: [put('/a', '2'), { type: 'delete', start: '/b', end: '/c' }, put('/d', '1')],
      otherwise: [range('/', '0')],
    }
    const first = await store.decide(decision)
    assert.ok(first.succeeded)
    assert.equal(first.revision, revision + 1)
    assert.deepEqual(
      first.results.map(result => result.type),
      ['put', 'delete', 'put'],
    )
    const [written, removed] = first.results
    assert.ok(written?.type === 'put' && removed?.type === 'delete')
    assert.equal(written.previous?.value.toString(), '1')
    assert.deepEqual(
      removed.deleted.map(kv => kv.key),
      ['/b'],
    )
    const second = await store.decide(decision)
    assert.ok(!second.succeeded)
    assert.equal(second.revision, revision + 1)
    const [read] = second.results
    assert.ok(read?.type === 'range')
    assert.deepEqual(
      read.result.entries.map(kv => kv.key),
      ['/a', '/d'],
    )
  })

  check('a range inside a decision sees its earlier steps, and the past when asked', async ({ store }) => {
    await store.decide(doing(put('/a', 'old')))
    const { revision } = store
    const { results } = await store.decide(
      doing(range('/', '0'), put('/a', 'new'), range('/', '0'), range('/', '0', revision)),
    )
    const values = results.flatMap(result =>
      result.type === 'range' ? result.result.entries.map(kv => kv.value.toString()) : [],
    )
    assert.deepEqual(values, ['old', 'new', 'old'])
    await assert.rejects(
      store.decide(doing(put('/a', 'never'), range('/', '0', revision + 5))),
      failsWith('store/future-revision'),
    )
    await store.compact(store.revision)
    await assert.rejects(
      store.decide(doing(put('/a', 'never'), range('/', '0', revision))),
      failsWith('store/compacted'),
    )
    assert.equal(store.get('/a')?.value.toString(), 'new')
  })

  check('decisions inside decisions look at the state before any step', async ({ store }) => {
    const inner: Decision = {
      conditions: [{ key: '/a', target: 'version', relation: 'equal', operand: 0 }],
      steps: [put('/inner', 'was absent')],
      otherwise: [put('/inner', 'was there')],
    }
    const outer = doing(put('/a', '1'), { type: 'decision', decision: inner })
    const first = await store.decide(outer)
    assert.equal(store.get('/inner')?.value.toString(), 'was absent')
    assert.equal(store.get('/inner')?.modRevision, first.revision)
    const [, nested] = (await store.decide(outer)).results
    assert.ok(nested?.type === 'decision' && !nested.succeeded)
    assert.equal(store.get('/inner')?.value.toString(), 'was there')
  })

  check('conditions compare every target in every way', async ({ store }) => {
    const lease = await store.grantLease(60_000)
    await store.decide(doing(put('/a', 'm', lease)))
    await store.decide(doing(put('/a', 'm', lease), put('/b', 'm')))
    const kv = store.get('/a')
    assert.ok(kv)
    const number = (target: 'version' | 'lease' | 'mod-revision' | 'create-revision', operand: number) =>
      Promise.all(
        (['less', 'equal', 'greater', 'not-equal'] as const).map(relation =>
          decidedBy(store, { key: '/a', target, relation, operand }),
        ),
      )
    assert.deepEqual(await number('version', 2), [false, true, false, false])
    assert.deepEqual(await number('version', 3), [true, false, false, true])
    assert.deepEqual(await number('lease', lease), [false, true, false, false])
    assert.deepEqual(await number('mod-revision', kv.modRevision - 1), [false, false, true, true])
    assert.deepEqual(await number('create-revision', kv.createRevision), [false, true, false, false])
    const value = (key: string, relation: Condition['relation'], text: string) =>
      decidedBy(store, { key, target: 'value', relation, operand: Buffer.from(text) })
    assert.ok(await value('/a', 'greater', 'a'))
    assert.ok(!(await value('/a', 'less', 'a')))
    assert.ok(!(await value('/absent', 'not-equal', 'a')), 'an absent key has no value')
    const all = { key: '/', end: '0', target: 'version', relation: 'greater' } as const
    assert.ok(await decidedBy(store, { ...all, operand: 0 }))
    assert.ok(!(await decidedBy(store, { ...all, operand: 1 })), 'not of every key')
    assert.ok(
      await decidedBy(store, { key: '/x', end: '/y', target: 'version', relation: 'equal', operand: 0 }),
    )
  })

  check('a decision with an obstacle does nothing at all', async ({ store }) => {
    const { revision } = store
    const keeping: Step = { type: 'put', key: '/b', value: null, lease: 0 }
    await assert.rejects(store.decide(doing(put('/a', '1'), keeping)), failsWith('store/no-key'))
    await assert.rejects(
      store.decide(doing(put('/a', '1'), put('/b', '1', 9_999))),
      failsWith('store/no-lease'),
    )
    assert.equal(store.revision, revision)
    assert.equal(store.get('/a'), null)
    const many = doing(...Array.from({ length: 129 }, (_, n) => put(`/${n}`, '')))
    await assert.rejects(store.decide(many), failsWith('store/too-large'))
    const large = doing(put('/a', 'x'.repeat(2 * 1024 * 1024)))
    await assert.rejects(store.decide(large), failsWith('store/too-large'))
  })

  check('a put keeps the value or the lease when asked', async ({ store }) => {
    const lease = await store.grantLease(60_000)
    await store.decide(doing(put('/a', 'first', lease)))
    await store.decide(doing({ type: 'put', key: '/a', value: Buffer.from('second'), lease: null }))
    assert.equal(store.get('/a')?.lease, lease)
    await store.decide(doing({ type: 'put', key: '/a', value: null, lease: 0 }))
    assert.deepEqual([store.get('/a')?.value.toString(), store.get('/a')?.lease], ['second', 0])
    assert.deepEqual(store.lease(lease)?.keys, [])
  })

  check('a lease has an id of choice, a time to live and keys', async ({ store }) => {
    assert.equal(await store.grantLease(60_000, 4_711), 4_711)
    await assert.rejects(store.grantLease(60_000, 4_711), failsWith('store/lease-exists'))
    await store.decide(doing(put('/b', '', 4_711), put('/a', '', 4_711)))
    const state = store.lease(4_711)
    assert.deepEqual([state?.ttlMs, state?.keys], [60_000, ['/a', '/b']])
    assert.ok(state?.remainingMs !== null && (state?.remainingMs ?? 0) > 50_000)
    assert.deepEqual([...store.leases()], [4_711])
    assert.equal(await store.keepLeaseAlive(4_711), 60_000)
    await store.revokeLease(4_711)
    assert.equal(store.lease(4_711), null)
    await assert.rejects(store.keepLeaseAlive(4_711), failsWith('store/no-lease'))
  })

  check('a lease that is kept alive outlives one that is not', async ({ store }) => {
    const kept = await store.grantLease(300)
    const left = await store.grantLease(300)
    await store.decide(doing(put('/kept', '', kept), put('/left', '', left)))
    const gone = Promise.withResolvers<void>()
    const onEvents = (events: readonly StoreEvent[]) => {
      if (events.some(event => event.type === 'delete' && event.key === '/left')) gone.resolve()
    }
    store.watch({ start: '/', end: '0', after: store.revision }, { onEvents, onClosed() {} })
    const answers: Promise<number>[] = []
    const keeping = setInterval(() => answers.push(store.keepLeaseAlive(kept)), 50)
    await gone.promise
    clearInterval(keeping)
    await Promise.all(answers)
    assert.ok(store.get('/kept') !== null)
  })

  check('keys of any bytes, and decisions, are there after a restart', async ({ store, reopen }) => {
    const keys = ['/nul\0', '/nul\0more', '/high\u0080\u00ff', '/ü', '\0']
    await store.decide(doing(...keys.map(key => put(key, `value of ${key}`))))
    await store.decide(doing({ type: 'delete', start: '/ü', end: '/ü\0' }, put('/after', '')))
    await store.grantLease(60_000, 4_711)
    if (reopen === null) return
    const again = await reopen()
    const { entries } = again.range({ start: '', end: '\uffff' })
    assert.deepEqual(
      entries.map(kv => kv.key),
      ['\0', '/after', '/high\u0080\u00ff', '/nul\0', '/nul\0more'],
    )
    for (const { key, value } of entries.filter(kv => kv.key !== '/after')) {
      assert.equal(value.toString(), `value of ${key}`)
    }
    assert.deepEqual(again.lease(4_711)?.ttlMs, 60_000)
    const third = await reopen()
    assert.equal(third.range({ start: '', end: '\uffff' }).entries.length, 5)
  })
}
