/** The objects a cluster begins with: complete, consistent, and left alone once they are there. */
import assert from 'node:assert/strict'
import test from 'node:test'
import type { KubeRequest } from '../../../../../src/client/transport.ts'
import type { KubeObject } from '../../../../../src/kube/object.ts'
import type { PolicyRule } from '../../../../../src/kube/types.ts'
import { createAuthorizer } from '../../../../../src/runtime/apiserver/authz/authz.ts'
import {
  bootstrapObjects,
  kubernetesEndpoints,
  nodeRules,
  reconcileBootstrap,
} from '../../../../../src/runtime/apiserver/bootstrap/bootstrap.ts'
import { planBootstrap } from '../../../../../src/runtime/apiserver/bootstrap/plan.ts'
import { readerOf } from '../object-reader.ts'

const facts = {
  serviceIp: '10.152.183.1',
  serviceCidrs: ['10.152.183.0/24'],
  apiPort: 16443,
  clientCa: 'PEM',
  frontProxyCa: 'PEM',
}

/** A transport that keeps what is posted, and the reader of what it keeps. */
function memoryApi() {
  const store: Record<string, KubeObject[]> = {}
  const requests: string[] = []
  const transport = {
    async request(request: KubeRequest) {
      requests.push(`${request.method} ${request.path}`)
      const object = JSON.parse(Buffer.from(request.body ?? []).toString()) as KubeObject
      const [first = '', second] = object.apiVersion.split('/')
      const parts = request.path.split('/').slice(second === undefined ? 3 : 4)
      const resource = parts[0] === 'namespaces' && parts.length > 2 ? parts[2] : parts[0]
      const key = `${second === undefined ? '' : first}/${resource}`
      const list = (store[key] ?? []).filter(
        other =>
          other.metadata.name !== object.metadata.name ||
          other.metadata.namespace !== object.metadata.namespace,
      )
      store[key] = [...list, object]
      return { status: 201, headers: {}, body: Buffer.from('{}') }
    },
  }
  return { transport, objects: readerOf(store), store, requests }
}

test('every object is named once, and every binding names a role that exists', () => {
  const objects = bootstrapObjects(facts)
  const ids = objects.map(
    object => `${object.kind}/${object.metadata.namespace ?? ''}/${object.metadata.name}`,
  )
  assert.equal(new Set(ids).size, ids.length)
  for (const object of objects) {
    if (!object.kind.endsWith('Binding')) continue
    const { kind, name } = object['roleRef'] as { kind: string; name: string }
    const namespace = kind === 'Role' ? object.metadata.namespace : ''
    assert.ok(ids.includes(`${kind}/${namespace}/${name}`), `${object.metadata.name} → ${name}`)
    assert.equal(object.metadata.labels?.['kubernetes.io/bootstrapping'], 'rbac-defaults')
  }
})

test('view cannot read secrets, edit can, and only admin writes roles', () => {
  const roles = new Map(
    bootstrapObjects(facts).map(object => [`${object.kind}/${object.metadata.name}`, object]),
  )
  const grants = (name: string, verb: string, resource: string) =>
    ((roles.get(`ClusterRole/${name}`)?.['rules'] ?? []) as PolicyRule[]).some(
      rule => rule.verbs.includes(verb) && rule.resources?.includes(resource),
    )
  assert.equal(grants('view', 'get', 'secrets'), false)
  assert.equal(grants('view', 'list', 'pods'), true)
  assert.equal(grants('edit', 'get', 'secrets'), true)
  assert.equal(grants('edit', 'create', 'roles'), false)
  assert.equal(grants('admin', 'create', 'roles'), true)
  assert.equal(grants('admin', 'update', 'deployments'), true)
})

test('the first start makes everything, namespaces first; the second writes nothing', async () => {
  const api = memoryApi()
  const wanted = bootstrapObjects(facts)
  const first = await reconcileBootstrap({ ...api, wanted })
  assert.deepEqual(first, { created: wanted.length, updated: 0, problems: [] })
  assert.deepEqual(api.requests.slice(0, 2), ['POST /api/v1/namespaces', 'POST /api/v1/namespaces'])
  assert.ok(api.requests.includes('POST /apis/rbac.authorization.k8s.io/v1/namespaces/kube-system/roles'))
  const before = performance.now()
  assert.deepEqual(await reconcileBootstrap({ ...api, wanted }), { created: 0, updated: 0, problems: [] })
  assert.ok(performance.now() - before < 50)
})

test('missing rules and subjects come back, additions stay, and autoupdate can be turned off', () => {
  const role = bootstrapObjects(facts).find(object => object.metadata.name === 'system:kube-dns')
  assert.ok(role !== undefined && role.kind === 'ClusterRole')
  const own = { verbs: ['get'], apiGroups: [''], resources: ['nodes'] }
  assert.deepEqual(planBootstrap(role, { ...role, rules: [...(role['rules'] as object[]), own] }), {
    kind: 'none',
  })
  const action = planBootstrap(role, { ...role, rules: [own] })
  assert.ok(action.kind === 'update')
  assert.deepEqual(action.object['rules'], [own, ...(role['rules'] as object[])])
  const off = { 'rbac.authorization.kubernetes.io/autoupdate': 'false' }
  const kept = { ...role, rules: [], metadata: { ...role.metadata, annotations: off } }
  assert.deepEqual(planBootstrap(role, kept), { kind: 'none' })
})

test('a changed address or port of the API server is published anew', () => {
  const at = (address: string, port: number) => kubernetesEndpoints([{ address, port }])
  const before = at('127.0.0.1', 16443)
  for (const [index, wanted] of at('192.0.2.7', 7443).entries()) {
    const present = before[index] ?? null
    const action = planBootstrap(wanted, present)
    assert.ok(action.kind === 'update', wanted.kind)
    assert.deepEqual(planBootstrap(wanted, action.object), { kind: 'none' }, wanted.kind)
    assert.deepEqual(planBootstrap(present ?? wanted, present), { kind: 'none' }, wanted.kind)
  }
  const [, slice] = at('2001:db8::7', 16443)
  assert.equal(planBootstrap(slice ?? (before[0] as KubeObject), before[1] ?? null).kind, 'replace')
})

test('an address that cannot be an endpoint is left out', () => {
  const servers = ['::1', '0.0.0.0'].map(address => ({ address, port: 16443 }))
  const objects = kubernetesEndpoints(servers)
  assert.deepEqual(
    objects.map(({ kind, ...rest }) => [kind, rest['subsets']]),
    [['Endpoints', []]],
  )
})

test('servers on several ports and of both families have a slice for each', () => {
  const servers = [
    { address: '10.0.0.2', port: 16443 },
    { address: '10.0.0.1', port: 16443 },
    { address: '10.0.0.3', port: 16444 },
    { address: 'fd00::1', port: 16444 },
  ]
  const [endpoints, ...slices] = kubernetesEndpoints(servers)
  const subsets = endpoints?.['subsets'] as unknown[] | undefined
  assert.equal(subsets?.length, 3)
  assert.deepEqual(
    slices.map(slice => [
      slice.metadata.name,
      slice['addressType'],
      (slice['endpoints'] as unknown[]).length,
    ]),
    [
      ['kubernetes', 'IPv4', 2],
      ['kubernetes-ipv4-16444', 'IPv4', 1],
      ['kubernetes-ipv6-16444', 'IPv6', 1],
    ],
  )
})

test('an object that cannot be written is reported and the others are made', async () => {
  const api = memoryApi()
  const transport = {
    request: async (request: KubeRequest) =>
      request.path.endsWith('/services')
        ? { status: 422, headers: {}, body: Buffer.from('{"message":"no"}') }
        : await api.transport.request(request),
  }
  const wanted = bootstrapObjects(facts)
  const report = await reconcileBootstrap({ transport, objects: api.objects, wanted })
  assert.deepEqual([report.created, report.problems], [wanted.length - 1, ['Service kubernetes: no']])
})

test('with these roles the usual users may do the usual things', async () => {
  const api = memoryApi()
  await reconcileBootstrap({ ...api, wanted: bootstrapObjects(facts) })
  const authorizer = createAuthorizer({
    store: { revision: 0, watch: () => ({ close() {} }) },
    objects: api.objects,
    nodeRules: nodeRules(),
  })
  const can = (username: string, groups: string[], verb: string, resource: string, over = {}) =>
    authorizer.authorize({
      user: { username, groups },
      verb,
      isResource: true,
      path: '',
      group: '',
      version: 'v1',
      resource,
      subresource: '',
      namespace: 'dev',
      name: '',
      ...over,
    }).allowed
  assert.equal(can('system:kube-scheduler', [], 'create', 'pods', { subresource: 'binding' }), true)
  const deployments = 'system:serviceaccount:kube-system:deployment-controller'
  assert.equal(can(deployments, [], 'create', 'replicasets', { group: 'apps' }), true)
  assert.equal(can(deployments, [], 'get', 'secrets'), false)
  assert.equal(can('jane', ['system:authenticated'], 'get', 'pods'), false)
  const path = { isResource: false, resource: '', namespace: '' }
  assert.equal(can('jane', ['system:authenticated'], 'get', '', { ...path, path: '/apis/apps/v1' }), true)
  assert.equal(can('x', ['system:unauthenticated'], 'get', '', { ...path, path: '/readyz' }), true)
  assert.equal(can('x', ['system:unauthenticated'], 'get', '', { ...path, path: '/apis' }), false)
})
