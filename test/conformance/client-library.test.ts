/** The client library that JavaScript programs use, unchanged, against a daemon from the source tree. */
import assert from 'node:assert/strict'
import test, { after, before, describe } from 'node:test'
import {
  ApiException,
  AppsV1Api,
  AuthorizationV1Api,
  CoreV1Api,
  KubeConfig,
  KubernetesObjectApi,
  ListWatch,
  makeInformer,
  PatchStrategy,
  setHeaderOptions,
  type V1ConfigMap,
  type V1Deployment,
  VersionApi,
  Watch,
} from '@kubernetes/client-node'
import { installCluster, type TestCluster } from '../support/cluster.ts'
import { until } from '../support/until.ts'

const NAMESPACE = 'client-library'
const namespace = NAMESPACE

const deployment = (name: string): V1Deployment => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name, namespace },
  spec: {
    replicas: 0,
    selector: { matchLabels: { app: name } },
    template: {
      metadata: { labels: { app: name } },
      spec: { containers: [{ name: 'main', image: 'sample/web:1' }] },
    },
  },
})

async function refused(call: Promise<unknown>): Promise<[number, string]> {
  try {
    await call
  } catch (error) {
    assert.ok(error instanceof ApiException)
    return [error.code, (JSON.parse(String(error.body)) as { reason: string }).reason]
  }
  return assert.fail('the call was not refused')
}

describe('the client library', () => {
  let cluster: TestCluster
  let config: KubeConfig
  let core: CoreV1Api
  before(async () => {
    cluster = await installCluster()
    config = new KubeConfig()
    config.loadFromFile(cluster.kubeconfig)
    core = config.makeApiClient(CoreV1Api)
    await core.createNamespace({ body: { metadata: { name: NAMESPACE } } })
  })
  after(() => cluster.remove())

  const map = (name: string, data: Record<string, string> = {}): V1ConfigMap => ({ metadata: { name }, data })

  test('reads, writes and deletes typed objects', async () => {
    assert.equal((await config.makeApiClient(VersionApi).getCode()).minor, '36')
    const made = await core.createNamespacedConfigMap({ namespace, body: map('one', { a: '1' }) })
    assert.ok(made.metadata?.creationTimestamp instanceof Date)
    made.data = { a: '2' }
    const replaced = await core.replaceNamespacedConfigMap({ name: 'one', namespace, body: made })
    assert.notEqual(replaced.metadata?.resourceVersion, made.metadata.resourceVersion)
    const stale = core.replaceNamespacedConfigMap({ name: 'one', namespace, body: { ...made, data: {} } })
    assert.deepEqual(await refused(stale), [409, 'Conflict'])
    const again = core.createNamespacedConfigMap({ namespace, body: map('one') })
    assert.deepEqual(await refused(again), [409, 'AlreadyExists'])
    const merged = await core.patchNamespacedConfigMap(
      { name: 'one', namespace, body: { data: { b: '3' } } },
      setHeaderOptions('Content-Type', PatchStrategy.MergePatch),
    )
    assert.deepEqual(merged.data, { a: '2', b: '3' })
    const patched = await core.patchNamespacedConfigMap(
      { name: 'one', namespace, body: [{ op: 'remove', path: '/data/a' }] },
      setHeaderOptions('Content-Type', PatchStrategy.JsonPatch),
    )
    assert.deepEqual(patched.data, { b: '3' })
    assert.equal((await core.deleteNamespacedConfigMap({ name: 'one', namespace })).status, 'Success')
    assert.deepEqual(await refused(core.readNamespacedConfigMap({ name: 'one', namespace })), [
      404,
      'NotFound',
    ])
  })

  test('lists in chunks, by label, and deletes what a selector selects', async () => {
    const names = ['l1', 'l2', 'l3', 'l4', 'l5']
    for (const name of names) {
      const body = { ...map(name), metadata: { name, labels: { listed: 'yes' } } }
      await core.createNamespacedConfigMap({ namespace, body })
    }
    const labelSelector = 'listed in (yes)'
    const seen: (string | undefined)[] = []
    let next: string | undefined
    do {
      const options = {
        namespace,
        labelSelector,
        limit: 2,
        ...(next === undefined ? {} : { _continue: next }),
      }
      const { items, metadata } = await core.listNamespacedConfigMap(options)
      seen.push(...items.map(item => item.metadata?.name))
      next = metadata?._continue
    } while (next)
    assert.deepEqual(seen, names)
    await core.deleteCollectionNamespacedConfigMap({ namespace, labelSelector })
    assert.deepEqual((await core.listNamespacedConfigMap({ namespace, labelSelector })).items, [])
  })

  test('scales a deployment and reads its status', async () => {
    const apps = config.makeApiClient(AppsV1Api)
    await apps.createNamespacedDeployment({ namespace, body: deployment('scaled') })
    const scale = await apps.readNamespacedDeploymentScale({ name: 'scaled', namespace })
    scale.spec = { replicas: 0 }
    // The deployment's controller writes too, meanwhile.
    delete scale.metadata?.resourceVersion
    await apps.replaceNamespacedDeploymentScale({ name: 'scaled', namespace, body: scale })
    await until('the deployment is observed', async () => {
      const { status } = await apps.readNamespacedDeploymentStatus({ name: 'scaled', namespace })
      return status?.observedGeneration === 1
    })
  })

  test('works with objects of any kind, and applies them on the server', async () => {
    const objects = KubernetesObjectApi.makeApiClient(config)
    const body = {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'any', namespace },
      data: { a: '1' },
    }
    await objects.create(body)
    const applied = await objects.patch(
      { ...body, data: { b: '2' } },
      undefined,
      undefined,
      'client-library',
      true,
      PatchStrategy.ServerSideApply,
    )
    assert.deepEqual((applied as V1ConfigMap).data, { a: '1', b: '2' })
    await objects.delete(body)
  })

  test('asks who may do what', async () => {
    const body = { spec: { resourceAttributes: { verb: 'delete', resource: 'nodes' } } }
    const answer = await config.makeApiClient(AuthorizationV1Api).createSelfSubjectAccessReview({ body })
    assert.equal(answer.status?.allowed, true)
  })

  test('watches from a revision, and misses nothing', async () => {
    const { metadata } = await core.listNamespacedConfigMap({ namespace })
    const seen: string[] = []
    const watch = await new Watch(config).watch(
      `/api/v1/namespaces/${NAMESPACE}/configmaps`,
      { resourceVersion: metadata?.resourceVersion, allowWatchBookmarks: true },
      (phase, object: V1ConfigMap) => seen.push(`${phase} ${object.metadata?.name}`),
      () => {},
    )
    await core.createNamespacedConfigMap({ namespace, body: map('watched') })
    await core.deleteNamespacedConfigMap({ name: 'watched', namespace })
    await until('both events have come', async () => seen.length === 2)
    watch.abort()
    assert.deepEqual(seen, ['ADDED watched', 'DELETED watched'])
  })

  test('an informer follows through a restart of the daemon', async () => {
    const list = () => core.listNamespacedConfigMap({ namespace })
    const informer = makeInformer(config, `/api/v1/namespaces/${NAMESPACE}/configmaps`, list)
    assert.ok(informer instanceof ListWatch)
    let stopped = false
    const start = (): void => {
      if (stopped) return
      informer.start().catch(() => setTimeout(start, 50))
    }
    informer.on('error', () => setTimeout(start, 50))
    start()
    await core.createNamespacedConfigMap({ namespace, body: map('before') })
    await until('the informer has the first', async () => informer.get('before', NAMESPACE) !== undefined)
    cluster.signalDaemon('SIGKILL')
    await cluster.ready()
    await until('the second is made', async () => {
      const made = core.createNamespacedConfigMap({ namespace, body: map('after') })
      return await made.then(
        () => true,
        error => error instanceof ApiException && error.code === 409,
      )
    })
    await until('the informer has the second', async () => informer.get('after', NAMESPACE) !== undefined)
    assert.ok(informer.get('before', NAMESPACE) !== undefined)
    stopped = true
    await informer.stop()
  })
})
