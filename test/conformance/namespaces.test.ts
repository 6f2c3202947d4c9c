/** What Kubernetes' conformance asks of namespaces and of the order in which they are emptied. */
import assert from 'node:assert/strict'
import test, { after, before, describe } from 'node:test'
import {
  at,
  itemsOf,
  type Namespace,
  named,
  type Suite,
  startSuite,
  waiting,
} from '../support/conformance.ts'
import { until } from '../support/until.ts'

const NAMESPACES = '/api/v1/namespaces'
const pod = (name: string) => named('v1', 'Pod', name, { spec: waiting({}).spec })

interface Condition {
  readonly type: string
  readonly status: string
  readonly reason: string
  readonly message: string
}

describe('Namespaces', () => {
  let suite: Suite
  before(async () => {
    suite = await startSuite()
  })
  after(() => suite?.cluster.remove())

  const path = ({ name }: Namespace) => `${NAMESPACES}/${name}`
  const remove = async (home: Namespace) => {
    await suite.ok('DELETE', path(home))
    await until('the namespace is gone', async () => !(await suite.exists(path(home))))
  }
  const again = async (home: Namespace) => {
    await suite.ok('POST', NAMESPACES, named('v1', 'Namespace', home.name))
    await until('it has its service account', () => suite.exists(`${home.core('serviceaccounts')}/default`))
  }

  test('should ensure that all pods are removed when a namespace is deleted', async () => {
    const home = await suite.namespace('nsdeletetest')
    await suite.ok('POST', home.core('pods'), pod('test-pod'))
    await until('the pod runs', async () => {
      return at(await suite.ok('GET', `${home.core('pods')}/test-pod`), 'status.phase') === 'Running'
    })
    await remove(home)
    await again(home)
    assert.equal((await suite.api(`${home.core('pods')}/test-pod`)).status, 404)
  })

  test('should ensure that all services are removed when a namespace is deleted', async () => {
    const home = await suite.namespace('nsdeletetest')
    const spec = { selector: { foo: 'bar' }, ports: [{ port: 80, targetPort: 80 }] }
    await suite.ok('POST', home.core('services'), named('v1', 'Service', 'test-service', { spec }))
    await remove(home)
    await again(home)
    assert.equal((await suite.api(`${home.core('services')}/test-service`)).status, 404)
  })

  test('should patch a Namespace', async () => {
    const home = await suite.namespace('nspatchtest')
    const patch = { metadata: { labels: { testLabel: 'testValue' } } }
    await suite.ok('PATCH', path(home), patch, 'strategic')
    assert.equal(at(await suite.ok('GET', path(home)), 'metadata.labels.testLabel'), 'testValue')
  })

  test('should apply an update to a Namespace', async () => {
    const home = await suite.namespace('update')
    const now = await suite.ok('GET', path(home))
    const labels = { ...(at(now, 'metadata.labels') as object), [home.name]: 'updated' }
    const updated = await suite.ok('PUT', path(home), { ...now, metadata: { ...now.metadata, labels } })
    assert.equal(at(updated, `metadata.labels.${home.name}`), 'updated')
  })

  test('should apply changes to a namespace status', async () => {
    const home = await suite.namespace('status')
    const status = `${path(home)}/status`
    const now = await suite.ok('GET', status)
    assert.equal(at(now, 'status.phase'), 'Active')
    const conditionOf = (object: unknown, type: string) =>
      ((at(object, 'status.conditions') ?? []) as Condition[]).find(one => one.type === type)
    const first = { type: 'StatusPatch', status: 'True', reason: 'E2E', message: 'Patched by an e2e test' }
    const patched = await suite.ok(
      'PATCH',
      status,
      { metadata: { annotations: { 'e2e-patched-ns-status': home.name } }, status: { conditions: [first] } },
      'merge',
    )
    assert.equal(at(patched, 'metadata.annotations.e2e-patched-ns-status'), home.name)
    assert.equal(conditionOf(patched, 'StatusPatch')?.reason, 'E2E')
    const second = { ...first, type: 'StatusUpdate', message: 'Updated by an e2e test' }
    const updated = await suite.ok('PUT', status, {
      ...patched,
      status: { ...(at(patched, 'status') as object), conditions: [first, second] },
    })
    assert.equal(conditionOf(updated, 'StatusUpdate')?.message, 'Updated by an e2e test')
    assert.equal(at(updated, 'status.phase'), 'Active')
  })

  test('should apply a finalizer to a Namespace', async () => {
    const home = await suite.namespace('finalizer')
    const finalize = `${path(home)}/finalize`
    const now = await suite.ok('GET', path(home))
    assert.deepEqual(at(now, 'spec.finalizers'), ['kubernetes'])
    const more = ['kubernetes', 'e2e.example.com/fakeFinalizer']
    const held = await suite.ok('PUT', finalize, { ...now, spec: { finalizers: more } })
    assert.deepEqual(at(held, 'spec.finalizers'), more)
    const fewer = await suite.ok('PUT', finalize, { ...held, spec: { finalizers: ['kubernetes'] } })
    assert.deepEqual(at(fewer, 'spec.finalizers'), ['kubernetes'])
    await remove(home)
  })

  test('OrderedNamespaceDeletion namespace deletion should delete pod first', async () => {
    const home = await suite.namespace('nsdeletetest')
    const finalizer = 'e2e.example.com/finalizer'
    const held = pod('testpod')
    Object.assign(held.metadata, { finalizers: [finalizer] })
    await suite.ok('POST', home.core('pods'), held)
    await suite.ok('POST', home.core('configmaps'), named('v1', 'ConfigMap', 'testcm'))
    await suite.ok('DELETE', path(home))
    const condition = await until('the namespace says that a pod is left', async () => {
      const conditions = at(await suite.ok('GET', path(home)), 'status.conditions') as Condition[] | undefined
      return conditions?.find(one => one.type === 'NamespaceContentRemaining' && one.status === 'True')
    })
    assert.equal(condition.message, 'Some resources are remaining: pods. has 1 resource instances')
    const waitingPod = await until('the pod is deleted but for its finalizer', async () => {
      const found = await suite.ok('GET', `${home.core('pods')}/testpod`)
      return at(found, 'metadata.deletionTimestamp') !== undefined && found
    })
    assert.deepEqual(at(waitingPod, 'metadata.finalizers'), [finalizer])
    const maps = itemsOf(await suite.ok('GET', home.core('configmaps')))
    assert.ok(maps.some(map => at(map, 'metadata.name') === 'testcm'))
    assert.equal(
      at(await suite.ok('GET', `${home.core('configmaps')}/testcm`), 'metadata.deletionTimestamp'),
      undefined,
    )
    await suite.ok('PATCH', `${home.core('pods')}/testpod`, { metadata: { finalizers: null } }, 'merge')
    await until('the namespace is gone', async () => !(await suite.exists(path(home))))
  })
})
