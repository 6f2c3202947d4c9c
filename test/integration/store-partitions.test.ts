/**
 * Three members, and five, in network namespaces of their own: cables are cut between them in one direction, in both,
 * all the time or now and then, while clients go on at every member, the cut off ones too.
 */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { must } from '../../src/base/assert.ts'
import { seededRandom } from '../../src/base/random.ts'
import { StoreClients } from '../support/store-clients.ts'
import { StoreCluster } from '../support/store-cluster.ts'
import { acknowledged, describeTimes, failover, timesOf } from '../support/store-failover.ts'
import type { StoreMember } from '../support/store-member.ts'
import { StoreNetwork, whyNoNetworks } from '../support/store-network.ts'
import { until } from '../support/until.ts'

const skip = (await whyNoNetworks()) ?? false
const FAILOVER_MAX_MS = 6_000

async function started(t: TestContext, size: number) {
  const network = await StoreNetwork.create(size)
  t.after(() => network.remove())
  const cluster = await StoreCluster.start({ size, places: network.places })
  t.after(() => cluster.close())
  return { network, cluster }
}

function stepsDown(leader: StoreMember): Promise<boolean> {
  return until(`member ${leader.id} leads no more`, async () => !(await leader.call('status')).leader)
}

test('a leader that is cut off, in one direction or both, is replaced and finds back', { skip }, async t => {
  const { network, cluster } = await started(t, 3)
  const clients = new StoreClients({ cluster, random: seededRandom(11) })
  const times: number[] = []
  const blows: readonly ((id: number, others: readonly number[]) => Promise<unknown>)[] = [
    id => network.isolate([id]),
    (id, others) => Promise.all(others.map(other => network.cutOneWay(id, other))),
    (id, others) => Promise.all(others.map(other => network.cutOneWay(other, id))),
  ]
  for (const blow of blows) {
    const { leader, milliseconds } = await failover(cluster, ({ id }) =>
      blow(
        id,
        [1, 2, 3].filter(other => other !== id),
      ),
    )
    times.push(milliseconds)
    await stepsDown(leader)
    await clients.worked()
    await network.heal()
    await acknowledged(leader)
  }
  const figures = await clients.check()
  t.diagnostic(JSON.stringify(figures))
  t.diagnostic(`until a write was acknowledged without the leader, ${describeTimes(timesOf(times))}`)
  assert.equal(figures.undecided, 0)
  assert.ok(timesOf(times).worst < FAILOVER_MAX_MS)
})

test('a follower that is cut off disturbs nobody when it comes back', { skip }, async t => {
  const { network, cluster } = await started(t, 3)
  const clients = new StoreClients({ cluster, random: seededRandom(12) })
  const leader = await cluster.leader()
  const { term } = await leader.call('status')
  const [one, two] = (await cluster.followers()).map(({ id }) => id) as [number, number]
  await network.isolate([one])
  await clients.worked()
  await network.heal()
  await acknowledged(cluster.member(one))
  // Of two followers that do not reach each other, both reach the leader.
  await network.cut(one, two)
  await Promise.all([acknowledged(cluster.member(one)), acknowledged(cluster.member(two))])
  await network.heal()
  await clients.check()
  assert.deepEqual({ ...(await leader.call('status')) }.term, term, 'nobody else was ever elected')
})

test('a minority writes nothing, and lost packets and cables that come and go lose nothing', {
  skip,
}, async t => {
  const { network, cluster } = await started(t, 5)
  const clients = new StoreClients({ cluster, random: seededRandom(13), clients: 4 })
  await network.lose(10)
  for (const member of cluster.members) await acknowledged(member)
  await clients.worked()
  await network.lose(0)
  const leader = await cluster.leader()
  const friend = must((await cluster.followers())[0], 'a follower')
  const minority = [leader.id, friend.id]
  const others = cluster.members.filter(({ id }) => !minority.includes(id))
  await network.isolate(minority)
  let done = false
  const lost = friend.put('minority', 'x').catch(() => {})
  void lost.then(() => {
    done = true
  })
  await Promise.all(others.map(member => acknowledged(member)))
  await stepsDown(leader)
  await clients.worked()
  assert.equal(done, false, 'a write without a majority was acknowledged')
  await network.heal()
  for (let flap = 0; flap < 4; flap++) {
    await network.isolate([(flap % 5) + 1])
    await acknowledged(must(cluster.members[(flap + 2) % 5], 'a member'))
    await network.heal()
  }
  await lost
  for (const member of cluster.members) await acknowledged(member)
  const figures = await clients.check()
  t.diagnostic(JSON.stringify(figures))
  assert.equal(figures.undecided, 0)
})
