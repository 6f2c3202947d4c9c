/** A server over a store: it begins the next authority, follows the record's stages, and may begin anew. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { silentLog } from '../../../../src/base/log.ts'
import { systemRandom } from '../../../../src/base/random.ts'
import { ensurePki, loadPki } from '../../../../src/runtime/pki/pki.ts'
import { readAuthorities } from '../../../../src/runtime/pki/refresh-authority.ts'
import { createRotationFollower } from '../../../../src/runtime/rotation/rotation-follower.ts'
import {
  AUTHORITY_RECORDS,
  bundleNameOf,
  ROTATION_KEY,
} from '../../../../src/runtime/rotation/rotation-record.ts'
import { createMemoryStore, type MemoryStore } from '../../../../src/runtime/store/memory-store.ts'
import { makePki } from '../../../support/join-cluster.ts'
import { ManualClock } from '../../../support/manual-clock.ts'
import { until } from '../../../support/until.ts'

const START_MS = Date.UTC(2026, 0, 1)

async function serverOn(context: TestContext, store: MemoryStore, clock: ManualClock) {
  const id = 1
  const directory = mkdtempSync(join(tmpdir(), 'mk8s-rotation-'))
  context.after(() => rmSync(directory, { recursive: true, force: true }))
  const facts = { directory, nodeName: `n${id}`, addresses: ['127.0.0.1'], serviceIp: '10.152.183.1' }
  const rest = { extraSans: [], clusterDomain: 'cluster.local', clusterId: 'c', memberId: `${id}` }
  const parts = { ...facts, ...rest, clock, random: systemRandom }
  await ensurePki(parts)
  let pki = await loadPki(directory)
  const follower = createRotationFollower({
    ...{ store, memberId: id, directory, clock, random: systemRandom, log: silentLog },
    inUse: () => pki.authorities['cluster-ca'].certificate,
    async fetchKey() {
      throw new Error('no other server has it')
    },
    async renewNow() {
      await follower.apply()
      await ensurePki(parts)
      pki = await loadPki(directory)
    },
  })
  context.after(() => follower.stop())
  await follower.start(new AbortController().signal)
  return { follower, directory }
}

test('what a server begins it confirms, with its key in a file of its own and nowhere else, and follows', async context => {
  const clock = new ManualClock(START_MS)
  const store = createMemoryStore({ clock })
  const one = await serverOn(context, store, clock)
  const [earlier] = (await readAuthorities(one.directory)).trusted
  await one.follower.begin()
  await until('it confirms', () => AUTHORITY_RECORDS.confirmations(store).size === 1)
  const { trusted, coming } = await readAuthorities(one.directory)
  assert.deepEqual(trusted, [earlier, coming?.certificate])
  assert.equal(statSync(join(one.directory, 'cluster-ca.coming.key')).mode & 0o777, 0o600)
  const values = store.range(AUTHORITY_RECORDS.range).entries.map(({ value }) => value.toString())
  assert.ok(values.every(value => !value.includes('PRIVATE KEY')))
  const stored = AUTHORITY_RECORDS.read(store)
  assert.ok(stored)
  await one.follower.begin()
  assert.equal(AUTHORITY_RECORDS.read(store)?.modRevision, stored.modRevision)
  const rotation = { ...stored.rotation, stage: 'sign' as const }
  await store.transact({
    compares: [],
    operations: [{ type: 'put', key: ROTATION_KEY, value: AUTHORITY_RECORDS.encode(rotation) }],
  })
  await until('it signs', () => AUTHORITY_RECORDS.confirmations(store).get(1) === bundleNameOf(rotation))
  assert.deepEqual((await readAuthorities(one.directory)).trusted, [rotation.next, earlier])
})

test('one whose key is lost is begun anew after a while, and not before', async context => {
  const clock = new ManualClock(START_MS)
  const store = createMemoryStore({ clock })
  const one = await serverOn(context, store, clock)
  const lost = await makePki('2')
  const [earlier = ''] = (await readAuthorities(one.directory)).trusted
  const next = lost.authorities['cluster-ca'].certificate
  const at = { stage: 'trust', beganBy: 2, beganAt: new Date(START_MS).toISOString() } as const
  const value = AUTHORITY_RECORDS.encode({ ...at, earlier, next, cross: '', usedMs: null, dropAsked: false })
  await store.transact({ compares: [], operations: [{ type: 'put', key: ROTATION_KEY, value }] })
  await one.follower.begin()
  assert.equal(AUTHORITY_RECORDS.read(store)?.rotation.next, next)
  clock.advance(11_000)
  await one.follower.begin()
  await until('it confirms its own', () => AUTHORITY_RECORDS.confirmations(store).size === 1)
  assert.notEqual(AUTHORITY_RECORDS.read(store)?.rotation.next, next)
  assert.equal(AUTHORITY_RECORDS.read(store)?.rotation.beganBy, 1)
})
