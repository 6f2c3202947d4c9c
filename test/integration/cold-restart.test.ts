/**
 * Three servers as daemons: all of them are killed at once while clients write, and come back one after the other;
 * and a leader that hears nothing of its voters any more, though its clients hear of it.
 */
import assert from 'node:assert/strict'
import test, { after, before } from 'node:test'
import type { NodeStatus } from '../../src/client/node-status.ts'
import { CONFIG_MAPS, DEPLOYMENTS, NODES, PODS } from '../../src/client/resources.ts'
import type { ConfigMap, Node, Pod } from '../../src/kube/types.ts'
import { apiClient } from '../support/api-client.ts'
import { startServers, type TestNode, type TestServers, untilStatus } from '../support/servers.ts'
import { until } from '../support/until.ts'

const REPLICAS = 6
/** Acknowledged writes per server before the lights go out. */
const WRITES_MIN = 20
/** A request that nobody can answer is given up after ten seconds; the rest is for a busy machine. */
const REFUSED_MS = 60_000

let cluster: TestServers

before(async () => {
  cluster = await startServers({ count: 3 })
})
after(() => cluster?.remove())

const known = (at: number): TestNode => {
  const node = cluster.nodes[at]
  assert.ok(node)
  return node
}

async function datastoreOf(node: TestNode): Promise<NonNullable<NodeStatus['datastore']>> {
  const { datastore } = await node.status()
  assert.ok(datastore)
  return datastore
}

const isReady = ({ status }: Node) =>
  status?.conditions?.some(condition => condition.type === 'Ready' && condition.status === 'True') === true

async function whenWhole(): Promise<void> {
  for (const node of cluster.nodes) {
    await untilStatus(node, 'a whole cluster', status => {
      const { ready, datastore } = status as unknown as NodeStatus
      return ready && datastore?.highAvailability.state === 'yes'
    })
  }
  await until('every node is ready', async () => {
    const { items } = await apiClient(known(0)).list<Node>(NODES)
    return items.length === cluster.nodes.length && items.every(isReady)
  })
}

const configMap = (name: string): ConfigMap => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name, namespace: 'default' },
})

/** Writes until the server is gone; the names that were acknowledged. */
function writeOn(node: TestNode): { readonly acknowledged: string[]; readonly ended: Promise<void> } {
  const client = apiClient(node)
  const acknowledged: string[] = []
  const run = async () => {
    for (let n = 0; ; n++) {
      const name = `written-${node.name}-${n}`
      try {
        await client.create(CONFIG_MAPS, configMap(name))
        acknowledged.push(name)
      } catch {
        return
      }
    }
  }
  return { acknowledged, ended: run() }
}

async function podsOf(node: TestNode): Promise<readonly Pod[]> {
  const wanted = { namespace: 'default', labelSelector: 'app=web' }
  return (await apiClient(node).list<Pod>(PODS, wanted)).items
}

test('all servers are killed at once while clients write: nothing is lost, and two of three are enough again', async () => {
  await whenWhole()
  const labels = { app: 'web' }
  await apiClient(known(0)).create(DEPLOYMENTS, {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'web', namespace: 'default' },
    spec: {
      replicas: REPLICAS,
      selector: { matchLabels: labels },
      template: { metadata: { labels }, spec: { containers: [{ name: 'c', image: 'v1' }] } },
    },
  } as never)
  await until('the pods run', async () => {
    const pods = await podsOf(known(0))
    return pods.filter(({ status }) => status?.phase === 'Running').length === REPLICAS
  })
  const uids = (await podsOf(known(0))).map(({ metadata }) => metadata.uid).sort()
  const writers = cluster.nodes.map(writeOn)
  await until('all write', () => writers.every(({ acknowledged }) => acknowledged.length >= WRITES_MIN))
  for (const node of cluster.nodes) node.powerOff()
  await Promise.all(writers.map(({ ended }) => ended))
  const acknowledged = writers.flatMap(writer => writer.acknowledged)

  await known(2).powerOn()
  await untilStatus(known(2), 'it waits for the others', status => {
    const { datastore } = status as unknown as NodeStatus
    return datastore?.healthy === false && datastore.highAvailability.why.startsWith('1 voter answers of 3')
  })
  await known(0).powerOn()
  await until('two of three serve', async () => (await apiClient(known(0)).list(NODES)).items.length === 3)
  // It opens its port a moment after it has heard of the others.
  const items = await until('the other one serves too', async () => {
    return (await apiClient(known(2)).list<ConfigMap>(CONFIG_MAPS, { namespace: 'default' })).items
  })
  const found = new Set(items.map(({ metadata }) => metadata.name))
  assert.deepEqual(
    acknowledged.filter(name => !found.has(name)),
    [],
  )
  await known(1).powerOn()
  await whenWhole()
  assert.deepEqual((await podsOf(known(1))).map(({ metadata }) => metadata.uid).sort(), uids)
  assert.equal((await datastoreOf(known(1))).members.length, 3)
})

test('a leader without its voters answers nothing stale and nothing for ever', async () => {
  await whenWhole()
  const { members } = await datastoreOf(known(0))
  const leads = members.find(({ leader }) => leader)?.name
  const leader = cluster.nodes.find(({ name }) => name === leads)
  assert.ok(leader)
  const others = cluster.nodes.filter(node => node !== leader)
  const client = apiClient(leader)
  await client.create(CONFIG_MAPS, configMap('before'))
  try {
    await Promise.all(others.map(other => other.freeze()))
    const begunMs = performance.now()
    const outcomes = await Promise.allSettled([
      client.get(CONFIG_MAPS, { namespace: 'default', name: 'before' }),
      client.create(CONFIG_MAPS, configMap('meanwhile')),
    ])
    assert.deepEqual(
      outcomes.map(({ status }) => status),
      ['rejected', 'rejected'],
    )
    const tookMs = performance.now() - begunMs
    assert.ok(tookMs < REFUSED_MS, `refused after ${tookMs} ms`)
    const { code, stdout } = await leader.mk8s(['status'])
    assert.deepEqual([code, /1 voter answers of 3/.test(stdout)], [3, true], stdout)
  } finally {
    for (const other of others) other.thaw()
  }
  await whenWhole()
  for (const node of cluster.nodes)
    await apiClient(node).get(CONFIG_MAPS, { namespace: 'default', name: 'before' })
})
