import assert from 'node:assert/strict'
import { test } from 'node:test'
import { makeServer } from './harness.ts'

const aggregated = 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json'

test('discovery lists groups, versions, resources and subresources', async () => {
  const { call } = makeServer()
  assert.deepEqual((await call('GET', '/api')).body.versions, ['v1'])
  const groups = (await call('GET', '/apis')).body.groups
  assert.ok(groups.some((one: { name: string }) => one.name === 'apps'))
  assert.equal((await call('GET', '/apis/apps')).body.preferredVersion.groupVersion, 'apps/v1')
  const core = (await call('GET', '/api/v1')).body.resources
  const pods = core.find((one: { name: string }) => one.name === 'pods')
  assert.deepEqual(pods.shortNames, ['po'])
  assert.ok(core.some((one: { name: string }) => one.name === 'pods/eviction'))
  assert.equal((await call('GET', '/apis/none')).status, 404)
  assert.equal((await call('GET', '/apis/apps/v9')).status, 404)
})

test('aggregated discovery holds everything in two documents', async () => {
  const { call } = makeServer()
  const { body, headers } = await call('GET', '/apis', undefined, { accept: aggregated })
  assert.equal(body.kind, 'APIGroupDiscoveryList')
  assert.match(headers['content-type'] ?? '', /as=APIGroupDiscoveryList/)
  const apps = body.items.find((one: { metadata: { name: string } }) => one.metadata.name === 'apps')
  const deployments = apps.versions[0].resources.find(
    (one: { resource: string }) => one.resource === 'deployments',
  )
  assert.equal(deployments.scope, 'Namespaced')
  assert.ok(deployments.subresources.some((one: { subresource: string }) => one.subresource === 'scale'))
  const unchanged = await call('GET', '/apis', undefined, {
    accept: aggregated,
    'if-none-match': headers['etag'] ?? '',
  })
  assert.equal(unchanged.status, 304)
})

test('OpenAPI v3 describes each group and version with kinds, parameters and merge keys', async () => {
  const { call } = makeServer()
  const index = (await call('GET', '/openapi/v3')).body
  const path: string = index.paths['apis/apps/v1'].serverRelativeURL
  const { body } = await call('GET', path)
  const item = body.paths['/apis/apps/v1/namespaces/{namespace}/deployments/{name}']
  assert.deepEqual(item.patch['x-kubernetes-group-version-kind'], {
    group: 'apps',
    version: 'v1',
    kind: 'Deployment',
  })
  assert.ok(item.patch.parameters.some((one: { name: string }) => one.name === 'fieldValidation'))
  const podSpec = body.components.schemas['io.k8s.api.core.v1.PodSpec']
  assert.equal(podSpec.properties.containers['x-kubernetes-patch-merge-key'], 'name')
  const refs = JSON.stringify(body).matchAll(/"\$ref":"#\/components\/schemas\/([^"]+)"/g)
  for (const [, name] of refs)
    assert.ok(name !== undefined && body.components.schemas[name], `schema ${name}`)
})

test('OpenAPI v2 is served as JSON and as protobuf', async () => {
  const { call, raw } = makeServer()
  const { body } = await call('GET', '/openapi/v2')
  assert.ok(body.definitions['io.k8s.api.core.v1.Pod'])
  const accept = 'application/com.github.proto-openapi.spec.v2@v1.0+protobuf'
  const reply = await raw('GET', '/openapi/v2', { headers: { accept } })
  assert.equal(reply.headers['content-type'], accept.replace('@', '.'))
  assert.deepEqual(Buffer.from(reply.body as Uint8Array).subarray(0, 5), Buffer.from('\n\u00032.0'))
  assert.equal((await raw('GET', '/openapi/v2', { headers: { accept: 'text/html' } })).status, 406)
})

test('health answers ok, or names the failing check', async () => {
  const healthy = makeServer()
  assert.equal((await healthy.call('GET', '/readyz')).body, 'ok')
  assert.match((await healthy.call('GET', '/livez?verbose')).body, /\[\+\]ping ok\nlivez check passed/)
  const starting = makeServer({ isReady: () => ['controllers'] })
  const { status, body } = await starting.call('GET', '/readyz')
  assert.equal(status, 500)
  assert.match(body, /\[-\]controllers failed: reason withheld/)
  assert.equal((await starting.call('GET', '/livez')).status, 200)
  assert.equal((await starting.call('GET', '/readyz/controllers')).status, 500)
  assert.equal((await starting.call('GET', '/readyz/foo')).status, 404)
  const named = makeServer({ readyChecks: ['poststarthook/rbac/bootstrap-roles'] })
  assert.equal((await named.call('GET', '/readyz/poststarthook/rbac/bootstrap-roles')).body, 'ok')
  assert.match(
    (await named.call('GET', '/readyz?verbose')).body,
    /\[\+\]poststarthook\/rbac\/bootstrap-roles ok/,
  )
})

test('the version and the list of paths are there', async () => {
  const { call } = makeServer()
  assert.equal((await call('GET', '/version')).body.minor, '36')
  assert.ok((await call('GET', '/')).body.paths.includes('/apis/apps/v1'))
})

test('no schema of OpenAPI v3 is empty, which kubectl explain takes for missing', async () => {
  const { body } = await makeServer().call('GET', '/openapi/v3/apis/apiextensions.k8s.io/v1')
  const empty: string[] = []
  const look = (value: unknown, path: string): void => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return
    for (const [key, inner] of Object.entries(value)) look(inner, `${path}.${key}`)
    if (Object.keys(value).length === 0) empty.push(path)
  }
  look(body.components.schemas, '')
  assert.deepEqual(
    empty.filter(path => !path.endsWith('.default')),
    [],
  )
})

test('OpenAPI v2 has the operations of v3 in its own notation', async () => {
  const { call } = makeServer()
  const { body: v2 } = await call('GET', '/openapi/v2')
  const { body: v3 } = await call('GET', '/openapi/v3/apis/apps/v1')
  for (const [path, item] of Object.entries(v3.paths as Record<string, object>)) {
    assert.deepEqual(Object.keys(v2.paths[path] ?? {}).sort(), Object.keys(item).sort(), path)
  }
  const path = '/apis/apps/v1/namespaces/{namespace}/deployments/{name}'
  const put = v2.paths[path].put
  const body = put.parameters.find((one: { in: string }) => one.in === 'body')
  const reference = { $ref: '#/definitions/io.k8s.api.apps.v1.Deployment' }
  assert.deepEqual(body, { name: 'body', in: 'body', required: true, schema: reference })
  assert.deepEqual(put.responses['200'], { description: 'OK', schema: reference })
  assert.ok(v2.paths[path].patch.consumes.includes('application/apply-patch+yaml'))
  const parameter = v2.paths[path].parameters.find((one: { name: string }) => one.name === 'namespace')
  assert.equal(parameter.type, 'string')
  assert.equal(JSON.stringify(v2).includes('#/components/'), false)
})

test('figures for Prometheus are text, where there are any', async () => {
  assert.equal((await makeServer().call('GET', '/metrics')).status, 404)
  const { call } = makeServer({ metrics: () => 'up 1\n' })
  const { status, headers, body } = await call('GET', '/metrics')
  assert.deepEqual([status, `${body}`.trim()], [200, 'up 1'])
  assert.match(headers['content-type'] ?? '', /^text\/plain; version=0\.0\.4/)
  assert.equal((await call('POST', '/metrics')).status, 405)
})
