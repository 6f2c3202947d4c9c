import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Mk8sError } from '../../../../src/base/errors.ts'
import { silentLog } from '../../../../src/base/log.ts'
import { CLUSTER_VERSION_MAX, CLUSTER_VERSION_MIN } from '../../../../src/runtime/raft/entry-gate.ts'
import {
  CLUSTER_VERSION_KEY,
  clusterVersionOf,
  raiseClusterVersion,
} from '../../../../src/runtime/store/cluster-version.ts'
import { createMemoryStore } from '../../../../src/runtime/store/memory-store.ts'
import { ManualClock } from '../../../support/manual-clock.ts'

function createStore() {
  return createMemoryStore({ clock: new ManualClock(), log: silentLog })
}

async function write(store: ReturnType<typeof createStore>, text: string): Promise<void> {
  const operations = [{ type: 'put', key: CLUSTER_VERSION_KEY, value: Buffer.from(text) } as const]
  await store.transact({ compares: [], operations })
}

test('a new cluster is at the lowest version, and is not raised beyond what this program knows', async () => {
  const store = createStore()
  assert.equal(clusterVersionOf(store), CLUSTER_VERSION_MIN)
  assert.equal(await raiseClusterVersion(store, CLUSTER_VERSION_MIN), false)
  assert.equal(await raiseClusterVersion(store, CLUSTER_VERSION_MAX + 1), false)
  assert.equal(store.get(CLUSTER_VERSION_KEY), null)
})

test('a cluster beyond this program stops it, with the reason', async () => {
  const store = createStore()
  await write(store, String(CLUSTER_VERSION_MAX + 1))
  assert.throws(
    () => clusterVersionOf(store),
    (error: unknown) => error instanceof Mk8sError && error.code === 'store/version',
  )
  await write(store, 'nonsense')
  assert.throws(
    () => clusterVersionOf(store),
    (error: unknown) => error instanceof Mk8sError && error.code === 'store/corrupt',
  )
})
