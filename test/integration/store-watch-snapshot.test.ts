/** Watches on a member that lives on while a snapshot of another one takes the place of its state. */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { seededRandom } from '../../src/base/random.ts'
import { prefixEnd } from '../../src/runtime/store/store.ts'
import { StoreCluster } from '../support/store-cluster.ts'
import type { StoreMember } from '../support/store-member.ts'
import { StoreRelays } from '../support/store-relays.ts'
import { until } from '../support/until.ts'

/** More than a leader keeps in memory for a member that lags. */
const FILLERS = 24
const WRITES = 30

interface Watched {
  readonly values: string[]
  readonly revisions: number[]
  closed: string | null
}

/** Three members; the last one gets nothing while `meanwhile` runs, and everything after it by a snapshot. */
async function cutOff(
  t: TestContext,
  meanwhile: (leader: StoreMember) => Promise<void>,
): Promise<{ leader: StoreMember; watched: Watched }> {
  const relays = new StoreRelays(seededRandom(7))
  const cluster = await StoreCluster.create({ size: 3, route: relays.route })
  t.after(async () => {
    await cluster.close()
    relays.close()
  })
  await relays.open()
  await cluster.form(3)
  const [leader, member] = [cluster.member(1), cluster.member(3)]
  await leader.put('/watched/key', 'first')
  await until('everything is there', async () => (await member.read('/watched/key')) === 'first')
  const watched: Watched = { values: [], revisions: [], closed: null }
  const { revision: after } = await member.call('status')
  member.watch(
    { start: '/watched/', end: prefixEnd('/watched/'), after },
    {
      onEvents(events, revision) {
        watched.revisions.push(revision)
        for (const event of events) if (event.type === 'put') watched.values.push(event.kv.value.toString())
      },
      onClosed(error) {
        watched.closed = error.message
      },
    },
  )
  await leader.put('/watched/key', 'before')
  await until('the watch works', () => watched.values.length > 0)
  relays.disturb({ silent: true }, [3])
  relays.disturb({ silent: true }, undefined, [3])
  const filler = Buffer.alloc(1024 * 1024, 1)
  for (let count = 0; count < FILLERS; count++) await leader.put(`/filler/${count % 4}`, filler)
  await meanwhile(leader)
  relays.heal()
  await leader.put('/watched/key', 'after')
  await until('it has a snapshot', () => member.log.some(line => line.includes('took over a snapshot')))
  await until('it has caught up', async () => (await member.read('/watched/key')) === 'after')
  return { leader, watched }
}

async function write(leader: StoreMember): Promise<void> {
  for (let count = 0; count < WRITES; count++) await leader.put('/watched/key', `${count}`)
}

test('a watch on a member that gets a snapshot sees every event once, and in order', async t => {
  const { watched } = await cutOff(t, write)
  await until('the last event', () => watched.values.at(-1) === 'after')
  const numbers = Array.from({ length: WRITES }, (_, count) => `${count}`)
  assert.deepEqual(watched.values, ['before', ...numbers, 'after'])
  assert.deepEqual(
    watched.revisions,
    [...new Set(watched.revisions)].sort((a, b) => a - b),
  )
  assert.equal(watched.closed, null)
})

test('when what it missed is compacted the watch ends, so that its client lists again', async t => {
  const { watched } = await cutOff(t, async leader => {
    await write(leader)
    await leader.call('compact', (await leader.call('status')).revision)
  })
  await until('the end of the watch', () => watched.closed !== null)
  assert.match(watched.closed ?? '', /store\/compacted/)
  assert.deepEqual(watched.values, ['before'])
})
