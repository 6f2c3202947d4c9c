/** What Kubernetes' conformance asks of resource quotas. */
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

const HARD = {
  cpu: '1',
  'ephemeral-storage': '50Gi',
  memory: '500Mi',
  pods: '5',
  services: '10',
  'services.nodeports': '1',
  'services.loadbalancers': '1',
  replicationcontrollers: '10',
  resourcequotas: '1',
  configmaps: '10',
  secrets: '10',
  persistentvolumeclaims: '10',
  'requests.storage': '10Gi',
  'count/replicasets.apps': '5',
  'requests.example.com/dongle': '3',
}

type Amounts = Readonly<Record<string, string>>

const quota = (name: string, hard: Amounts, scopes?: readonly string[]) =>
  named('v1', 'ResourceQuota', name, { spec: { hard, ...(scopes === undefined ? {} : { scopes }) } })

const pod = (name: string, requests: Amounts, rest: { limits?: Amounts; spec?: object } = {}) => ({
  ...named('v1', 'Pod', name),
  spec: {
    terminationGracePeriodSeconds: 0,
    containers: [
      {
        name: 'pause',
        image: 'localhost/sleep',
        command: ['/bin/sleep', '3600'],
        resources: { requests, limits: rest.limits ?? {} },
      },
    ],
    ...rest.spec,
  },
})

const service = (name: string, type: string) =>
  named('v1', 'Service', name, {
    spec: { type, selector: { name }, ports: [{ port: 80, targetPort: 80 }] },
  })

describe('ResourceQuota', () => {
  let suite: Suite
  before(async () => {
    suite = await startSuite()
  })
  after(() => suite?.cluster.remove())

  const quotas = (home: Namespace) => home.core('resourcequotas')

  /** Until the status says so of these resources. */
  const used = (home: Namespace, amounts: Amounts, name = 'test-quota') =>
    until(`${name} has used ${JSON.stringify(amounts)}`, async () => {
      const { status } = (await suite.ok('GET', `${quotas(home)}/${name}`)) as {
        status?: { used?: Amounts }
      }
      return Object.entries(amounts).every(([resource, amount]) => status?.used?.[resource] === amount)
    })

  async function prepared(hard: Amounts = HARD): Promise<Namespace> {
    const home = await suite.namespace('resourcequota')
    await suite.ok('POST', quotas(home), quota('test-quota', hard))
    const nothing = Object.keys(hard).map(resource => [resource, startOf(resource)])
    await used(home, Object.fromEntries(nothing))
    return home
  }
  const startOf = (resource: string) => (['resourcequotas', 'configmaps'].includes(resource) ? '1' : '0')

  const beyond = async (path: string, body: object) => {
    const answer = await suite.refused('POST', path, body)
    assert.equal(answer.status, 403)
    assert.match(answer.body.message ?? '', /exceeded quota: test-quota/)
  }

  test('should create a ResourceQuota and ensure its status is promptly calculated.', async () => {
    const home = await prepared()
    const { status } = (await suite.ok('GET', `${quotas(home)}/test-quota`)) as {
      status?: { hard?: Amounts }
    }
    assert.deepEqual(status?.hard, HARD)
  })

  test('should create a ResourceQuota and capture the life of a service.', async () => {
    const home = await prepared()
    await suite.ok('POST', home.core('services'), service('test-service', 'ClusterIP'))
    await suite.ok('POST', home.core('services'), service('test-service-np', 'NodePort'))
    await beyond(home.core('services'), service('test-service-lb', 'LoadBalancer'))
    await used(home, { services: '2', 'services.nodeports': '1', 'services.loadbalancers': '0' })
    await suite.ok('DELETE', `${home.core('services')}/test-service`)
    await suite.ok('DELETE', `${home.core('services')}/test-service-np`)
    await used(home, { services: '0', 'services.nodeports': '0' })
  })

  test('should create a ResourceQuota and capture the life of a secret.', async () => {
    const home = await prepared()
    const secret = named('v1', 'Secret', 'test-secret', { stringData: { key: 'value' } })
    await suite.ok('POST', home.core('secrets'), secret)
    await used(home, { secrets: '1' })
    await suite.ok('DELETE', `${home.core('secrets')}/test-secret`)
    await used(home, { secrets: '0' })
  })

  test('should create a ResourceQuota and capture the life of a configMap.', async () => {
    const home = await prepared()
    await suite.ok('POST', home.core('configmaps'), named('v1', 'ConfigMap', 'test-configmap'))
    await used(home, { configmaps: '2' })
    await suite.ok('DELETE', `${home.core('configmaps')}/test-configmap`)
    await used(home, { configmaps: '1' })
  })

  test('should create a ResourceQuota and capture the life of a replication controller.', async () => {
    const home = await prepared()
    const spec = { replicas: 0, selector: { name: 'test-rc' }, template: waiting({ name: 'test-rc' }) }
    const path = home.core('replicationcontrollers')
    await suite.ok('POST', path, named('v1', 'ReplicationController', 'test-rc', { spec }))
    await used(home, { replicationcontrollers: '1' })
    const options = { apiVersion: 'v1', kind: 'DeleteOptions', propagationPolicy: 'Orphan' }
    await suite.ok('DELETE', `${path}/test-rc`, options)
    await used(home, { replicationcontrollers: '0' })
  })

  test('should create a ResourceQuota and capture the life of a replica set.', async () => {
    const home = await prepared()
    const labels = { name: 'test-rs' }
    const spec = { replicas: 0, selector: { matchLabels: labels }, template: waiting(labels) }
    const path = home.of('apps/v1', 'replicasets')
    await suite.ok('POST', path, named('apps/v1', 'ReplicaSet', 'test-rs', { spec }))
    await used(home, { 'count/replicasets.apps': '1' })
    await suite.ok('DELETE', `${path}/test-rs`)
    await used(home, { 'count/replicasets.apps': '0' })
  })

  test('should create a ResourceQuota and capture the life of a pod.', async () => {
    const home = await prepared()
    const pods = home.core('pods')
    const dongle = { 'requests.example.com/dongle': '2' }
    const requests = { cpu: '500m', memory: '252Mi', 'ephemeral-storage': '30Gi', 'example.com/dongle': '2' }
    const limits = { 'example.com/dongle': '2' }
    await suite.ok('POST', pods, pod('test-pod', requests, { limits }))
    const taken = { pods: '1', cpu: '500m', memory: '252Mi', 'ephemeral-storage': '30Gi', ...dongle }
    await used(home, taken)
    await beyond(pods, pod('fail-pod', { cpu: '600m', memory: '100Mi', 'ephemeral-storage': '10Gi' }))
    const rest = { 'ephemeral-storage': '10Gi', cpu: '500m', memory: '100Mi' }
    await beyond(
      pods,
      pod('fail-extended', { ...rest, 'example.com/dongle': '2' }, { limits: { 'example.com/dongle': '2' } }),
    )
    const change = { spec: { containers: [{ name: 'pause', resources: { requests: { cpu: '100m' } } }] } }
    assert.equal((await suite.refused('PATCH', `${pods}/test-pod`, change, 'strategic')).status, 422)
    await suite.ok('PATCH', `${pods}/test-pod`, { metadata: { labels: { a: 'b' } } }, 'merge')
    await used(home, taken)
    await suite.ok('DELETE', `${pods}/test-pod?gracePeriodSeconds=0`)
    await used(home, {
      pods: '0',
      cpu: '0',
      memory: '0',
      'ephemeral-storage': '0',
      'requests.example.com/dongle': '0',
    })
  })

  test('should be able to update and delete ResourceQuota.', async () => {
    const home = await suite.namespace('resourcequota')
    const path = `${quotas(home)}/test-quota`
    const created = await suite.ok('POST', quotas(home), quota('test-quota', { cpu: '1', memory: '500Mi' }))
    assert.deepEqual(at(created, 'spec.hard'), { cpu: '1', memory: '500Mi' })
    // The controller counts the new quota meanwhile, and writes its status.
    const updated = await until('no other write comes between', async () => {
      const read = await suite.ok('GET', path)
      const body = { ...read, spec: { hard: { cpu: '2', memory: '1Gi' } } }
      const answer = await suite.api(path, { method: 'PUT', body })
      assert.ok([200, 409].includes(answer.status), answer.text)
      return answer.status === 200 && answer.body
    })
    assert.deepEqual(at(updated, 'spec.hard'), { cpu: '2', memory: '1Gi' })
    assert.deepEqual(at(await suite.ok('GET', path), 'spec.hard'), { cpu: '2', memory: '1Gi' })
    await suite.ok('DELETE', path)
    assert.equal((await suite.api(path)).status, 404)
  })

  test('should manage the lifecycle of a ResourceQuota', async () => {
    const home = await suite.namespace('resourcequota')
    const name = 'e2e-quota-lifecycle'
    const labels = { [name]: 'yes' }
    const made = quota(name, { cpu: '1', memory: '500Mi' })
    await suite.ok('POST', quotas(home), { ...made, metadata: { name, labels } })
    const all = async () => itemsOf(await suite.ok('GET', `/api/v1/resourcequotas?labelSelector=${name}=yes`))
    assert.equal((await all()).length, 1)
    const patch = { metadata: { labels: { patched: 'yes' } }, spec: { hard: { memory: '750Mi' } } }
    const patched = await suite.ok('PATCH', `${quotas(home)}/${name}`, patch, 'strategic')
    assert.deepEqual(at(patched, 'spec.hard'), { cpu: '1', memory: '750Mi' })
    assert.equal(at(patched, 'metadata.labels.patched'), 'yes')
    await suite.ok('DELETE', `${quotas(home)}?labelSelector=patched=yes`)
    await until('the quota is gone', async () => (await all()).length === 0)
  })

  test('should apply changes to a resourcequota status', async () => {
    const home = await suite.namespace('resourcequota')
    const name = 'e2e-rq-status'
    const path = `${quotas(home)}/${name}`
    const stream = await suite.watch(`${quotas(home)}?watch=1&fieldSelector=metadata.name=${name}`)
    await suite.ok('POST', quotas(home), quota(name, { cpu: '500m', memory: '500Mi' }))
    const hardOf = (object: unknown) => at(object, 'status.hard')
    const counted = { cpu: '500m', memory: '500Mi' }
    await stream.find('the status has the bounds', ({ object }) => isEqual(hardOf(object), counted))
    const spec = { hard: { cpu: '1', memory: '1Gi' } }
    await suite.ok('PATCH', path, { spec }, 'merge')
    await stream.find('the status has the new bounds', ({ object }) => isEqual(hardOf(object), spec.hard))
    const one = { status: { hard: { cpu: '3', memory: '3Gi' } } }
    const patched = await suite.ok('PATCH', `${path}/status`, one, 'merge')
    assert.deepEqual(hardOf(patched), one.status.hard)
    await stream.find('the patch', ({ object }) => isEqual(hardOf(object), one.status.hard))
    await stream.find('the controller puts it right', ({ object }) => isEqual(hardOf(object), spec.hard))
    const read = await suite.ok('GET', `${path}/status`)
    const two = { hard: { cpu: '4', memory: '4Gi' } }
    const status = { ...(at(read, 'status') as object), ...two }
    const updated = await suite.ok('PUT', `${path}/status`, { ...read, status })
    assert.deepEqual(hardOf(updated), two.hard)
    assert.deepEqual(at(updated, 'spec'), spec)
    await stream.find('the update', ({ object }) => isEqual(hardOf(object), two.hard))
    await stream.find('the controller puts it right again', ({ object }) =>
      isEqual(hardOf(object), spec.hard),
    )
    stream.close()
  })
  const isEqual = (one: unknown, other: Amounts) =>
    Object.entries(other).every(([key, value]) => at(one, key) === value)

  test('should verify ResourceQuota with best effort scope.', async () => {
    const home = await suite.namespace('resourcequota')
    const pods = home.core('pods')
    for (const scope of ['BestEffort', 'NotBestEffort']) {
      await suite.ok('POST', quotas(home), quota(`quota-${scope.toLowerCase()}`, { pods: '5' }, [scope]))
    }
    const counts = async (best: string, others: string) => {
      await used(home, { pods: best }, 'quota-besteffort')
      await used(home, { pods: others }, 'quota-notbesteffort')
    }
    await counts('0', '0')
    await suite.ok('POST', pods, pod('besteffort-pod', {}))
    await counts('1', '0')
    await suite.ok('DELETE', `${pods}/besteffort-pod?gracePeriodSeconds=0`)
    await counts('0', '0')
    const amounts = { cpu: '500m', memory: '200Mi' }
    await suite.ok('POST', pods, pod('burstable-pod', amounts, { limits: { cpu: '1', memory: '400Mi' } }))
    await counts('0', '1')
    await suite.ok('DELETE', `${pods}/burstable-pod?gracePeriodSeconds=0`)
    await counts('0', '0')
  })

  test('should verify ResourceQuota with terminating scopes.', async () => {
    const home = await suite.namespace('resourcequota')
    const pods = home.core('pods')
    const hard = { pods: '1', 'requests.cpu': '1', 'requests.memory': '500Mi', 'limits.cpu': '2' }
    for (const scope of ['Terminating', 'NotTerminating']) {
      await suite.ok('POST', quotas(home), quota(`quota-${scope.toLowerCase()}`, hard, [scope]))
    }
    const full = { pods: '1', 'requests.cpu': '500m', 'requests.memory': '200Mi', 'limits.cpu': '1' }
    const none = { pods: '0', 'requests.cpu': '0', 'requests.memory': '0', 'limits.cpu': '0' }
    const counts = async (terminating: Amounts, others: Amounts) => {
      await used(home, terminating, 'quota-terminating')
      await used(home, others, 'quota-notterminating')
    }
    await counts(none, none)
    const requests = { cpu: '500m', memory: '200Mi' }
    const limits = { cpu: '1', memory: '400Mi' }
    await suite.ok('POST', pods, pod('test-pod', requests, { limits }))
    await counts(none, full)
    await suite.ok('DELETE', `${pods}/test-pod?gracePeriodSeconds=0`)
    await counts(none, none)
    const spec = { activeDeadlineSeconds: 3600 }
    await suite.ok('POST', pods, pod('terminating-pod', requests, { limits, spec }))
    await counts(full, none)
    await suite.ok('DELETE', `${pods}/terminating-pod?gracePeriodSeconds=0`)
    await counts(none, none)
  })
})
