/**
 * Members in processes of their own, over TLS and real disks, under load from clients of every member: killed and
 * started again, standing still, behind slow and silent links. Afterwards everything that any client was told is
 * checked: no acknowledged write is lost, registers are linearizable, watches are complete and in order.
 */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { must } from '../../src/base/assert.ts'
import { seededRandom } from '../../src/base/random.ts'
import { type HistoryFigures, StoreClients } from '../support/store-clients.ts'
import { type ClusterOptions, StoreCluster } from '../support/store-cluster.ts'
import { acknowledged, describeTimes, failover, timesOf } from '../support/store-failover.ts'
import type { StoreMember } from '../support/store-member.ts'
import { StoreRelays } from '../support/store-relays.ts'
import { until } from '../support/until.ts'

/** Generous, because the machine may be busy; the figures are what `node scripts/faults.ts` says on an idle one. */
const FAILOVER_MAX_MS = 5_000

async function started(t: TestContext, options: ClusterOptions, voters?: number): Promise<StoreCluster> {
  const cluster = await StoreCluster.start(options, voters)
  t.after(() => cluster.close())
  return cluster
}

function tell(t: TestContext, figures: HistoryFigures): void {
  const said = Object.entries(figures).map(([name, count]) => `${count} ${name}`)
  t.diagnostic(said.join(', '))
  assert.equal(figures.undecided, 0)
  assert.ok(figures.acknowledged > 20, `${figures.acknowledged} writes were acknowledged`)
}

test('members that are killed and start again lose nothing, and the leader is replaced at once', async t => {
  const cluster = await started(t, { size: 3 })
  const clients = new StoreClients({ cluster, random: seededRandom(1) })
  const times: number[] = []
  for (let round = 0; round < 2; round++) {
    const { leader, milliseconds } = await failover(cluster, struck => struck.kill())
    times.push(milliseconds)
    await leader.start()
    await acknowledged(leader)
    await clients.worked()
    const follower = must((await cluster.followers())[0], 'a follower')
    await follower.kill()
    await clients.worked()
    await follower.start()
    await acknowledged(follower)
  }
  tell(t, await clients.check())
  t.diagnostic(`until a write was acknowledged after SIGKILL of the leader, ${describeTimes(timesOf(times))}`)
  assert.ok(timesOf(times).worst < FAILOVER_MAX_MS)
})

test('members that stand still hold nobody up, and know nothing better when they go on', async t => {
  const cluster = await started(t, { size: 3 })
  const clients = new StoreClients({ cluster, random: seededRandom(2) })
  const times: number[] = []
  for (let round = 0; round < 2; round++) {
    const { leader, milliseconds } = await failover(cluster, struck => struck.freeze())
    times.push(milliseconds)
    await clients.worked()
    leader.thaw()
    await acknowledged(leader)
    const follower = must((await cluster.followers())[0], 'a follower')
    follower.freeze()
    await clients.worked()
    follower.thaw()
    await acknowledged(follower)
  }
  tell(t, await clients.check())
  t.diagnostic(`until a write was acknowledged after SIGSTOP of the leader, ${describeTimes(timesOf(times))}`)
  assert.ok(timesOf(times).worst < FAILOVER_MAX_MS)
})

test('slow, lossy and silent links delay a cluster and break none of its promises', async t => {
  const random = seededRandom(3)
  const relays = new StoreRelays(random)
  const cluster = await StoreCluster.create({ size: 3, route: relays.route })
  t.after(async () => {
    await cluster.close()
    relays.close()
  })
  await relays.open()
  await cluster.form(3)
  const clients = new StoreClients({ cluster, random })
  for (let round = 0; round < 3; round++) {
    const { id } = await cluster.leader()
    const others = [1, 2, 3].filter(other => other !== id)
    // What the leader sends is lost, what it is sent is not; then the other way round; then both.
    if (round !== 1) relays.disturb({ silent: true }, [id], others)
    if (round !== 0) relays.disturb({ silent: true }, others, [id])
    await acknowledged(cluster.member(must(others[0], 'another member')))
    await clients.worked()
    relays.heal()
    await acknowledged(cluster.member(id))
  }
  relays.disturb({ delayMs: 100, loss: 0.1 })
  for (const member of cluster.members) await acknowledged(member)
  await clients.worked(10)
  relays.heal()
  tell(t, await clients.check())
})

test('five members go on without two, and wait without three', async t => {
  const cluster = await started(t, { size: 5 })
  const clients = new StoreClients({ cluster, random: seededRandom(4), clients: 4 })
  const { leader } = await failover(cluster, struck => struck.kill())
  const second = must((await cluster.followers())[0], 'a follower')
  await second.kill()
  await clients.worked()
  const last = await cluster.leader()
  const [third, rest] = cluster.serving.filter(member => member !== last) as [StoreMember, StoreMember]
  await third.kill()
  let done = false
  const waits = rest.put('waits', 'for a third').finally(() => {
    done = true
  })
  await until('the leader knows that it leads nobody', async () => !(await last.call('status')).leader)
  assert.equal(done, false, 'two of five wrote')
  await Promise.all([leader, second, third].map(member => member.start()))
  await waits
  await clients.worked()
  tell(t, await clients.check())
})

test('leadership is handed over, and members come and go, while everybody writes', async t => {
  const cluster = await started(t, { size: 4 }, 3)
  const clients = new StoreClients({ cluster, random: seededRandom(5) })
  for (let round = 0; round < 3; round++) {
    const leader = await cluster.leader()
    const { membership } = await leader.call('status')
    const target = must(
      membership.voters.find(id => id !== leader.id),
      'another voter',
    )
    await leader.call('transferLeadership', target)
    await acknowledged(leader)
    // The learner takes the place of the one that led.
    const learner = must(membership.learners[0], 'a learner')
    const voters = [...membership.voters.filter(id => id !== leader.id), learner]
    await cluster.changeMembership({ voters, learners: [leader.id] })
    await acknowledged(leader)
    await clients.worked()
  }
  tell(t, await clients.check())
})
