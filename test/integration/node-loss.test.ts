/**
 * Three servers and a worker, as daemons: whichever is lost, watches, controllers and the other nodes go on. The
 * abrupt loss of one voter that stalls them is what MicroK8s 1.34 to 1.36 is known for.
 */
import assert from 'node:assert/strict'
import test, { after, before } from 'node:test'
import {
  CONFIG_MAPS,
  DEPLOYMENTS,
  ENDPOINT_SLICES,
  ENDPOINTS,
  NODES,
  PODS,
} from '../../src/client/resources.ts'
import type { EndpointSlice, Endpoints, Node, Pod } from '../../src/kube/types.ts'
import { apiClient, type Followed, follow } from '../support/api-client.ts'
import { startServers, type TestNode, type TestServers } from '../support/servers.ts'
import { until } from '../support/until.ts'

/** What is promised, and what a machine that is busy with other tests may take on top. */
const NOT_READY_MS = 10_000
const ENDPOINTS_MS = 4_000
const BUSY_MS = 5_000

let cluster: TestServers
let worker: TestNode

before(async () => {
  cluster = await startServers({ count: 3 })
  worker = await cluster.join({ worker: true })
})
after(() => cluster?.remove())

const serversOf = () => cluster.nodes.filter(node => node !== worker)

async function leader(via: TestNode): Promise<TestNode> {
  const name = await until(`a leader, as ${via.name} sees it`, async () => {
    const { datastore } = await via.status()
    return datastore?.members.find(member => member.leader)?.name
  })
  return must(name)
}

function must(name: string): TestNode {
  const found = cluster.nodes.find(node => node.name === name)
  assert.ok(found, name)
  return found
}

const readyOf = ({ status }: Node) => status?.conditions?.find(({ type }) => type === 'Ready')?.status

const addressesOf = ({ endpoints }: EndpointSlice) => (endpoints ?? []).flatMap(each => each.addresses).sort()

async function whenAllReady(via: TestNode): Promise<void> {
  await until('every node is ready', async () => {
    const { items } = await apiClient(via).list<Node>(NODES)
    return items.length === cluster.nodes.length && items.every(node => readyOf(node) === 'True')
  })
}

/** The moment at which an event was first seen for which `holds`. */
function momentOf<T>(followed: Followed<T>, holds: (object: T) => boolean): Promise<number> {
  return until('the event', () => followed.events.find(({ object }) => holds(object))?.atMs)
}

test('the servers among the nodes are marked as the control plane, also after their Node was deleted', async () => {
  const [one, two] = serversOf()
  assert.ok(one && two)
  const client = apiClient(one)
  const names = () => serversOf().map(({ name }) => name)
  const untilMarked = () =>
    until('the servers are marked, and nobody else', async () => {
      const { items } = await client.list<Node>(NODES)
      const marked = items.filter(
        ({ metadata: { labels = {} } }) => 'node-role.kubernetes.io/control-plane' in labels,
      )
      return marked.map(({ metadata }) => metadata.name).join() === names().join()
    })
  await untilMarked()
  await client.delete(NODES, { name: two.name })
  await untilMarked()
})

test('every node has a range of pod addresses of its own, and the service leads to every server', async () => {
  const [one] = serversOf()
  assert.ok(one)
  const client = apiClient(one)
  await whenAllReady(one)
  const { items } = await client.list<Node>(NODES)
  assert.equal(new Set(items.map(node => node.spec?.podCIDR)).size, 4)
  const expected = serversOf()
    .map(({ address }) => address)
    .sort()
  const inNamespace = { namespace: 'default', name: 'kubernetes' }
  await until('all servers in the slice', async () => {
    const slice = await client.get<EndpointSlice>(ENDPOINT_SLICES, inNamespace)
    return addressesOf(slice).join() === expected.join()
  })
  const { subsets } = await client.get<Endpoints>(ENDPOINTS, inNamespace)
  assert.deepEqual(
    subsets?.flatMap(({ addresses }) => (addresses ?? []).map(({ ip }) => ip)).sort(),
    expected,
  )
})

for (const which of ['leader', 'follower'] as const) {
  test(`the loss of a ${which} stalls no watch, no controller and no other node`, async () => {
    const [any] = serversOf()
    assert.ok(any)
    await whenAllReady(any)
    const leading = await leader(any)
    const lost = which === 'leader' ? leading : serversOf().find(node => node !== leading)
    assert.ok(lost)
    const [left, right] = serversOf().filter(node => node !== lost)
    assert.ok(left && right)
    const nodes = await follow<Node>(apiClient(left), NODES)
    const slices = await follow<EndpointSlice>(apiClient(right), ENDPOINT_SLICES, 'default')
    const maps = await follow(apiClient(right), CONFIG_MAPS, 'default')
    const lostMs = performance.now()
    lost.powerOff()

    const deployment = deploymentOf(`after-${which}`)
    const name = `written-after-${which}`
    const client = apiClient(left)
    await client.create(CONFIG_MAPS, {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name, namespace: 'default' },
    })
    await client.create(DEPLOYMENTS, deployment)
    const writtenMs = await momentOf(maps, ({ metadata }) => metadata.name === name)
    assert.ok(writtenMs - lostMs < BUSY_MS, `a write was seen ${writtenMs - lostMs} ms after the loss`)
    await until('pods of a new deployment run', async () => {
      const { items } = await client.list<Pod>(PODS, {
        namespace: 'default',
        labelSelector: `app=after-${which}`,
      })
      // Until the node is known to be lost, pods may be bound to it.
      const running = items.filter(({ status }) => status?.phase === 'Running')
      return running.length >= 1
    })

    const goneMs = await momentOf(slices, slice => !addressesOf(slice).includes(lost.address))
    assert.ok(goneMs - lostMs < ENDPOINTS_MS + BUSY_MS, `the endpoint was gone after ${goneMs - lostMs} ms`)
    const isLost = (node: Node) => node.metadata.name === lost.name && readyOf(node) !== 'True'
    const silentMs = await momentOf(nodes, isLost)
    assert.ok(silentMs - lostMs < NOT_READY_MS + BUSY_MS, `not ready after ${silentMs - lostMs} ms`)
    await until('the taint that evicts', async () => {
      const node = await client.get<Node>(NODES, { name: lost.name })
      return node.spec?.taints?.some(({ effect }) => effect === 'NoExecute')
    })
    const others = nodes.events.filter(({ object }) => object.metadata.name !== lost.name)
    assert.deepEqual(
      others.filter(({ object }) => readyOf(object) !== 'True').map(({ object }) => object.metadata.name),
      [],
    )
    assert.equal(maps.interruptions + slices.interruptions + nodes.interruptions, 0)

    await lost.powerOn()
    await whenAllReady(left)
    await until('its endpoint', async () => {
      const slice = await client.get<EndpointSlice>(ENDPOINT_SLICES, {
        namespace: 'default',
        name: 'kubernetes',
      })
      return addressesOf(slice).includes(lost.address)
    })
    for (const followed of [nodes, slices, maps]) followed.stop()
    await client.delete(DEPLOYMENTS, { namespace: 'default', name: deployment.metadata.name })
  })
}

test('a worker starts again while the server that it joined through is off', async () => {
  const [first, second] = serversOf()
  assert.ok(first && second)
  await whenAllReady(second)
  worker.powerOff()
  first.powerOff()
  await until('both are lost', async () => {
    const { items } = await apiClient(second).list<Node>(NODES)
    return items.filter(node => readyOf(node) !== 'True').length === 2
  })
  await worker.powerOn()
  await until('the worker is ready', async () => {
    return readyOf(await apiClient(second).get<Node>(NODES, { name: worker.name })) === 'True'
  })
  await first.powerOn()
  await whenAllReady(second)
})

test('pods of a dead worker are made anew elsewhere once their toleration is over', async () => {
  const [one] = serversOf()
  assert.ok(one)
  const client = apiClient(one)
  const brief = ['not-ready', 'unreachable'].map(key => ({
    key: `node.kubernetes.io/${key}`,
    operator: 'Exists',
    effect: 'NoExecute',
    tolerationSeconds: 1,
  }))
  await client.create(DEPLOYMENTS, deploymentOf('moves', { tolerations: brief, replicas: 6 }))
  const pods = async () =>
    (await client.list<Pod>(PODS, { namespace: 'default', labelSelector: 'app=moves' })).items.filter(
      ({ metadata, status }) => metadata.deletionTimestamp === undefined && status?.phase === 'Running',
    )
  await until('they run, on the worker too', async () => {
    const items = await pods()
    return items.length === 6 && items.some(({ spec }) => spec?.nodeName === worker.name)
  })
  worker.powerOff()
  await until('they run elsewhere', async () => {
    const items = await pods()
    return items.length === 6 && items.every(({ spec }) => spec?.nodeName !== worker.name)
  })
})

test('a worker that was removed while it was off says so when it comes back, and stays down', async () => {
  const [one] = serversOf()
  assert.ok(one)
  const removed = await one.mk8s(['remove-node', worker.name, '--force'])
  assert.equal(removed.code, 0, removed.stderr)
  await worker.powerOn()
  await until('it has found out', async () => {
    const { code, stdout } = await worker.mk8s(['status'])
    return code === 4 && /not in the cluster any more/.test(stdout)
  })
  const { items } = await apiClient(one).list<Node>(NODES)
  assert.ok(items.every(({ metadata }) => metadata.name !== worker.name))
})

interface DeploymentOptions {
  readonly tolerations?: readonly object[]
  readonly replicas?: number
}

function deploymentOf(name: string, { tolerations = [], replicas = 2 }: DeploymentOptions = {}) {
  const labels = { app: name }
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name, namespace: 'default' },
    spec: {
      replicas,
      selector: { matchLabels: labels },
      template: {
        metadata: { labels },
        spec: {
          terminationGracePeriodSeconds: 0,
          tolerations,
          containers: [{ name: 'c', image: 'v1' }],
        },
      },
    },
  }
}
