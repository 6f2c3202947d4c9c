/** Server-side apply and managed fields through the API server's door. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { makeServer, type Server } from './harness.ts'

const maps = '/api/v1/namespaces/default/configmaps'
const deployments = '/apis/apps/v1/namespaces/default/deployments'
const scalers = '/apis/autoscaling/v1/namespaces/default/horizontalpodautoscalers'
const APPLY = { 'content-type': 'application/apply-patch+yaml' }

const configMap = (data: object, metadata: object = {}) => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name: 'one', ...metadata },
  data,
})
const deployment = (spec: object = {}) => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name: 'web' },
  spec: {
    selector: { matchLabels: { app: 'x' } },
    template: { metadata: { labels: { app: 'x' } }, spec: { containers: [{ name: 'c', image: 'i' }] } },
    ...spec,
  },
})

const apply = (server: Server, path: string, body: unknown, query = 'fieldManager=me') =>
  server.call('PATCH', `${path}?${query}`, body, APPLY)

interface Entry {
  readonly manager: string
  readonly operation: string
  readonly apiVersion: string
  readonly subresource?: string
  readonly fieldsV1: object
}
const entriesOf = (body: { metadata: { managedFields?: Entry[] } }): Entry[] =>
  body.metadata.managedFields ?? []
const named = (body: { metadata: { managedFields?: Entry[] } }) =>
  entriesOf(body).map(one => `${one.manager} ${one.operation}${one.subresource ? ` ${one.subresource}` : ''}`)

test('apply creates with 201, changes with 200, and writes nothing when nothing changes', async () => {
  const server = makeServer()
  const created = await apply(server, `${maps}/one`, configMap({ a: '1' }))
  assert.equal(created.status, 201)
  assert.deepEqual(
    entriesOf(created.body).map(({ manager, operation, fieldsV1 }) => ({ manager, operation, fieldsV1 })),
    [{ manager: 'me', operation: 'Apply', fieldsV1: { 'f:data': { 'f:a': {} } } }],
  )
  const again = await apply(server, `${maps}/one`, configMap({ a: '1' }))
  assert.equal(again.status, 200)
  assert.deepEqual(again.body, created.body)
  const yaml = 'apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: one\ndata:\n  b: "2"\n'
  const changed = await apply(server, `${maps}/one`, yaml)
  assert.equal(changed.status, 200)
  assert.deepEqual(changed.body.data, { b: '2' })
  assert.deepEqual((await server.call('GET', `${maps}/one`)).body, changed.body)
})

test('a dry run says what would be and stores nothing', async () => {
  const server = makeServer()
  const dry = await apply(server, `${maps}/one`, configMap({ a: '1' }), 'fieldManager=me&dryRun=All')
  assert.equal(dry.status, 201)
  assert.deepEqual(named(dry.body), ['me Apply'])
  assert.equal((await server.call('GET', `${maps}/one`)).status, 404)
})

test('apply needs a manager, other patches may not be forced', async () => {
  const server = makeServer()
  const nobody = await apply(server, `${maps}/one`, configMap({}), '')
  assert.equal(nobody.status, 422)
  assert.equal(
    nobody.body.message,
    'PatchOptions.meta.k8s.io "" is invalid: fieldManager: Required value: is required for apply patch',
  )
  await server.call('POST', maps, configMap({}))
  const forced = await server.call('PATCH', `${maps}/one?force=true`, '{}', {
    'content-type': 'application/merge-patch+json',
  })
  assert.match(forced.body.message, /force: Forbidden: may not be specified for non-apply patch/)
})

test('what was sent must be of the kind, without managedFields, with known fields, under its name', async () => {
  const server = makeServer()
  const path = `${maps}/one`
  const other = await apply(server, path, { ...configMap({}), kind: 'Secret' })
  assert.deepEqual([other.status, other.body.message], [400, 'invalid object type: /v1, Kind=Secret'])
  const managed = await apply(server, path, configMap({}, { managedFields: [{}] }))
  assert.deepEqual([managed.status, managed.body.message], [400, 'metadata.managedFields must be nil'])
  const unknown = await apply(server, path, { ...configMap({}, { namespace: 'default' }), foo: 1 })
  assert.equal(unknown.status, 500)
  assert.equal(
    unknown.body.message,
    'failed to create typed patch object (default/one; /v1, Kind=ConfigMap): .foo: field not declared in schema',
  )
  assert.equal((await apply(server, path, configMap({}, { name: 'two' }))).status, 400)
  assert.equal((await apply(server, path, configMap({}, { namespace: 'other' }))).status, 400)
  assert.match((await apply(server, path, 'a: [')).body.message, /^error decoding YAML: /)
})

test('defaults inside of what is owned as a whole are no change when it is applied again', async () => {
  const server = makeServer()
  const env = [{ name: 'IP', valueFrom: { fieldRef: { fieldPath: 'status.podIP' } } }]
  const containers = [{ name: 'c', image: 'i', env, ports: [{ containerPort: 80 }] }]
  const template = {
    metadata: { labels: { app: 'x' } },
    spec: { containers, securityContext: {}, volumes: [] },
  }
  const created = await apply(server, `${deployments}/web`, deployment({ template }))
  assert.equal(created.status, 201)
  assert.equal(created.body.spec.template.spec.containers[0].env[0].valueFrom.fieldRef.apiVersion, 'v1')
  const again = await apply(server, `${deployments}/web`, deployment({ template }))
  assert.deepEqual(again.body, created.body)
})

test('a list item goes with its applier, and what others own of it stays', async () => {
  const server = makeServer()
  const path = `${deployments}/web`
  const main = { name: 'c', image: 'i' }
  const spec = (...containers: object[]) => ({
    template: { metadata: { labels: { app: 'x' } }, spec: { containers } },
  })
  await apply(server, path, deployment(spec(main, { name: 'side', image: 's' })))
  const partial = { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'web' } }
  const own = {
    ...partial,
    spec: { template: { spec: { containers: [{ name: 'side', env: [{ name: 'A', value: '1' }] }] } } },
  }
  await apply(server, path, own, 'fieldManager=other')
  const kept = await apply(server, path, deployment(spec(main, { name: 'side', image: 's2' })))
  assert.deepEqual(
    kept.body.spec.template.spec.containers.map((one: { name: string; image: string; env?: object[] }) => [
      one.name,
      one.image,
      one.env,
    ]),
    [
      ['c', 'i', undefined],
      ['side', 's2', [{ name: 'A', value: '1' }]],
    ],
  )
  // Without an image the item that the other one keeps is no valid container any more.
  const refused = await apply(server, path, deployment(spec(main)))
  assert.deepEqual(
    [refused.status, refused.body.details.causes[0].field],
    [422, 'spec.template.spec.containers[1].image'],
  )
  await apply(server, path, partial, 'fieldManager=other')
  const gone = await apply(server, path, deployment(spec(main)))
  assert.equal(gone.body.spec.template.spec.containers.length, 1)
})

test('conflicts are 409 with a cause per field, force takes over', async () => {
  const server = makeServer()
  await server.call('POST', `${deployments}?fieldManager=kubectl-create`, deployment({ replicas: 2 }))
  const config = {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'web' },
    spec: { replicas: 5 },
  }
  const refused = await apply(server, `${deployments}/web`, config)
  assert.equal(refused.status, 409)
  assert.equal(refused.body.reason, 'Conflict')
  assert.equal(
    refused.body.message,
    'Apply failed with 1 conflict: conflict with "kubectl-create" using apps/v1: .spec.replicas',
  )
  const forced = await apply(server, `${deployments}/web`, config, 'fieldManager=me&force=true')
  assert.equal(forced.body.spec.replicas, 5)
  assert.deepEqual(named(forced.body), ['me Apply', 'kubectl-create Update'])
})

test('a resourceVersion in the configuration must be the present one', async () => {
  const server = makeServer()
  const created = await apply(server, `${maps}/one`, configMap({ a: '1' }))
  const { resourceVersion } = created.body.metadata
  assert.equal((await apply(server, `${maps}/one`, configMap({ a: '2' }, { resourceVersion }))).status, 200)
  assert.equal((await apply(server, `${maps}/one`, configMap({ a: '3' }, { resourceVersion }))).status, 409)
})

test('ordinary writes record who they are: by name or by program', async () => {
  const server = makeServer()
  const created = await server.call('POST', maps, configMap({ a: '1' }), { 'user-agent': 'tool/1.0 (x)' })
  assert.deepEqual(named(created.body), ['tool Update'])
  const merge = { 'content-type': 'application/merge-patch+json', 'user-agent': 'other/1' }
  const patched = await server.call('PATCH', `${maps}/one?fieldManager=editor`, { data: { b: '2' } }, merge)
  assert.deepEqual(
    entriesOf(patched.body).map(one => [one.manager, one.fieldsV1]),
    [
      ['editor', { 'f:data': { 'f:b': {} } }],
      ['tool', { 'f:data': { '.': {}, 'f:a': {} } }],
    ],
  )
  const same = await server.call('PATCH', `${maps}/one?fieldManager=third`, { data: { b: '2' } }, merge)
  assert.deepEqual(same.body, patched.body)
  const { data: _data, ...rest } = patched.body
  const put = await server.call('PUT', `${maps}/one`, { ...rest, data: { b: '2' } })
  assert.deepEqual(
    entriesOf(put.body).map(one => [one.manager, one.fieldsV1]),
    [
      ['editor', { 'f:data': { 'f:b': {} } }],
      ['tool', { 'f:data': {} }],
    ],
  )
})

test('a client may take all owners away with one empty entry', async () => {
  const server = makeServer()
  await apply(server, `${maps}/one`, configMap({ a: '1' }))
  const merge = { 'content-type': 'application/merge-patch+json' }
  const cleared = await server.call('PATCH', `${maps}/one`, { metadata: { managedFields: [{}] } }, merge)
  assert.equal(cleared.status, 200)
  assert.equal(cleared.body.metadata.managedFields, undefined)
  const taken = await apply(server, `${maps}/one`, configMap({ a: '1', b: '2' }))
  assert.deepEqual(named(taken.body), ['me Apply', 'before-first-apply Update'])
})

test('status and scale have owners of their own', async () => {
  const server = makeServer()
  await apply(server, `${deployments}/web`, deployment())
  const status = { ...deployment(), spec: undefined, status: { readyReplicas: 1, replicas: 1 } }
  const applied = await apply(server, `${deployments}/web/status`, status, 'fieldManager=ctl')
  assert.equal(applied.status, 200)
  assert.equal(applied.body.status.readyReplicas, 1)
  assert.deepEqual(entriesOf(applied.body).find(one => one.subresource === 'status')?.fieldsV1, {
    'f:status': { 'f:readyReplicas': {}, 'f:replicas': {} },
  })
  const scale = {
    apiVersion: 'autoscaling/v1',
    kind: 'Scale',
    metadata: { name: 'web' },
    spec: { replicas: 4 },
  }
  await server.call('PUT', `${deployments}/web/scale?fieldManager=scaler`, scale)
  const seen = await server.call('GET', `${deployments}/web`)
  assert.equal(seen.body.spec.replicas, 4)
  const scaler = entriesOf(seen.body).find(one => one.subresource === 'scale')
  assert.deepEqual(
    [scaler?.manager, scaler?.apiVersion, scaler?.fieldsV1],
    ['scaler', 'apps/v1', { 'f:spec': { 'f:replicas': {} } }],
  )
  const other = { ...scale, spec: { replicas: 6 } }
  const refused = await apply(server, `${deployments}/web/scale`, other)
  assert.equal(refused.status, 409)
  assert.match(refused.body.message, /"scaler" with subresource "scale" using apps\/v1: \.spec\.replicas$/)
  const forced = await apply(server, `${deployments}/web/scale`, other, 'fieldManager=me&force=true')
  assert.deepEqual([forced.status, forced.body.spec.replicas], [200, 6])
  const after = await server.call('GET', `${deployments}/web`)
  assert.deepEqual(named(after.body), ['ctl Apply status', 'me Apply', 'me Apply scale'])
})

test('fields of a status that the main resource cannot set are not owned through it', async () => {
  const server = makeServer()
  const body = { ...deployment(), status: { replicas: 9 } }
  const created = await server.call('POST', `${deployments}?fieldManager=c`, body)
  assert.deepEqual(
    entriesOf(created.body).map(one => Object.keys(one.fieldsV1)),
    [['f:spec']],
  )
})

test('owners speak their version: a field is theirs in the other version too', async () => {
  const server = makeServer()
  const v1 = {
    apiVersion: 'autoscaling/v1',
    kind: 'HorizontalPodAutoscaler',
    metadata: { name: 'h' },
    spec: {
      maxReplicas: 5,
      scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'web' },
    },
  }
  const created = await apply(server, `${scalers}/h`, v1, 'fieldManager=one')
  assert.equal(created.status, 201)
  assert.equal(entriesOf(created.body)[0]?.apiVersion, 'autoscaling/v1')
  const v2 = { ...v1, apiVersion: 'autoscaling/v2', spec: { maxReplicas: 7 } }
  const path = `${scalers.replace('v1/', 'v2/')}/h`
  const refused = await apply(server, path, v2, 'fieldManager=two')
  assert.equal(refused.body.message, 'Apply failed with 1 conflict: conflict with "one": .spec.maxReplicas')
  const forced = await apply(server, path, v2, 'fieldManager=two&force=true')
  assert.equal(forced.body.spec.maxReplicas, 7)
  assert.deepEqual(
    entriesOf(forced.body).map(one => [one.manager, one.apiVersion]),
    [
      ['one', 'autoscaling/v1'],
      ['two', 'autoscaling/v2'],
    ],
  )
})

test('whoever may only patch does not create by applying', async () => {
  const server = makeServer({
    authorizer: { authorize: one => ({ allowed: one.verb !== 'create', reason: '' }) },
  })
  const refused = await apply(server, `${maps}/one`, configMap({ a: '1' }))
  assert.equal(refused.status, 403)
})
