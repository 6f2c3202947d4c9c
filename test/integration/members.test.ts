/** Real engines with links: the roles that servers get, lose and get back, what the status says, and how they leave. */
import assert from 'node:assert/strict'
import test from 'node:test'
import { MemberCluster, type MemberNode } from '../support/member-node.ts'
import { until } from '../support/until.ts'

async function withCluster(servers: number, use: (cluster: MemberCluster) => Promise<void>): Promise<void> {
  const cluster = new MemberCluster()
  try {
    for (let id = 1; id <= servers; id++) await cluster.add(id)
    await use(cluster)
  } finally {
    await cluster.close()
  }
}

const node = (cluster: MemberCluster, id: number): MemberNode => {
  const found = cluster.nodes.get(id)
  assert.ok(found)
  return found
}

const settled = (
  cluster: MemberCluster,
  what: string,
  isSo: (roles: string) => boolean,
  deadlineMs = 20_000,
) => until(what, () => isSo(cluster.roles()) && cluster.leader?.status.self().settled, deadlineMs)

const roles = (cluster: MemberCluster, wanted: string, deadlineMs?: number) =>
  settled(cluster, `the roles are ${wanted}`, found => found === wanted, deadlineMs)

const availability = async (one: MemberNode) => (await one.status.collect()).highAvailability

async function leave(cluster: MemberCluster, id: number): Promise<void> {
  const some = cluster.someNode()
  const record = some.records().find(each => each.id === id)
  assert.ok(record)
  await some.writeRecord({ ...record, leaving: true })
}

test('servers get their roles as they come: one voter of two, three of three, then standbys and a spare', async () => {
  await withCluster(1, async cluster => {
    await roles(cluster, '1 |  | ')
    assert.match((await availability(node(cluster, 1))).why, /one member/)
    await cluster.add(2)
    await roles(cluster, '1 | 2 | ')
    await until('the second one knows of it', async () => {
      const { state, why } = await availability(node(cluster, 2))
      return state === 'no' && why === '2 servers: losing n1, the only voter, stops writes; add a third'
    })
    await cluster.add(3)
    await roles(cluster, '1,2,3 |  | ')
    for (const each of cluster.nodes.values()) {
      const { members, healthy } = await until('it knows of all', async () => {
        const found = await each.status.collect()
        return found.highAvailability.state === 'yes' && found
      })
      assert.equal(healthy, true)
      assert.deepEqual(
        members.map(({ name, role, leader, alive, lag }) => [name, role, leader, alive, (lag ?? 0) < 10]),
        [1, 2, 3].map(id => [`n${id}`, 'voter', id === cluster.leader?.id, true, true]),
      )
    }
    for (const id of [4, 5, 6, 7]) await cluster.add(id)
    await allSeven(cluster)
  })
})

/** Who is a spare depends on who came up in time; on a busy machine that is not always the last one. */
const allSeven = (cluster: MemberCluster) =>
  settled(cluster, 'three voters, three standbys and a spare', found =>
    /^\d,\d,\d \| \d,\d,\d \| \d$/.test(found),
  )

const idsOf = (cluster: MemberCluster, role: string): number[] =>
  (cluster.leader?.records() ?? []).filter(each => each.role === role).map(({ id }) => id)

test('of seven servers two at a time are lost, and it ends in three voters, three standbys and a spare', async () => {
  await withCluster(7, async cluster => {
    await allSeven(cluster)
    for (const losesLeader of [false, true]) {
      const leader = cluster.leader?.id ?? 0
      const voter = losesLeader ? leader : (idsOf(cluster, 'voter').find(id => id !== leader) ?? 0)
      const lost = [voter, idsOf(cluster, 'standby')[0] ?? 0]
      await Promise.all(lost.map(id => node(cluster, id).stop()))
      const lostAt = performance.now()
      await settled(cluster, 'three that live vote', () => {
        const voters = idsOf(cluster, 'voter')
        return voters.length === 3 && !voters.some(id => lost.includes(id))
      })
      assert.ok(performance.now() - lostAt < 40_000, 'soon after it is declared dead')
      const highAvailability = await until('it is highly available again', async () => {
        const found = await availability(cluster.someNode())
        return found.state === 'yes' && found
      })
      assert.match(highAvailability.why, new RegExp(`n${voter} (has not been heard of for|does not answer)`))
      await Promise.all(lost.map(id => node(cluster, id).start()))
      await allSeven(cluster)
    }
  })
})

test('the status is true with one lost, with the quorum lost, and on the one that is left', async () => {
  await withCluster(3, async cluster => {
    await roles(cluster, '1,2,3 |  | ')
    await node(cluster, 3).stop()
    const degraded = await until('the loss is known', async () => {
      const found = await availability(node(cluster, 2))
      return found.state === 'degraded' && found
    })
    assert.match(degraded.why, /^n3 .*; losing one more voter stops writes$/)
    assert.equal(degraded.enabled, false)
    await node(cluster, 2).stop()
    const alone = await until('the quorum is gone', async () => {
      const found = await node(cluster, 1).status.collect()
      return !found.healthy && found
    })
    assert.equal(
      alone.highAvailability.why,
      '1 voter answers of 3: no writes until another one is back (silent: n2 and n3)',
    )
    assert.deepEqual(
      alone.members.map(({ alive }) => alive),
      [true, false, false],
    )
    await node(cluster, 3).start()
    await until('writes are possible again', async () => (await node(cluster, 1).status.collect()).healthy)
  })
})

test('the leader leaves: it hands over, is demoted, is taken out, knows it, and no ghost is left', async () => {
  await withCluster(4, async cluster => {
    await roles(cluster, '1,2,3 | 4 | ')
    await leave(cluster, 1)
    await until('it knows that it is out', () => node(cluster, 1).removed)
    await node(cluster, 1).stop()
    await roles(cluster, '2,3,4 |  | ')
    assert.deepEqual(cluster.deletedNodes, ['n1'])
    assert.deepEqual(cluster.leader?.store.status().membership.learners, [])
    assert.equal(cluster.leader?.records().length, 3)
  })
})

test('of two servers the voter leaves, and the standby has everything', async () => {
  await withCluster(2, async cluster => {
    await roles(cluster, '1 | 2 | ')
    await node(cluster, 1).store.transact({
      compares: [],
      operations: [{ type: 'put', key: '/a', value: Buffer.from('kept') }],
    })
    await leave(cluster, 1)
    await until('it knows that it is out', () => node(cluster, 1).removed)
    await node(cluster, 1).stop()
    await roles(cluster, '2 |  | ')
    assert.equal(node(cluster, 2).store.get('/a')?.value.toString(), 'kept')
  })
})

test('one that was removed while it was down finds out from the others, and stays out', async () => {
  await withCluster(4, async cluster => {
    await roles(cluster, '1,2,3 | 4 | ')
    await node(cluster, 3).stop()
    await leave(cluster, 3)
    await roles(cluster, '1,2,4 |  | ')
    await node(cluster, 3).start()
    await until('it knows that it was removed', () => node(cluster, 3).removed)
    assert.deepEqual(cluster.roles(), '1,2,4 |  | ')
  })
})

test('an address that has changed is put right at the start', async () => {
  await withCluster(1, async cluster => {
    const [one] = [node(cluster, 1)]
    await roles(cluster, '1 |  | ')
    await one.writeRecord({ ...one.record, role: 'voter', joinAddress: { host: '10.9.9.9', port: 1 } })
    await one.stop()
    await one.start()
    await until(
      'the record is true',
      () => one.records()[0]?.joinAddress.host === one.record.joinAddress.host,
    )
  })
})

test('a voter that stops in order is replaced before it goes, and takes the role that is free when it returns', async t => {
  await withCluster(4, async cluster => {
    await roles(cluster, '1,2,3 | 4 | ')
    const leader = cluster.leader?.id ?? 0
    const begun = performance.now()
    await node(cluster, leader).stopInOrder()
    t.diagnostic(`the leader was gone after ${Math.round(performance.now() - begun)} ms`)
    const voters = [1, 2, 3, 4].filter(id => id !== leader)
    assert.deepEqual(node(cluster, 4).store.status().membership.voters, voters, 'nobody had to miss it first')
    await roles(cluster, `${voters} | ${leader} | `)
    const status = await node(cluster, 4).status.collect()
    assert.equal(status.highAvailability.state, 'yes')
    assert.match(status.highAvailability.why, new RegExp(`; n${leader} is stopped$`))
    const shown = status.members.find(({ name }) => name === `n${leader}`)
    assert.deepEqual([shown?.alive, shown?.stopped], [false, true])
    await node(cluster, leader).start()
    await until('it is back', () => {
      const record = cluster.leader?.records().find(({ id }) => id === leader)
      return record !== undefined && record.stopped === undefined
    })
    await roles(cluster, `${voters} | ${leader} | `)
  })
})

test('without a standby a voter that stops keeps its role, and does not wait for anybody', async () => {
  await withCluster(3, async cluster => {
    await roles(cluster, '1,2,3 |  | ')
    await until('it knows that itself', () => node(cluster, 3).records().length === 3)
    await node(cluster, 3).stopInOrder()
    assert.deepEqual(node(cluster, 1).store.status().membership.voters, [1, 2, 3])
    const { why } = await until('it is known', async () => {
      const found = await availability(node(cluster, 2))
      return found.state === 'degraded' && found
    })
    assert.equal(why, 'n3 is stopped; losing one more voter stops writes')
    await node(cluster, 3).start()
    await until('it counts again', async () => (await availability(node(cluster, 1))).state === 'yes')
  })
})

test('of two servers the one that stops last goes on serving', async () => {
  await withCluster(2, async cluster => {
    await roles(cluster, '1 | 2 | ')
    await node(cluster, 1).stopInOrder()
    await roles(cluster, '2 | 1 | ')
    await node(cluster, 1).start()
    await until('it is back', () => cluster.leader?.records().every(({ stopped }) => stopped === undefined))
    await roles(cluster, '2 | 1 | ')
  })
})
