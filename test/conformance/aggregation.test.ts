/** What Kubernetes' conformance asks of aggregation, with kubectl, a daemon, and an extension API server on loopback. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { request as httpsRequest } from 'node:https'
import { join } from 'node:path'
import test, { after, before, describe } from 'node:test'
import { installCluster, type TestCluster } from '../support/cluster.ts'
import { type ExtensionServer, GROUP, startExtensionServer } from '../support/extension-server.ts'
import type { Kubectl } from '../support/kubectl.ts'
import { until } from '../support/until.ts'

const NAMESPACE = 'aggregator'
const NAME = `v1alpha1.${GROUP}`
const COLLECTION = `/apis/${GROUP}/v1alpha1/namespaces/${NAMESPACE}/flunders`

interface Condition {
  readonly type: string
  readonly status: string
  readonly reason: string
}

describe('Aggregator', () => {
  let cluster: TestCluster
  let kubectl: Kubectl
  let extension: ExtensionServer
  before(async () => {
    cluster = await installCluster()
    kubectl = cluster.kubectl
    await kubectl.ok(['create', 'namespace', NAMESPACE])
    const config = (await kubectl.json([
      'get',
      'configmap',
      'extension-apiserver-authentication',
      '-n',
      'kube-system',
    ])) as { data: Record<string, string> }
    extension = await startExtensionServer(config.data['requestheader-client-ca-file'] ?? '', [
      `sample.${NAMESPACE}.svc`,
    ])
  })
  after(async () => {
    await cluster?.remove()
    await extension?.close()
  })

  const apply = (...objects: object[]) =>
    kubectl.ok(['apply', '-f', '-'], { input: objects.map(one => JSON.stringify(one)).join('\n---\n') })
  const available = async (name = NAME): Promise<Condition | undefined> => {
    const { status } = (await kubectl.json(['get', 'apiservice', name])) as {
      status?: { conditions?: Condition[] }
    }
    return status?.conditions?.find(one => one.type === 'Available')
  }
  const becomes = (reason: string) =>
    until(`the APIService is ${reason}`, async () => (await available())?.reason === reason)
  const service = () => ({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'sample', namespace: NAMESPACE },
    spec: { ports: [{ port: 443, targetPort: extension.port }] },
  })
  const slice = () => ({
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { name: 'sample', namespace: NAMESPACE, labels: { 'kubernetes.io/service-name': 'sample' } },
    addressType: 'IPv4',
    endpoints: [{ addresses: ['127.0.0.1'] }],
    ports: [{ name: '', port: extension.port }],
  })
  const apiService = (caBundle: string) => ({
    apiVersion: 'apiregistration.k8s.io/v1',
    kind: 'APIService',
    metadata: { name: NAME },
    spec: {
      group: GROUP,
      version: 'v1alpha1',
      service: { name: 'sample', namespace: NAMESPACE },
      groupPriorityMinimum: 2000,
      versionPriority: 200,
      caBundle,
    },
  })

  test('every group and version served here has an APIService that is available', async () => {
    const table = await until('the APIServices are there', async () => {
      const text = await kubectl.ok(['get', 'apiservices'])
      return text.includes('v1.storage.k8s.io') && text
    })
    for (const name of ['v1.', 'v1.apps', 'v2.autoscaling', 'v1.rbac.authorization.k8s.io']) {
      assert.match(table, new RegExp(`^${name.replaceAll('.', '\\.')}\\s+Local\\s+True\\s`, 'm'))
    }
    assert.equal((await available('v1.apps'))?.reason, 'Local')
  })

  test('an APIService says why it is not available, and its group answers 503', async () => {
    await apply(apiService(extension.caBundle))
    await becomes('ServiceNotFound')
    const refused = await kubectl.try(['get', '--raw', COLLECTION])
    assert.match(refused.stderr, /the server is currently unable to handle the request|service unavailable/i)
    await apply(service())
    await until('it misses its endpoints', async () =>
      ['EndpointsNotFound', 'MissingEndpoints'].includes((await available())?.reason ?? ''),
    )
    await apply({ ...slice(), ports: [{ name: '', port: 1 }] })
    await becomes('FailedDiscoveryCheck')
    await apply(slice())
    await becomes('Passed')
    assert.match(await kubectl.ok(['get', 'apiservice', NAME]), new RegExp(`${NAMESPACE}/sample\\s+True`))
  })

  test('Should be able to support the 1.17 Sample API Server using the current Aggregator', async () => {
    const flunder = { apiVersion: `${GROUP}/v1alpha1`, kind: 'Flunder', metadata: { name: 'one' } }
    await kubectl.ok(['create', '--raw', COLLECTION, '-f', '-'], { input: JSON.stringify(flunder) })
    const made = extension.asked.findLast(one => one.method === 'POST')
    assert.ok(made?.groups.includes('system:masters'))
    assert.ok(made?.groups.includes('system:authenticated'))
    assert.notEqual(made?.user, '')
    const list = JSON.parse(await kubectl.ok(['get', '--raw', COLLECTION])) as { items: unknown[] }
    assert.equal(list.items.length, 1)
    assert.match(await kubectl.ok(['get', 'flunders', '-n', NAMESPACE, '-o', 'name']), /flunder.*\/one/)
    await kubectl.ok(['delete', '--raw', `${COLLECTION}/one`])
    const gone = await kubectl.try(['get', '--raw', `${COLLECTION}/one`])
    assert.match(gone.stderr, /NotFound|no such flunder/)
    const path = `/apis/apiregistration.k8s.io/v1/apiservices/${NAME}/status`
    const patch = ['patch', 'apiservice', NAME, '--subresource', 'status', '--type', 'merge', '-p']
    const condition = { type: 'StatusPatched', status: 'True', reason: 'E2E', message: 'Set by the test' }
    const { status } = JSON.parse(await kubectl.ok(['get', '--raw', path])) as {
      status: { conditions: object[] }
    }
    await kubectl.ok([
      ...patch,
      JSON.stringify({ status: { conditions: [...status.conditions, condition] } }),
    ])
    assert.match(await kubectl.ok(['get', '--raw', path]), /StatusPatched/)
  })

  test('the group is part of discovery in both forms, at the place that its priority says', async () => {
    const groups = JSON.parse(await kubectl.ok(['get', '--raw', '/apis'])) as { groups: { name: string }[] }
    const names = groups.groups.map(one => one.name)
    assert.ok(names.includes(GROUP))
    assert.ok(names.indexOf('apps') < names.indexOf(GROUP))
    const one = JSON.parse(await kubectl.ok(['get', '--raw', `/apis/${GROUP}`])) as {
      preferredVersion: { version: string }
    }
    assert.equal(one.preferredVersion.version, 'v1alpha1')
    assert.match(await kubectl.ok(['api-resources', `--api-group=${GROUP}`]), /flunders\s+wardle/)
    const documents = JSON.parse(await kubectl.ok(['get', '--raw', '/openapi/v3'])) as { paths: object }
    assert.ok(Object.hasOwn(documents.paths, `apis/${GROUP}/v1alpha1`))
  })

  test('a watch streams, and so does a connection that leaves HTTP behind', async () => {
    const ended = new AbortController()
    const watch = await call('GET', `${COLLECTION}?watch=true`, { signal: ended.signal })
    await until('the watch has arrived', () =>
      extension.asked.some(one => one.path === `${COLLECTION}?watch=true`),
    )
    extension.tell({ type: 'ADDED', object: { kind: 'Flunder' } })
    const [first] = (await watch.next).toString('utf8').split('\n')
    assert.deepEqual(JSON.parse(first ?? ''), { type: 'ADDED', object: { kind: 'Flunder' } })
    ended.abort()
    const echo = await upgraded(`${COLLECTION}/one/exec`, 'hello')
    assert.equal(echo, 'hello')
  })

  test('a namespace goes with what the extension server has in it, and not before that can be asked', async () => {
    await kubectl.ok(['create', 'namespace', 'emptied'])
    const body = JSON.stringify({
      metadata: { name: 'inside' },
      kind: 'Flunder',
      apiVersion: `${GROUP}/v1alpha1`,
    })
    const inside = `/apis/${GROUP}/v1alpha1/namespaces/emptied/flunders`
    await kubectl.ok(['create', '--raw', inside, '-f', '-'], { input: body })
    const dead = { ...apiService(extension.caBundle), metadata: { name: 'v1.dead.example.com' } }
    const spec = {
      ...dead.spec,
      group: 'dead.example.com',
      version: 'v1',
      service: { name: 'no', namespace: 'no' },
    }
    await apply({ ...dead, spec })
    await kubectl.ok(['delete', 'namespace', 'emptied', '--wait=false'])
    await until('it waits for the server that cannot be asked', async () => {
      const { status } = (await kubectl.json(['get', 'namespace', 'emptied'])) as {
        status: { conditions?: (Condition & { message: string })[] }
      }
      const failed = status.conditions?.find(one => one.type === 'NamespaceDeletionDiscoveryFailure')
      return failed?.status === 'True' && /1 failing: .* dead.example.com\/v1: /.test(failed.message)
    })
    const list = JSON.parse(await kubectl.ok(['get', '--raw', inside])) as { items: object[] }
    assert.deepEqual(list.items, [])
    await kubectl.ok(['delete', 'apiservice', 'v1.dead.example.com'])
    await kubectl.ok(['wait', 'namespace/emptied', '--for=delete', '--timeout=60s'])
  })

  test('what an extension server has goes with its owner, and what it owns goes with it', async () => {
    const dead = { ...apiService(extension.caBundle), metadata: { name: 'v1.dead.example.com' } }
    const gone = { group: 'dead.example.com', version: 'v1', service: { name: 'no', namespace: 'no' } }
    await apply({ ...dead, spec: { ...dead.spec, ...gone } })
    const made = async (flunder: string, owners: object[] = []) => {
      const metadata = { name: flunder, ownerReferences: owners }
      const body = JSON.stringify({ apiVersion: `${GROUP}/v1alpha1`, kind: 'Flunder', metadata })
      const text = await kubectl.ok(['create', '--raw', COLLECTION, '-f', '-'], { input: body })
      return (JSON.parse(text) as { metadata: { uid: string } }).metadata.uid
    }
    const configMap = async (name: string, owners: object[] = []) => {
      const metadata = { name, namespace: NAMESPACE, ownerReferences: owners }
      const input = JSON.stringify({ apiVersion: 'v1', kind: 'ConfigMap', metadata })
      const text = await kubectl.ok(['create', '-o', 'json', '-f', '-'], { input })
      return (JSON.parse(text) as { metadata: { uid: string } }).metadata.uid
    }
    const flunder = (name: string, uid: string) => ({
      apiVersion: `${GROUP}/v1alpha1`,
      kind: 'Flunder',
      name,
      uid,
    })
    const map = (name: string, uid: string) => ({ apiVersion: 'v1', kind: 'ConfigMap', name, uid })
    const middle = await made('middle', [map('top', await configMap('top'))])
    await configMap('bottom', [flunder('middle', middle)])
    await made('lasting', [map('kept', await configMap('kept'))])
    await configMap('orphan', [flunder('never', 'there-was-none')])
    const isGone = async (path: string) => (await kubectl.try(['get', '--raw', path])).stderr !== ''
    const core = `/api/v1/namespaces/${NAMESPACE}/configmaps`
    await until('what names an owner that never was is gone', () => isGone(`${core}/orphan`))
    assert.equal(await isGone(`${core}/bottom`), false)
    await kubectl.ok(['delete', 'configmap', 'top', '-n', NAMESPACE])
    await until('the flunder is gone', () => isGone(`${COLLECTION}/middle`))
    await until('what it owned is gone', () => isGone(`${core}/bottom`))
    const deleted = extension.asked.findLast(one => one.method === 'DELETE')
    assert.equal(deleted?.user, 'system:serviceaccount:kube-system:generic-garbage-collector')
    assert.equal(await isGone(`${COLLECTION}/lasting`), false)
    await kubectl.ok(['delete', 'apiservice', 'v1.dead.example.com'])
  })

  test('what names an owner on a server that cannot be asked stays', async () => {
    await apply({ ...slice(), ports: [{ name: '', port: 1 }] })
    await becomes('FailedDiscoveryCheck')
    const owner = { apiVersion: `${GROUP}/v1alpha1`, kind: 'Flunder', name: 'unknown', uid: 'nobody-knows' }
    const metadata = { name: 'waiting', namespace: NAMESPACE, ownerReferences: [owner] }
    await apply({ apiVersion: 'v1', kind: 'ConfigMap', metadata })
    // One that is collected after it shows that it was looked at; that their uids are the same proves nothing.
    const other = { ...owner, apiVersion: 'v1', kind: 'ConfigMap' }
    await apply({
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { ...metadata, name: 'next', ownerReferences: [other] },
    })
    const isGone = async (name: string) =>
      (await kubectl.try(['get', 'configmap', name, '-n', NAMESPACE])).stderr.includes('NotFound')
    await until('the other one is gone', () => isGone('next'))
    assert.equal(await isGone('waiting'), false)
    await apply(slice())
    await becomes('Passed')
    await until('it goes once its owner can be asked about', () => isGone('waiting'))
  })

  test('without its APIService the group is not there', async () => {
    await kubectl.ok(['delete', 'apiservice', NAME])
    await until('the group is gone', async () => {
      const text = await kubectl.ok(['get', '--raw', '/apis'])
      return !text.includes(GROUP)
    })
    assert.match((await kubectl.try(['get', '--raw', COLLECTION])).stderr, /NotFound|could not find/)
  })

  const options = () => {
    const pki = join(cluster.dataDir, 'pki')
    const read = (name: string) => readFileSync(join(pki, name))
    return {
      host: cluster.address,
      port: 16_443,
      ca: read('cluster-ca.crt'),
      cert: read('admin.crt'),
      key: read('admin.key'),
      agent: false as const,
    }
  }

  function call(
    method: string,
    path: string,
    more: { signal: AbortSignal },
  ): Promise<{ next: Promise<Buffer> }> {
    return new Promise((resolve, reject) => {
      const outgoing = httpsRequest({ ...options(), method, path, ...more })
      outgoing.once('response', message => {
        message.on('error', () => {})
        resolve({ next: new Promise(found => message.once('data', found)) })
      })
      outgoing.on('error', reject)
      outgoing.end()
    })
  }

  function upgraded(path: string, text: string): Promise<string> {
    return new Promise((resolve, reject) => {
      const headers = { connection: 'Upgrade', upgrade: 'SPDY/3.1' }
      const outgoing = httpsRequest({ ...options(), method: 'POST', path, headers })
      outgoing.once('upgrade', (_message, socket) => {
        socket.once('data', data => {
          resolve(String(data))
          socket.destroy()
        })
        socket.write(text)
      })
      outgoing.once('response', message => reject(new Error(`the answer was ${message.statusCode}`)))
      outgoing.on('error', reject)
      outgoing.end()
    })
  }
})
