/** Events end: after their time, and the oldest earlier where there are too many. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  createEventLeases,
  EVENT_BYTES_MAX,
} from '../../../../../src/runtime/apiserver/storage/event-leases.ts'
import type { ServedResource } from '../../../../../src/runtime/apiserver/storage/served-resource.ts'
import { createMemoryStore } from '../../../../../src/runtime/store/memory-store.ts'
import { ManualClock } from '../../../../support/manual-clock.ts'

const served = (resource: string) => ({ info: { storage: { group: '', resource } } }) as ServedResource

test('events of one minute share a lease, a thousand at most; other objects stay', async () => {
  const clock = new ManualClock()
  const store = createMemoryStore({ clock })
  const leases = createEventLeases(store, clock)
  assert.equal(leases.leaseFor(served('pods'), 1_000), 0)
  const first = await leases.leaseFor(served('events'), 1_000)
  for (let more = 1; more < 1_000; more++) assert.equal(await leases.leaseFor(served('events'), 1), first)
  const second = await leases.leaseFor(served('events'), 1)
  assert.notEqual(second, first)
  clock.advance(60_000)
  assert.notEqual(await leases.leaseFor(served('events'), 1), second)
  await store.close()
})

test('the oldest events go when all of them take too much', async () => {
  const clock = new ManualClock()
  const store = createMemoryStore({ clock })
  const leases = createEventLeases(store, clock)
  const value = Buffer.alloc(1024 * 1024)
  const fitting = EVENT_BYTES_MAX / value.length
  for (let event = 0; event < 2 * fitting; event++) {
    const lease = await leases.leaseFor(served('events'), value.length)
    const operation = { type: 'put', key: `/e/${1_000 + event}`, value, lease } as const
    await store.transact({ compares: [], operations: [operation] })
    clock.advance(20_000)
  }
  const { entries } = store.range({ start: '/e/', end: '/e0' })
  assert.ok(entries.length <= fitting + 1 && entries.length >= fitting - 6, `${entries.length} are left`)
  assert.equal(entries.at(-1)?.key, `/e/${999 + 2 * fitting}`)
  await store.close()
})
