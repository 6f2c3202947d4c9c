/** The leader takes back joins that came to nothing, and leaves those alone that only nobody confirmed. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { silentLog } from '../../../../src/base/log.ts'
import { seededRandom } from '../../../../src/base/random.ts'
import type { NodePresence } from '../../../../src/runtime/join/checks.ts'
import { Ledger } from '../../../../src/runtime/join/ledger.ts'
import { createTokenKeeper } from '../../../../src/runtime/join/token-keeper.ts'
import { newTokenText } from '../../../../src/runtime/join/token-text.ts'
import { type JoinAttempt, timeText, UNCONFIRMED_MS } from '../../../../src/runtime/join/tokens.ts'
import type { MemberRecord } from '../../../../src/runtime/members/member-record.ts'
import { createMemoryStore } from '../../../../src/runtime/store/memory-store.ts'
import { ManualClock } from '../../../support/manual-clock.ts'
import { until } from '../../../support/until.ts'

const random = seededRandom(7)

function recordOf(id: number, nodeName: string): MemberRecord {
  const address = { host: '10.0.0.2', port: 19_000 + id }
  const found = { peerAddresses: [address], apiAddress: address, joinAddress: address }
  const rest = { failureDomain: '', role: 'spare', entryVersion: 1, joinedAt: '', leaving: false } as const
  return { id, nodeName, ...found, ...rest }
}

test('a member that never came leaves and its token is good again; one that is Ready stays', async () => {
  const clock = new ManualClock()
  const store = createMemoryStore({ clock })
  const ledger = new Ledger(store, random)
  const presence = new Map<string, NodePresence>([['here', 'ready']])
  for (const [id, name] of [
    [2, 'here'],
    [3, 'never-came'],
  ] as const) {
    const wanted = {
      text: newTokenText(random),
      worker: false,
      uses: 1,
      ttlMs: 86_400_000,
      nowMs: clock.now(),
    }
    const token = await ledger.add(wanted)
    const ports = { api: 16_443, join: 25_000, raft: 19_000 + id, kubelet: 10_250 }
    const attempt: JoinAttempt = {
      id: `a${id}`,
      secretHash: '',
      node: { name, role: 'server', address: '10.0.0.2', ports, failureDomain: '' },
      memberId: id,
      state: 'reserved',
      expiresAt: timeText(clock.now() + 60_000),
    }
    assert.equal((await ledger.reserve(token.id, attempt, clock.now())).kind, 'reserved')
    assert.equal(await ledger.commit(attempt.id, clock.now(), () => recordOf(id, name)), true)
  }
  const nodes = { presence: (name: string) => presence.get(name) ?? 'absent', remove: async () => {} }
  const keeper = createTokenKeeper({ store, term: 1, nodes, clock, random, log: silentLog })
  await keeper.start(new AbortController().signal)
  const looked = (holds: () => boolean) => () => {
    clock.advance(30_000)
    return holds()
  }
  const startedMs = clock.now()
  await until(
    'the one that never came is leaving',
    looked(() => ledger.members().some(({ leaving }) => leaving)),
    20_000,
  )
  assert.ok(clock.now() - startedMs >= UNCONFIRMED_MS)
  assert.deepEqual(
    ledger.members().map(({ nodeName, leaving }) => [nodeName, leaving]),
    [
      ['here', false],
      ['never-came', true],
    ],
  )
  await until(
    'the token of the one that is here has gone',
    looked(() => ledger.tokens().length === 1),
    20_000,
  )
  assert.deepEqual(
    ledger.tokens().map(({ usesLeft, attempts }) => [usesLeft, attempts.length]),
    [[1, 0]],
  )
  await keeper.stop()
  await store.close()
})
