/** A server that has moved tells another one, which changes the record and nothing else of it. */
import assert from 'node:assert/strict'
import test from 'node:test'
import { systemClock } from '../../../../src/base/clock.ts'
import { silentLog } from '../../../../src/base/log.ts'
import { encodeMember, type MemberRecord, memberKey } from '../../../../src/runtime/members/member-record.ts'
import { readMembers } from '../../../../src/runtime/members/member-table.ts'
import { hasMoved, moveOf, takeMove } from '../../../../src/runtime/members/moved-member.ts'
import { createMemoryStore, type MemoryStore } from '../../../../src/runtime/store/memory-store.ts'

const at = (host: string, port: number) => ({ host, port })
const record: MemberRecord = {
  id: 7,
  nodeName: 'n7',
  peerAddresses: [at('192.0.2.7', 19001)],
  apiAddress: at('192.0.2.7', 16443),
  joinAddress: at('192.0.2.7', 25000),
  failureDomain: 'rack',
  role: 'standby',
  entryVersion: 1,
  joinedAt: '2026-01-01T00:00:00Z',
  leaving: false,
}
const moved = {
  ...moveOf(record),
  peerAddresses: [at('192.0.2.77', 19001)],
  apiAddress: at('192.0.2.77', 16443),
  joinAddress: at('192.0.2.77', 25000),
}

async function storeWith(present: MemberRecord): Promise<MemoryStore> {
  const store = createMemoryStore({ clock: systemClock, log: silentLog })
  const operation = { type: 'put', key: memberKey(present.id), value: encodeMember(present) } as const
  await store.transact({ compares: [], operations: [operation] })
  return store
}

test('its addresses are written down, once, and its role stays', async () => {
  const store = await storeWith(record)
  assert.deepEqual(await takeMove(store, { ...moved, role: 'voter', nodeName: 'other' }), { changed: true })
  assert.deepEqual(
    readMembers(store).map(entry => entry.record),
    [{ ...record, ...moved }],
  )
  assert.deepEqual(await takeMove(store, moved), { changed: false })
})

test('who is no member, and what makes no sense, is refused', async () => {
  const store = await storeWith(record)
  await assert.rejects(takeMove(store, { ...moved, id: 8 }), { code: 'refused' })
  for (const body of [null, {}, { ...moved, peerAddresses: [] }, { ...moved, apiAddress: at('host', 1) }])
    await assert.rejects(takeMove(store, body), { code: 'usage' })
  assert.equal(hasMoved(record, moved), true)
  assert.equal(hasMoved(record, { ...record }), false)
})
