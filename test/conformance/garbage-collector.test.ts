/** What Kubernetes' conformance asks of the garbage collector. */
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

const REPLICAS = 10

const controller = (name: string, replicas: number) =>
  named('v1', 'ReplicationController', name, {
    spec: { replicas, selector: { name }, template: waiting({ name }) },
  })

const deployment = (name: string) =>
  named('apps/v1', 'Deployment', name, {
    spec: { replicas: 2, selector: { matchLabels: { app: name } }, template: waiting({ app: name }) },
  })

const propagated = (propagationPolicy: string, uid: unknown) => ({
  apiVersion: 'v1',
  kind: 'DeleteOptions',
  propagationPolicy,
  preconditions: { uid },
})

const reference = (owner: ApiBody, rest: object = {}) => ({
  apiVersion: owner['apiVersion'],
  kind: owner.kind,
  name: nameOf(owner),
  uid: at(owner, 'metadata.uid'),
  ...rest,
})

const ownersOf = (object: unknown) => (at(object, 'metadata.ownerReferences') ?? []) as { name: string }[]

describe('Garbage collector', () => {
  let suite: Suite
  before(async () => {
    suite = await startSuite()
  })
  after(() => suite?.cluster.remove())

  const podsIn = async (home: Namespace) => itemsOf(await suite.ok('GET', home.core('pods')))
  const controllers = (home: Namespace) => home.core('replicationcontrollers')

  async function runController(home: Namespace, name: string, replicas: number): Promise<ApiBody> {
    const created = await suite.ok('POST', controllers(home), controller(name, replicas))
    await until(`${replicas} pods`, async () => {
      const now = await suite.ok('GET', `${controllers(home)}/${name}`)
      return at(now, 'status.replicas') === replicas
    })
    return created
  }

  async function runDeployment(home: Namespace, name: string): Promise<ApiBody> {
    const created = await suite.ok('POST', home.of('apps/v1', 'deployments'), deployment(name))
    await until('its replica set has pods', async () => {
      const [set] = itemsOf(await suite.ok('GET', home.of('apps/v1', 'replicasets')))
      return at(set, 'status.replicas') === 2
    })
    return created
  }

  test('should delete pods created by rc when not orphaning', async () => {
    const home = await suite.namespace('gc')
    const rc = await runController(home, 'simpletest.rc', 2)
    const options = propagated('Background', at(rc, 'metadata.uid'))
    await suite.ok('DELETE', `${controllers(home)}/simpletest.rc`, options)
    await until('all its pods are gone', async () => (await podsIn(home)).length === 0)
    assert.equal(await suite.exists(`${controllers(home)}/simpletest.rc`), false)
  })

  test('should orphan pods created by rc if delete options say so', async () => {
    const home = await suite.namespace('gc')
    const rc = await runController(home, 'simpletest.rc', REPLICAS)
    const options = propagated('Orphan', at(rc, 'metadata.uid'))
    await suite.ok('DELETE', `${controllers(home)}/simpletest.rc`, options)
    await until(
      'the controller is gone',
      async () => !(await suite.exists(`${controllers(home)}/simpletest.rc`)),
    )
    await lookAround(home)
    const pods = await podsIn(home)
    assert.equal(pods.length, REPLICAS)
    for (const pod of pods) {
      assert.deepEqual(ownersOf(pod), [])
      assert.equal(at(pod, 'metadata.deletionTimestamp'), undefined)
    }
  })

  test('should delete RS created by deployment when not orphaning', async () => {
    const home = await suite.namespace('gc')
    const made = await runDeployment(home, 'simpletest.deployment')
    const options = propagated('Background', at(made, 'metadata.uid'))
    await suite.ok('DELETE', `${home.of('apps/v1', 'deployments')}/simpletest.deployment`, options)
    await until('replica sets and pods are gone', async () => {
      const sets = itemsOf(await suite.ok('GET', home.of('apps/v1', 'replicasets')))
      return sets.length === 0 && (await podsIn(home)).length === 0
    })
  })

  test('should orphan RS created by deployment when deleteOptions.PropagationPolicy is Orphan', async () => {
    const home = await suite.namespace('gc')
    const made = await runDeployment(home, 'simpletest.deployment')
    const path = `${home.of('apps/v1', 'deployments')}/simpletest.deployment`
    await suite.ok('DELETE', path, propagated('Orphan', at(made, 'metadata.uid')))
    await until('the deployment is gone', async () => !(await suite.exists(path)))
    await lookAround(home)
    const sets = itemsOf(await suite.ok('GET', home.of('apps/v1', 'replicasets')))
    assert.equal(sets.length, 1)
    for (const set of sets) {
      assert.deepEqual(ownersOf(set), [])
      assert.equal(at(set, 'metadata.deletionTimestamp'), undefined)
    }
    assert.equal((await podsIn(home)).length, 2)
  })

  test('should keep the rc around until all its pods are deleted if the deleteOptions says so', async () => {
    const home = await suite.namespace('gc')
    const rc = await runController(home, 'simpletest.rc', REPLICAS)
    const [pods, rcs] = await Promise.all([
      suite.watch(`${home.core('pods')}?watch=1`),
      suite.watch(`${controllers(home)}?watch=1`),
    ])
    const options = propagated('Foreground', at(rc, 'metadata.uid'))
    const answer = await suite.ok('DELETE', `${controllers(home)}/simpletest.rc`, options)
    assert.deepEqual(at(answer, 'metadata.finalizers'), ['foregroundDeletion'])
    const gone = await rcs.find('the controller goes', event => event.type === 'DELETED')
    for (let deleted = 0; deleted < REPLICAS; deleted++) {
      const pod = await pods.find('a pod goes', event => event.type === 'DELETED')
      const [before, after] = [pod.object, gone.object].map(one =>
        Number(at(one, 'metadata.resourceVersion')),
      )
      assert.ok(Number(before) < Number(after), 'the pods go first')
    }
    for (const stream of [pods, rcs]) stream.close()
    assert.equal((await podsIn(home)).length, 0)
  })

  test("should not delete dependents that have both valid owner and owner that's waiting for dependents to be deleted", async () => {
    const home = await suite.namespace('gc')
    const going = await runController(home, 'simpletest-rc-to-be-deleted', REPLICAS)
    const staying = await suite.ok('POST', controllers(home), controller('simpletest-rc-to-stay', 0))
    const pods = await podsIn(home)
    for (const pod of pods.slice(0, REPLICAS / 2)) {
      const patch = { metadata: { ownerReferences: [reference(staying)] } }
      await suite.ok('PATCH', `${home.core('pods')}/${nameOf(pod)}`, patch, 'strategic')
    }
    const path = `${controllers(home)}/simpletest-rc-to-be-deleted`
    await suite.ok('DELETE', path, propagated('Foreground', at(going, 'metadata.uid')))
    await until('the first controller is gone', async () => !(await suite.exists(path)))
    const left = await podsIn(home)
    assert.equal(left.length, REPLICAS / 2)
    for (const pod of left) {
      assert.equal(at(pod, 'metadata.deletionTimestamp'), undefined)
      assert.deepEqual(
        ownersOf(pod).map(owner => owner.name),
        ['simpletest-rc-to-stay'],
      )
    }
  })

  test('should not be blocked by dependency circle', async () => {
    const home = await suite.namespace('gc')
    const names = ['pod1', 'pod2', 'pod3']
    const pods: ApiBody[] = []
    for (const name of names) {
      const { spec } = waiting({})
      pods.push(await suite.ok('POST', home.core('pods'), named('v1', 'Pod', name, { spec })))
    }
    for (const [index, name] of names.entries()) {
      const owner = pods[(index + 2) % 3] as ApiBody
      const patch = {
        metadata: { ownerReferences: [reference(owner, { controller: true, blockOwnerDeletion: true })] },
      }
      const patched = await suite.ok('PATCH', `${home.core('pods')}/${name}`, patch, 'strategic')
      assert.equal(ownersOf(patched)[0]?.name, nameOf(owner))
    }
    await suite.ok('DELETE', `${home.core('pods')}/pod1`, {
      apiVersion: 'v1',
      kind: 'DeleteOptions',
      propagationPolicy: 'Foreground',
    })
    await until('no pod is blocked by the circle', async () => (await podsIn(home)).length === 0)
  })

  /** Returns when the collector has worked through what was written before: it is quick to collect an orphan. */
  async function lookAround(home: Namespace): Promise<void> {
    const maps = home.core('configmaps')
    const owner = await suite.ok('POST', maps, named('v1', 'ConfigMap', 'looker'))
    const owned = named('v1', 'ConfigMap', 'looked-at')
    Object.assign(owned.metadata, { ownerReferences: [reference(owner)] })
    await suite.ok('POST', maps, owned)
    await suite.ok('DELETE', `${maps}/looker`)
    await until('the collector has been here', async () => !(await suite.exists(`${maps}/looked-at`)))
  }
})
