/** The service `kubernetes` leads to the servers that live, whoever of them dies. */
import assert from 'node:assert/strict'
import test from 'node:test'
import { systemClock } from '../../../../../src/base/clock.ts'
import { silentLog } from '../../../../../src/base/log.ts'
import {
  createEndpointKeeper,
  Silence,
} from '../../../../../src/runtime/apiserver/bootstrap/endpoint-keeper.ts'
import {
  createServerPresence,
  presenceKey,
} from '../../../../../src/runtime/apiserver/bootstrap/server-presence.ts'
import type { MemberProgress, StoreTiming } from '../../../../../src/runtime/store/raft-store.ts'
import { until } from '../../../../support/until.ts'
import { makeServer } from '../harness.ts'

const clock = systemClock
const log = silentLog
const signal = new AbortController().signal
const timing: StoreTiming = {
  flushMedianMs: 1,
  flushWorstMs: 1,
  roundTripMs: 1,
  heartbeatMs: 50,
  electionMs: 300,
}
const heard = (member: number, silentMs: number | null): MemberProgress => ({
  member,
  match: 1,
  silentMs,
  snapshot: false,
})
const serverOf = (member: number, revision = 7) => ({
  member,
  revision,
  address: `10.0.0.${member}`,
  port: 16443,
})

test('a server is silent after a second, but never within one of when it said it serves', () => {
  const servers = [1, 2, 3, 4].map(member => serverOf(member))
  const status = { memberId: 1, timing, progress: [heard(2, 50), heard(3, 1_500), heard(4, null)] }
  const silence = new Silence()
  const silent = (nowMs: number, over: Partial<StoreTiming> = {}, list = servers) =>
    silence.find(list, { ...status, timing: { ...timing, ...over } }, nowMs).map(({ member }) => member)
  assert.deepEqual(silent(0), [])
  assert.deepEqual(silent(1_100), [3, 4])
  // Links so slow that elections take longer.
  assert.deepEqual(silent(1_200, { electionMs: 1_000 }), [])
  const again = [serverOf(3, 8), serverOf(4)]
  assert.deepEqual(silent(1_300, {}, again), [4])
  assert.deepEqual(silent(2_400, {}, again), [3, 4])
})

test('a dead server leaves the endpoints, one that lives comes back, and one that stops says goodbye', async () => {
  const { store, api } = makeServer()
  const silence = new Map<number, number | null>([
    [2, 10],
    [3, 10],
  ])
  const status = () => ({
    memberId: 1,
    timing,
    progress: [...silence].map(([member, silentMs]) => heard(member, silentMs)),
  })
  const transport = api.transportFor({ username: 'system:apiserver', groups: ['system:masters'] })
  const watched = {
    get: store.get.bind(store),
    range: store.range.bind(store),
    transact: store.transact.bind(store),
    watch: store.watch.bind(store),
    get revision() {
      return store.revision
    },
    status,
  }
  const { objects } = api
  const parts = { store: watched, objects, transport, term: store.leadership.term, clock, log }
  const keeper = createEndpointKeeper(parts)
  const presences = [1, 2, 3].map(member =>
    createServerPresence({ store, memberId: member, server: serverOf(member), clock, log }),
  )
  await keeper.start(signal)
  for (const presence of presences) await presence.start(signal)
  const addresses = () => {
    const slice = objects.get('discovery.k8s.io', 'endpointslices', 'default', 'kubernetes')
    const listed = objects.get('', 'endpoints', 'default', 'kubernetes')
    const ofSlice = (slice?.['endpoints'] ?? []) as { addresses: string[] }[]
    const subsets = (listed?.['subsets'] ?? []) as { addresses: { ip: string }[] }[]
    const both = [
      ofSlice.flatMap(each => each.addresses).join(),
      subsets.flatMap(each => each.addresses.map(({ ip }) => ip)).join(),
    ]
    return both[0] === both[1] ? both[0] : 'differ'
  }
  await until('10.0.0.1,10.0.0.2,10.0.0.3', () => addresses() === '10.0.0.1,10.0.0.2,10.0.0.3')
  // Only slow: it is taken out, puts itself back, and stays as soon as it is heard.
  const { createRevision } = await until('the key', () => store.get(presenceKey(2)))
  silence.set(2, 1_200)
  await until('a new key', () => (store.get(presenceKey(2))?.createRevision ?? 0) > createRevision)
  silence.set(2, 20)
  await until('10.0.0.1,10.0.0.2,10.0.0.3', () => addresses() === '10.0.0.1,10.0.0.2,10.0.0.3')
  await presences[1]?.stop()
  await until('10.0.0.1,10.0.0.3', () => addresses() === '10.0.0.1,10.0.0.3')
  await presences[0]?.stop()
  await until('10.0.0.3', () => addresses() === '10.0.0.3')
  await presences[2]?.stop()
  // That there is no API server at all is never written by one.
  assert.equal(addresses(), '10.0.0.3')
  await keeper.stop()
})
