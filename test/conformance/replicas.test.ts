/** What Kubernetes' conformance asks of replication controllers, replica sets and deployments. */
import assert from 'node:assert/strict'
import test, { after, before, describe } from 'node:test'
import type { ApiBody } from '../support/api.ts'
import {
  at,
  itemsOf,
  type Namespace,
  named,
  nameOf,
  type Suite,
  startSuite,
  waiting,
} from '../support/conformance.ts'
import { until } from '../support/until.ts'

let suite: Suite
before(async () => {
  suite = await startSuite()
})
after(() => suite?.cluster.remove())

const REVISION = 'deployment.kubernetes.io/revision'
const podsIn = async (home: Namespace) => itemsOf(await suite.ok('GET', home.core('pods')))
const ownersOf = (object: unknown) => (at(object, 'metadata.ownerReferences') ?? []) as { name: string }[]
const numberAt = (object: unknown, path: string) => Number(at(object, path) ?? 0)

/** Answers with the name of its pod. */
const SERVER = `
const { createServer } = require('node:http')
const { POD_IP, HOSTNAME_OF_POD } = process.env
createServer((request, response) => {
  response.setHeader('connection', 'close')
  response.end(HOSTNAME_OF_POD)
}).listen(9376, POD_IP)
process.on('SIGTERM', () => process.exit(0))
`

const field = (name: string, fieldPath: string) => ({ name, valueFrom: { fieldRef: { fieldPath } } })

const serving = (labels: Readonly<Record<string, string>>) => ({
  metadata: { labels },
  spec: {
    terminationGracePeriodSeconds: 1,
    containers: [
      {
        ...{ name: 'server', image: 'localhost/server', command: [process.execPath, '-e', SERVER] },
        env: [field('POD_IP', 'status.podIP'), field('HOSTNAME_OF_POD', 'metadata.name')],
        readinessProbe: { tcpSocket: { port: 9376 }, periodSeconds: 1 },
      },
    ],
  },
})

/** Two kinds that do the same, under the names that conformance has for it. */
const SETS = [
  {
    title: 'ReplicationController',
    names: {
      adoption: 'should adopt matching pods on creation, should release no longer matching pods',
      scale: 'should get and update a ReplicationController scale',
      lifecycle: 'should test the lifecycle of a ReplicationController',
    },
    path: (home: Namespace) => home.core('replicationcontrollers'),
    make: (name: string, replicas: number) =>
      named('v1', 'ReplicationController', name, {
        metadata: { name, labels: { name } },
        spec: { replicas, selector: { name }, template: waiting({ name }) },
      }),
  },
  {
    title: 'ReplicaSet',
    names: {
      adoption: 'should adopt matching pods on creation and release no longer matching pods',
      scale: 'Replicaset should have a working scale subresource',
      lifecycle:
        'Replace and Patch tests, should list and delete a collection of ReplicaSets, should validate Replicaset Status endpoints',
    },
    path: (home: Namespace) => home.of('apps/v1', 'replicasets'),
    make: (name: string, replicas: number) =>
      named('apps/v1', 'ReplicaSet', name, {
        metadata: { name, labels: { name } },
        spec: { replicas, selector: { matchLabels: { name } }, template: waiting({ name }) },
      }),
  },
] as const

for (const { title, names, path, make } of SETS) {
  describe(title, () => {
    const run = async (home: Namespace, name: string, replicas: number) => {
      await suite.ok('POST', path(home), make(name, replicas))
      return untilReady(home, name, replicas)
    }
    const untilReady = (home: Namespace, name: string, count: number) =>
      until(`${count} ready pods`, async () => {
        const set = await suite.ok('GET', `${path(home)}/${name}`)
        const isSeen = at(set, 'status.observedGeneration') === at(set, 'metadata.generation')
        return isSeen && numberAt(set, 'status.readyReplicas') === count && set
      })

    test('should serve a basic image on each replica with a public image', async () => {
      const home = await suite.namespace('basic')
      const set = make('basic', 2)
      const spec = { ...(at(set, 'spec') as object), template: serving({ name: 'basic' }) }
      await suite.ok('POST', path(home), { ...set, spec })
      await untilReady(home, 'basic', 2)
      for (const pod of await podsIn(home)) {
        const answer = ['get', '--raw', `${home.core('pods')}/${nameOf(pod)}:9376/proxy/`]
        assert.equal(await suite.kubectl.ok(answer), nameOf(pod))
      }
    })

    test(names.adoption, async () => {
      const home = await suite.namespace('adoption')
      const orphan = { ...named('v1', 'Pod', 'pod-adoption'), ...waiting({ name: 'pod-adoption' }) }
      const metadata = { name: 'pod-adoption', labels: { name: 'pod-adoption' } }
      await suite.ok('POST', home.core('pods'), { ...orphan, metadata })
      await run(home, 'pod-adoption', 1)
      const [adopted, ...more] = await podsIn(home)
      assert.deepEqual(more, [], 'no other pod is made')
      assert.equal(ownersOf(adopted)[0]?.name, 'pod-adoption')
      const released = { metadata: { labels: { name: 'not-matching' } } }
      await suite.ok('PATCH', `${home.core('pods')}/pod-adoption`, released, 'strategic')
      await until('it is released and replaced', async () => {
        const pods = await podsIn(home)
        const former = pods.find(pod => nameOf(pod) === 'pod-adoption')
        return ownersOf(former).length === 0 && pods.length === 2
      })
    })

    test(names.scale, async () => {
      const home = await suite.namespace('scale')
      await run(home, 'test', 1)
      const scale = await suite.ok('GET', `${path(home)}/test/scale`)
      assert.equal(at(scale, 'spec.replicas'), 1)
      const updated = await suite.ok('PUT', `${path(home)}/test/scale`, { ...scale, spec: { replicas: 2 } })
      assert.equal(at(updated, 'spec.replicas'), 2)
      await untilReady(home, 'test', 2)
      await suite.ok('PATCH', `${path(home)}/test/scale`, { spec: { replicas: 0 } }, 'merge')
      assert.equal(at(await suite.ok('GET', `${path(home)}/test`), 'spec.replicas'), 0)
      await suite.kubectl.ok(['-n', home.name, 'scale', title, 'test', '--replicas=1'])
      await untilReady(home, 'test', 1)
    })

    test('should surface a failure condition on a common issue like exceeded quota', async () => {
      const home = await suite.namespace('quota')
      const quota = named('v1', 'ResourceQuota', 'condition-test', { spec: { hard: { pods: '2' } } })
      await suite.ok('POST', home.core('resourcequotas'), quota)
      await until('the quota is counted', async () => {
        const found = await suite.ok('GET', `${home.core('resourcequotas')}/condition-test`)
        return at(found, 'status.hard.pods') === '2'
      })
      await suite.ok('POST', path(home), make('condition-test', 3))
      const failure = async () => {
        const set = await suite.ok('GET', `${path(home)}/condition-test`)
        const conditions = (at(set, 'status.conditions') ?? []) as { type: string; reason: string }[]
        return conditions.find(each => each.type === 'ReplicaFailure')
      }
      const found = await until('the failure', failure)
      assert.equal(found.reason, 'FailedCreate')
      await suite.kubectl.ok(['-n', home.name, 'scale', title, 'condition-test', '--replicas=2'])
      await until('no failure', async () => (await failure()) === undefined)
    })

    test(names.lifecycle, async () => {
      const home = await suite.namespace('lifecycle')
      const set = await run(home, 'test', 1)
      const patched = { metadata: { labels: { stage: 'patched' } }, spec: { replicas: 2 } }
      await suite.ok('PATCH', `${path(home)}/test`, patched, 'strategic')
      await untilReady(home, 'test', 2)
      const conditions = [
        { type: 'StatusUpdate', status: 'True', reason: 'E2E', message: 'Set from e2e test' },
      ]
      await suite.ok('PATCH', `${path(home)}/test/status`, { status: { conditions } }, 'merge')
      await suite.ok('PATCH', `${path(home)}/test`, { spec: { replicas: 1 } }, 'merge')
      const last = await untilReady(home, 'test', 1)
      assert.deepEqual(at(last, 'status.conditions.0.type'), 'StatusUpdate')
      assert.equal(at(set, 'metadata.uid'), at(last, 'metadata.uid'))
      const selected = `${path(home)}?labelSelector=stage%3Dpatched`
      assert.equal(itemsOf(await suite.ok('GET', selected)).length, 1)
      await suite.ok('DELETE', selected)
      await until('all is gone', async () => {
        return itemsOf(await suite.ok('GET', path(home))).length === 0 && (await podsIn(home)).length === 0
      })
    })
  })
}

describe('Deployment', () => {
  const deployments = (home: Namespace) => home.of('apps/v1', 'deployments')
  const read = (home: Namespace) => suite.ok('GET', `${deployments(home)}/web`)
  const setsIn = async (home: Namespace) =>
    itemsOf(await suite.ok('GET', home.of('apps/v1', 'replicasets'))).sort(
      (a, b) => revisionOf(a) - revisionOf(b),
    )
  const revisionOf = (object: ApiBody) =>
    Number((at(object, 'metadata.annotations') as Record<string, string> | undefined)?.[REVISION] ?? 0)
  const sizesOf = async (home: Namespace) => (await setsIn(home)).map(set => at(set, 'spec.replicas'))
  const create = (home: Namespace, replicas: number, spec: object = {}) =>
    suite.ok(
      'POST',
      deployments(home),
      named('apps/v1', 'Deployment', 'web', {
        metadata: { name: 'web', labels: { app: 'web' } },
        spec: {
          replicas,
          selector: { matchLabels: { app: 'web' } },
          template: waiting({ app: 'web' }),
          ...spec,
        },
      }),
    )
  const patch = (home: Namespace, spec: object) =>
    suite.ok('PATCH', `${deployments(home)}/web`, { spec }, 'strategic')
  const word = (value: string) => ({
    template: { spec: { containers: [{ name: 'c', env: [{ name: 'WORD', value }] }] } },
  })
  const broken = { template: { spec: { containers: [{ name: 'c', command: ['/nowhere/nothing'] }] } } }
  const untilDone = (home: Namespace) =>
    until('the rollout', async () => {
      const found = await read(home)
      const wanted = at(found, 'spec.replicas')
      const isSeen = at(found, 'status.observedGeneration') === at(found, 'metadata.generation')
      const counts = ['replicas', 'updatedReplicas', 'availableReplicas']
      return isSeen && counts.every(count => numberAt(found, `status.${count}`) === wanted) && found
    })

  test('RollingUpdateDeployment should delete old pods and create new ones', async () => {
    const home = await suite.namespace('deployment')
    await create(home, 2)
    await untilDone(home)
    await patch(home, word('second'))
    assert.equal(revisionOf(await untilDone(home)), 2)
    assert.deepEqual(await sizesOf(home), [0, 2])
    const rollout = (...words: readonly string[]) => suite.kubectl.ok(['-n', home.name, 'rollout', ...words])
    assert.match(await rollout('history', 'deployment/web'), /^1 .*\n2 /m)
    await rollout('undo', 'deployment/web')
    await rollout('status', 'deployment/web', '--timeout=60s')
    assert.deepEqual((await setsIn(home)).map(revisionOf), [2, 3], 'the first is the newest now')
    await rollout('pause', 'deployment/web')
    await patch(home, word('third'))
    await until('the pause is seen', async () => {
      const found = await read(home)
      return at(found, 'status.observedGeneration') === at(found, 'metadata.generation')
    })
    assert.equal((await setsIn(home)).length, 2, 'no rollout during a pause')
    await rollout('resume', 'deployment/web')
    await rollout('status', 'deployment/web', '--timeout=60s')
    assert.equal((await setsIn(home)).length, 3)
  })

  test('RecreateDeployment should delete old pods and create new ones', async () => {
    const home = await suite.namespace('deployment')
    await create(home, 1, { strategy: { type: 'Recreate' } })
    await untilDone(home)
    const pods = await suite.watch(`${home.core('pods')}?watch=1`)
    await patch(home, word('second'))
    await untilDone(home)
    const gone = await pods.find('the old pod goes', event => event.type === 'DELETED')
    const fresh = await pods.find(
      'the new pod comes',
      event => event.type === 'ADDED' && nameOf(event.object) !== nameOf(gone.object),
    )
    const version = (object: unknown) => numberAt(object, 'metadata.resourceVersion')
    assert.ok(version(gone.object) < version(fresh.object), 'never both')
    pods.close()
  })

  test('deployment should delete old replica sets', async () => {
    const home = await suite.namespace('deployment')
    await create(home, 1, { revisionHistoryLimit: 0 })
    await untilDone(home)
    await patch(home, word('second'))
    await untilDone(home)
    await until('only the newest replica set', async () => (await setsIn(home)).length === 1)
  })

  test('deployment should support rollover', async () => {
    const home = await suite.namespace('deployment')
    await create(home, 2, { strategy: { rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } } })
    await untilDone(home)
    await patch(home, broken)
    await until('the second replica set', async () => (await sizesOf(home)).join() === '2,1')
    await patch(home, {
      template: { spec: { containers: [{ name: 'c', command: ['/bin/sleep', '3600'] }] } },
    })
    await untilDone(home)
    const sizes = await sizesOf(home)
    assert.equal(sizes.at(-1), 2)
    assert.ok(sizes.slice(0, -1).every(size => size === 0))
  })

  test('deployment should support proportional scaling', async () => {
    const home = await suite.namespace('deployment')
    await create(home, 10, { strategy: { rollingUpdate: { maxSurge: 3, maxUnavailable: 2 } } })
    await untilDone(home)
    await patch(home, broken)
    await until('the first rollout', async () => (await sizesOf(home)).join() === '8,5')
    await until(
      'eight are available',
      async () => numberAt(await read(home), 'status.availableReplicas') === 8,
    )
    await suite.kubectl.ok(['-n', home.name, 'scale', 'deployment/web', '--replicas=30'])
    await until('both grow by their share', async () => (await sizesOf(home)).join() === '20,13')
    await suite.ok('DELETE', `${deployments(home)}/web`)
    await until('all is gone', async () => (await podsIn(home)).length === 0)
  })

  test('Deployment should have a working scale subresource, should validate Deployment Status endpoints, should run the lifecycle of a Deployment', async () => {
    const home = await suite.namespace('deployment')
    await create(home, 1)
    await untilDone(home)
    const scale = await suite.ok('GET', `${deployments(home)}/web/scale`)
    await suite.ok('PUT', `${deployments(home)}/web/scale`, { ...scale, spec: { replicas: 2 } })
    const scaled = await untilDone(home)
    assert.equal(at(scaled, 'status.terminatingReplicas') ?? 0, 0)
    const types = ((at(scaled, 'status.conditions') ?? []) as { type: string }[]).map(each => each.type)
    assert.deepEqual(types.sort(), ['Available', 'Progressing'])
    const condition = { type: 'StatusUpdate', status: 'True', reason: 'E2E', message: 'Set from e2e test' }
    await suite.ok(
      'PATCH',
      `${deployments(home)}/web/status`,
      { status: { conditions: [condition] } },
      'strategic',
    )
    await patch(home, { replicas: 1 })
    const found = await untilDone(home)
    const kept = (at(found, 'status.conditions') as { type: string }[]).map(each => each.type)
    assert.ok(kept.includes('StatusUpdate'), 'the controller keeps what others say')
    await suite.ok('DELETE', `${deployments(home)}?labelSelector=app%3Dweb`)
    await until('all is gone', async () => (await podsIn(home)).length === 0)
  })
})
