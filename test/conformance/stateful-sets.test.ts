/** What Kubernetes' conformance asks of stateful sets. */
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

const LABELS = { baz: 'blah', foo: 'bar' }

const makeSet = (replicas: number, spec: object = {}) =>
  named('apps/v1', 'StatefulSet', 'ss', {
    metadata: { name: 'ss', labels: LABELS },
    spec: {
      replicas,
      serviceName: 'test',
      selector: { matchLabels: LABELS },
      template: waiting(LABELS),
      ...spec,
    },
  })

describe('StatefulSet', () => {
  let suite: Suite
  before(async () => {
    suite = await startSuite()
  })
  after(() => suite?.cluster.remove())

  const setsIn = (home: Namespace) => home.of('apps/v1', 'statefulsets')
  const read = (home: Namespace) => suite.ok('GET', `${setsIn(home)}/ss`)
  const podsIn = async (home: Namespace) => itemsOf(await suite.ok('GET', home.core('pods')))
  const isReady = (pod: unknown) =>
    ((at(pod, 'status.conditions') ?? []) as { type: string; status: string }[]).some(
      each => each.type === 'Ready' && each.status === 'True',
    )

  /** The names of the pods that are ready, in order. */
  const readyIn = async (home: Namespace) => (await podsIn(home)).filter(isReady).map(nameOf).sort()

  const untilReady = (home: Namespace, count: number) =>
    until(`${count} ready pods`, async () => {
      const { status, metadata } = (await read(home)) as ApiBody & { status: Record<string, unknown> }
      return (
        status['observedGeneration'] === at({ metadata }, 'metadata.generation') &&
        status['replicas'] === count &&
        (status['readyReplicas'] ?? 0) === count
      )
    })

  const container = (word: string) => ({
    template: { spec: { containers: [{ name: 'c', env: [{ name: 'WORD', value: word }] }] } },
  })
  const patch = (home: Namespace, spec: object) =>
    suite.ok('PATCH', `${setsIn(home)}/ss`, { spec }, 'strategic')

  /** `ss-0=first` and so on: which template each pod is of. */
  const wordsIn = async (home: Namespace) =>
    (await podsIn(home))
      .map(pod => `${nameOf(pod)}=${at(pod, 'spec.containers.0.env.0.value') ?? 'first'}`)
      .sort()

  /** All pods ready, of one revision, and the rollout done. */
  const untilRolledOut = async (home: Namespace) => {
    await suite.kubectl.ok(['-n', home.name, 'rollout', 'status', 'statefulset/ss', '--timeout=60s'])
    return until('the new revision is the current one', async () => {
      const set = await read(home)
      return at(set, 'status.currentRevision') === at(set, 'status.updateRevision') && set
    })
  }

  test('should perform rolling updates and roll backs of template modifications', async () => {
    const home = await suite.namespace('statefulset')
    await suite.ok('POST', setsIn(home), makeSet(3))
    await untilReady(home, 3)
    const first = await untilRolledOut(home)
    const pods = await suite.watch(`${home.core('pods')}?watch=1`)
    await patch(home, container('second'))
    const second = await untilRolledOut(home)
    assert.notEqual(at(second, 'status.currentRevision'), at(first, 'status.currentRevision'))
    assert.deepEqual(await wordsIn(home), ['ss-0=second', 'ss-1=second', 'ss-2=second'])
    for (const name of ['ss-2', 'ss-1', 'ss-0']) {
      const gone = await pods.find('a pod goes', event => event.type === 'DELETED')
      assert.equal(nameOf(gone.object), name, 'from the highest down')
    }
    pods.close()
    const history = await suite.kubectl.ok(['-n', home.name, 'rollout', 'history', 'statefulset/ss'])
    assert.match(history, /^REVISION +CHANGE-CAUSE\n1 .*\n2 /m)
    const shown = ['-n', home.name, 'rollout', 'history', 'statefulset/ss', '--revision=2']
    assert.match(await suite.kubectl.ok(shown), /WORD:\s+second/)
    await suite.kubectl.ok(['-n', home.name, 'rollout', 'undo', 'statefulset/ss'])
    const back = await untilRolledOut(home)
    assert.equal(at(back, 'status.currentRevision'), at(first, 'status.currentRevision'), 'no third revision')
    assert.deepEqual(await wordsIn(home), ['ss-0=first', 'ss-1=first', 'ss-2=first'])
    const revisions = itemsOf(await suite.ok('GET', home.of('apps/v1', 'controllerrevisions')))
    assert.deepEqual(revisions.map(each => each['revision']).sort(), [2, 3])
    await suite.kubectl.ok(['-n', home.name, 'rollout', 'restart', 'statefulset/ss'])
    const restarted = await untilRolledOut(home)
    assert.notEqual(at(restarted, 'status.currentRevision'), at(first, 'status.currentRevision'))
  })

  test('should perform canary updates and phased rolling updates of template modifications', async () => {
    const home = await suite.namespace('statefulset')
    const partition = (value: number) => ({
      updateStrategy: { type: 'RollingUpdate', rollingUpdate: { partition: value } },
    })
    await suite.ok('POST', setsIn(home), makeSet(3, partition(3)))
    await untilReady(home, 3)
    await patch(home, container('second'))
    await until('the new revision', async () => {
      const set = await read(home)
      return at(set, 'status.updateRevision') !== at(set, 'status.currentRevision')
    })
    assert.deepEqual(
      await wordsIn(home),
      ['ss-0=first', 'ss-1=first', 'ss-2=first'],
      'the partition is above',
    )
    const untilWords = (...words: readonly string[]) =>
      until(words.join(), async () => {
        const now = await wordsIn(home)
        return now.join() === words.join() && (await readyIn(home)).length === 3
      })
    await patch(home, partition(2))
    await untilWords('ss-0=first', 'ss-1=first', 'ss-2=second')
    await suite.kubectl.ok(['-n', home.name, 'delete', 'pod', 'ss-0', 'ss-2', '--now'])
    await untilReady(home, 3)
    await untilWords('ss-0=first', 'ss-1=first', 'ss-2=second')
    await patch(home, partition(1))
    await untilWords('ss-0=first', 'ss-1=second', 'ss-2=second')
    await patch(home, partition(0))
    await untilWords('ss-0=second', 'ss-1=second', 'ss-2=second')
    await untilRolledOut(home)
  })

  const GATE = 'example.com/serves'

  /** Pods of this template are ready when the test says so. */
  const gated = () => {
    const template = waiting(LABELS)
    return { ...template, spec: { ...template.spec, readinessGates: [{ conditionType: GATE }] } }
  }

  const setGate = (home: Namespace, name: string, status: 'True' | 'False') => {
    const conditions = [{ type: GATE, status }]
    return suite.ok('PATCH', `${home.core('pods')}/${name}/status`, { status: { conditions } }, 'strategic')
  }

  /** Says that all pods serve until as many are ready. */
  const serve = (home: Namespace, count: number) =>
    until(`${count} serving pods`, async () => {
      const ready = await readyIn(home)
      const waitingFor = (await podsIn(home)).map(nameOf).filter(name => !ready.includes(name))
      for (const name of waitingFor) await setGate(home, name, 'True')
      return ready.length === count
    })

  const breakPod = async (home: Namespace, name: string) => {
    await setGate(home, name, 'False')
    await until(`${name} is not ready`, async () => (at(await read(home), 'status.readyReplicas') ?? 0) === 0)
  }

  const scale = (home: Namespace, replicas: number) =>
    suite.kubectl.ok(['-n', home.name, 'scale', 'statefulset/ss', `--replicas=${replicas}`])

  const untilObserved = (home: Namespace) =>
    until('the set has seen it', async () => {
      const set = await read(home)
      return at(set, 'status.observedGeneration') === at(set, 'metadata.generation')
    })

  test('Scaling should happen in predictable order and halt if any stateful pod is unhealthy', async () => {
    const home = await suite.namespace('statefulset')
    const watch = await suite.watch(`${home.core('pods')}?watch=1`)
    await suite.ok('POST', setsIn(home), makeSet(1, { template: gated() }))
    await serve(home, 1)
    await breakPod(home, 'ss-0')
    await scale(home, 3)
    await untilObserved(home)
    assert.deepEqual((await podsIn(home)).map(nameOf), ['ss-0'], 'nothing more while one is not well')
    await serve(home, 3)
    for (const name of ['ss-0', 'ss-1', 'ss-2']) {
      const added = await watch.find('a pod comes', event => event.type === 'ADDED')
      assert.equal(nameOf(added.object), name)
    }
    for (const name of ['ss-0', 'ss-1', 'ss-2']) await setGate(home, name, 'False')
    await until('none is ready', async () => (at(await read(home), 'status.readyReplicas') ?? 0) === 0)
    await scale(home, 0)
    await untilObserved(home)
    assert.equal((await podsIn(home)).length, 3, 'nothing goes while those before it are not well')
    // The highest may go as soon as it is the first that is not well.
    for (const name of ['ss-0', 'ss-1']) await setGate(home, name, 'True')
    await until('no pods', async () => (await podsIn(home)).length === 0)
    for (const name of ['ss-2', 'ss-1', 'ss-0']) {
      const gone = await watch.find('a pod goes', event => event.type === 'DELETED')
      assert.equal(nameOf(gone.object), name)
    }
    watch.close()
  })

  test('Burst scaling should run to completion even with unhealthy pods', async () => {
    const home = await suite.namespace('statefulset')
    const spec = { template: gated(), podManagementPolicy: 'Parallel' }
    await suite.ok('POST', setsIn(home), makeSet(1, spec))
    await serve(home, 1)
    await breakPod(home, 'ss-0')
    await scale(home, 3)
    await until('the others', async () => (await podsIn(home)).length === 3)
    assert.deepEqual(await readyIn(home), [])
    await scale(home, 0)
    await until('no pods', async () => (await podsIn(home)).length === 0)
  })

  test('Should recreate evicted statefulset', async () => {
    const home = await suite.namespace('statefulset')
    await suite.ok('POST', setsIn(home), makeSet(1))
    await untilReady(home, 1)
    const uid = at(await suite.ok('GET', `${home.core('pods')}/ss-0`), 'metadata.uid')
    const failed = { status: { phase: 'Failed', reason: 'Evicted' } }
    await suite.ok('PATCH', `${home.core('pods')}/ss-0/status`, failed, 'strategic')
    await until('another pod of that name', async () => {
      const [pod] = await podsIn(home)
      return pod !== undefined && at(pod, 'metadata.uid') !== uid && isReady(pod)
    })
  })

  test('gives each pod a claim with a volume, which goes as the retention policy says', async () => {
    const home = await suite.namespace('statefulset')
    const template = waiting(LABELS)
    const volumeMounts = [{ name: 'data', mountPath: '/data' }]
    const containers = template.spec.containers.map(each => ({ ...each, volumeMounts }))
    const storage = { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Mi' } } }
    const spec = {
      template: { ...template, spec: { ...template.spec, containers } },
      volumeClaimTemplates: [{ metadata: { name: 'data' }, spec: storage }],
      persistentVolumeClaimRetentionPolicy: { whenScaled: 'Delete', whenDeleted: 'Delete' },
    }
    await suite.ok('POST', setsIn(home), makeSet(2, spec))
    await untilReady(home, 2)
    const claims = async () => itemsOf(await suite.ok('GET', home.core('persistentvolumeclaims')))
    const names = async () => (await claims()).map(nameOf).sort().join()
    assert.equal(await names(), 'data-ss-0,data-ss-1')
    for (const claim of await claims()) assert.equal(at(claim, 'status.phase'), 'Bound')
    await suite.kubectl.ok(['-n', home.name, 'scale', 'statefulset/ss', '--replicas=1'])
    await until('the second claim is gone', async () => (await names()) === 'data-ss-0')
    await suite.kubectl.ok(['-n', home.name, 'delete', 'statefulset/ss'])
    await until('all claims are gone', async () => (await names()) === '')
  })

  test('should have a working scale subresource', async () => {
    const home = await suite.namespace('statefulset')
    await suite.ok('POST', setsIn(home), makeSet(1))
    await untilReady(home, 1)
    const scale = await suite.ok('GET', `${setsIn(home)}/ss/scale`)
    assert.equal(at(scale, 'spec.replicas'), 1)
    assert.equal(at(scale, 'status.replicas'), 1)
    assert.equal(at(scale, 'status.selector'), 'baz=blah,foo=bar')
    const updated = await suite.ok('PUT', `${setsIn(home)}/ss/scale`, { ...scale, spec: { replicas: 2 } })
    assert.equal(at(updated, 'spec.replicas'), 2)
    assert.equal(at(await read(home), 'spec.replicas'), 2)
    await untilReady(home, 2)
    await suite.ok('PATCH', `${setsIn(home)}/ss/scale`, { spec: { replicas: 3 } }, 'merge')
    assert.equal(at(await read(home), 'spec.replicas'), 3)
    await untilReady(home, 3)
  })

  test('should list, patch and delete a collection of StatefulSets', async () => {
    const home = await suite.namespace('statefulset')
    await suite.ok('POST', setsIn(home), makeSet(1))
    const everywhere = '/apis/apps/v1/statefulsets?labelSelector=foo%3Dbar'
    const mine = itemsOf(await suite.ok('GET', everywhere)).filter(
      set => at(set, 'metadata.namespace') === home.name,
    )
    assert.deepEqual(mine.map(nameOf), ['ss'])
    const labelled = { metadata: { labels: { test: 'patched' } }, spec: { replicas: 2 } }
    const patched = await suite.ok('PATCH', `${setsIn(home)}/ss`, labelled, 'strategic')
    assert.equal(at(patched, 'metadata.labels.test'), 'patched')
    await untilReady(home, 2)
    await suite.ok('DELETE', `${setsIn(home)}?labelSelector=test%3Dpatched`)
    await until('the set and its pods are gone', async () => {
      const sets = itemsOf(await suite.ok('GET', setsIn(home)))
      return sets.length === 0 && (await podsIn(home)).length === 0
    })
  })

  test('should validate Statefulset Status endpoints', async () => {
    const home = await suite.namespace('statefulset')
    await suite.ok('POST', setsIn(home), makeSet(1))
    await untilReady(home, 1)
    const path = `${setsIn(home)}/ss/status`
    const condition = (type: string) => ({
      type,
      status: 'True',
      reason: 'E2E',
      message: 'Set from e2e test',
    })
    const conditionsOf = async () =>
      ((at(await suite.ok('GET', path), 'status.conditions') ?? []) as { type: string }[]).map(
        each => each.type,
      )
    await until('an update of the status that nobody was before', async () => {
      const set = (await suite.ok('GET', path)) as ApiBody & { status: object }
      const status = { ...set.status, conditions: [condition('StatusUpdate')] }
      return (await suite.api(path, { method: 'PUT', body: { ...set, status } })).status === 200
    })
    assert.deepEqual(await conditionsOf(), ['StatusUpdate'])
    const conditions = [condition('StatusPatched')]
    await suite.ok('PATCH', path, { status: { conditions } }, 'merge')
    assert.deepEqual(await conditionsOf(), ['StatusPatched'])
    await patch(home, { replicas: 2 })
    await untilReady(home, 2)
    assert.deepEqual(await conditionsOf(), ['StatusPatched'], 'the controller keeps what others say')
  })
})
