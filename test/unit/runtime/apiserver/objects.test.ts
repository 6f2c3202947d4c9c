import assert from 'node:assert/strict'
import { test } from 'node:test'
import { configMap, deployment, makeServer, pod } from './harness.ts'

const maps = '/api/v1/namespaces/default/configmaps'
const pods = '/api/v1/namespaces/default/pods'
const deployments = '/apis/apps/v1/namespaces/default/deployments'

test('a created object comes back with identity, revision and its defaults, and can be read again', async () => {
  const { call } = makeServer()
  const created = await call('POST', maps, configMap('one'))
  assert.equal(created.status, 201)
  assert.match(created.body.metadata.uid, /^[0-9a-f-]{36}$/)
  assert.equal(created.body.metadata.namespace, 'default')
  assert.match(created.body.metadata.resourceVersion, /^\d+$/)
  const read = await call('GET', `${maps}/one`)
  assert.deepEqual(read.body, created.body)
  assert.equal(read.headers['content-type'], 'application/json')
})

test('a second object of the same name is refused with AlreadyExists and changes nothing', async () => {
  const { call, store } = makeServer()
  await call('POST', maps, configMap('one'))
  const before = store.revision
  const again = await call('POST', maps, configMap('one', { data: { key: 'other' } }))
  assert.equal(again.status, 409)
  assert.equal(again.body.reason, 'AlreadyExists')
  assert.equal(again.body.message, 'configmaps "one" already exists')
  assert.equal(store.revision, before)
})

test('generateName makes names of its own', async () => {
  const { call } = makeServer()
  const body = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { generateName: 'job-' } }
  const first = await call('POST', maps, body)
  const second = await call('POST', maps, body)
  assert.match(first.body.metadata.name, /^job-[bcdfghjklmnpqrstvwxz2456789]{5}$/)
  assert.notEqual(first.body.metadata.name, second.body.metadata.name)
})

test('an absent object is 404 with the words of upstream', async () => {
  const { call } = makeServer()
  const { status, body } = await call('GET', `${deployments}/none`)
  assert.equal(status, 404)
  assert.equal(body.message, 'deployments.apps "none" not found')
  assert.deepEqual(body.details, { name: 'none', group: 'apps', kind: 'deployments' })
})

test('an update with an old resourceVersion conflicts, one without it does not', async () => {
  const { call } = makeServer()
  const created = await call('POST', maps, configMap('one'))
  const changed = { ...created.body, data: { key: 'two' } }
  assert.equal((await call('PUT', `${maps}/one`, changed)).status, 200)
  const stale = await call('PUT', `${maps}/one`, { ...created.body, data: { key: 'three' } })
  assert.equal(stale.status, 409)
  assert.equal(stale.body.reason, 'Conflict')
  const blind = await call('PUT', `${maps}/one`, configMap('one', { data: { key: 'four' } }))
  assert.equal(blind.status, 200)
  assert.equal(blind.body.data.key, 'four')
  assert.equal(blind.body.metadata.uid, created.body.metadata.uid)
})

test('an update that changes nothing keeps the revision', async () => {
  const { call, store } = makeServer()
  const created = await call('POST', maps, configMap('one'))
  const before = store.revision
  const same = await call('PUT', `${maps}/one`, configMap('one'))
  assert.equal(same.body.metadata.resourceVersion, created.body.metadata.resourceVersion)
  assert.equal(store.revision, before)
})

test('the generation of a deployment counts changes of its spec, and status is a thing apart', async () => {
  const { call } = makeServer()
  const created = await call('POST', deployments, deployment('web'))
  assert.equal(created.status, 201, created.body.message)
  assert.equal(created.body.metadata.generation, 1)
  const patched = await call(
    'PATCH',
    `${deployments}/web`,
    { spec: { replicas: 5 }, status: { replicas: 9 } },
    merge,
  )
  assert.equal(patched.body.metadata.generation, 2)
  assert.equal(patched.body.status?.replicas, undefined)
  const status = await call(
    'PATCH',
    `${deployments}/web/status`,
    { spec: { replicas: 7 }, status: { replicas: 3 } },
    merge,
  )
  assert.equal(status.status, 200, status.body.message)
  assert.equal(status.body.spec.replicas, 5)
  assert.equal(status.body.status.replicas, 3)
  assert.equal(status.body.metadata.generation, 2)
})

const merge = { 'content-type': 'application/merge-patch+json' }
const strategic = { 'content-type': 'application/strategic-merge-patch+json' }
const jsonPatch = { 'content-type': 'application/json-patch+json' }

test('JSON, merge and strategic patches change what they say', async () => {
  const { call } = makeServer()
  await call('POST', deployments, deployment('web'))
  const image = { spec: { template: { spec: { containers: [{ name: 'main', image: 'sample/web:2' }] } } } }
  const one = await call('PATCH', `${deployments}/web`, image, strategic)
  assert.equal(one.status, 200, one.body.message)
  assert.equal(one.body.spec.template.spec.containers.length, 1)
  assert.equal(one.body.spec.template.spec.containers[0].image, 'sample/web:2')
  const two = await call(
    'PATCH',
    `${deployments}/web`,
    [{ op: 'replace', path: '/spec/replicas', value: 4 }],
    jsonPatch,
  )
  assert.equal(two.body.spec.replicas, 4)
  const three = await call('PATCH', `${deployments}/web`, { metadata: { labels: { a: 'b' } } }, merge)
  assert.deepEqual(three.body.metadata.labels, { a: 'b' })
})

test('a patch of an unknown type is 415', async () => {
  const { call } = makeServer()
  await call('POST', maps, configMap('one'))
  assert.equal((await call('PATCH', `${maps}/one`, '{}', { 'content-type': 'text/plain' })).status, 415)
})

test('the scale subresource reads and sets replicas', async () => {
  const { call } = makeServer()
  await call('POST', deployments, deployment('web'))
  const scale = await call('GET', `${deployments}/web/scale`)
  assert.equal(scale.body.kind, 'Scale')
  assert.equal(scale.body.spec.replicas, 2)
  assert.equal(scale.body.status.selector, 'app=web')
  const put = await call('PUT', `${deployments}/web/scale`, { ...scale.body, spec: { replicas: 6 } })
  assert.equal(put.body.spec.replicas, 6, JSON.stringify(put.body))
  const patched = await call('PATCH', `${deployments}/web/scale`, { spec: { replicas: 1 } }, merge)
  assert.equal(patched.body.spec.replicas, 1)
  assert.equal((await call('GET', `${deployments}/web`)).body.spec.replicas, 1)
  const accept = 'application/json;as=Table;v=v1;g=meta.k8s.io'
  const { body: table } = await call('GET', `${deployments}/web/scale`, undefined, { accept })
  const names = table.columnDefinitions.map(({ name }: { name: string }) => name)
  assert.deepEqual(names, ['Name', 'Desired', 'Available', 'Age'])
  assert.deepEqual(table.rows[0].cells.slice(0, 3), ['web', 1, 0])
})

test('finalizers hold a deleted object until the last one is taken away', async () => {
  const { call } = makeServer()
  const finalizers = ['example.com/hold']
  await call('POST', maps, configMap('one', { metadata: { name: 'one', finalizers } }))
  const deleted = await call('DELETE', `${maps}/one`)
  assert.equal(deleted.status, 200)
  assert.ok(deleted.body.metadata.deletionTimestamp)
  const added = await call(
    'PATCH',
    `${maps}/one`,
    { metadata: { finalizers: ['example.com/hold', 'example.com/x'] } },
    merge,
  )
  assert.equal(added.status, 422)
  const last = await call('PATCH', `${maps}/one`, { metadata: { finalizers: null } }, merge)
  assert.equal(last.status, 200, last.body.message)
  assert.equal((await call('GET', `${maps}/one`)).status, 404)
})

test('foreground and orphan deletion leave a finalizer for the garbage collector', async () => {
  const { call } = makeServer()
  await call('POST', maps, configMap('a'))
  await call('POST', maps, configMap('b'))
  const a = await call('DELETE', `${maps}/a?propagationPolicy=Foreground`)
  assert.deepEqual(a.body.metadata.finalizers, ['foregroundDeletion'])
  const body = { apiVersion: 'v1', kind: 'DeleteOptions', propagationPolicy: 'Orphan' }
  const b = await call('DELETE', `${maps}/b`, body)
  assert.deepEqual(b.body.metadata.finalizers, ['orphan'])
})

test('a deletion with a wrong precondition conflicts', async () => {
  const { call } = makeServer()
  await call('POST', maps, configMap('one'))
  const options = { apiVersion: 'v1', kind: 'DeleteOptions', preconditions: { uid: 'other' } }
  const refused = await call('DELETE', `${maps}/one`, options)
  assert.equal(refused.status, 409)
  assert.match(refused.body.message, /Precondition failed: UID in precondition: other/)
  const gone = await call('DELETE', `${maps}/one`)
  assert.equal(gone.body.kind, 'Status')
  assert.equal(gone.body.status, 'Success')
  assert.equal(gone.body.details.name, 'one')
})

test('another uid is another object for an update, and a forbidden change for a patch', async () => {
  const { call } = makeServer()
  const made = await call('POST', maps, configMap('one'))
  const metadata = { ...made.body.metadata, uid: 'other' }
  const put = await call('PUT', `${maps}/one`, { ...made.body, metadata })
  assert.equal(put.status, 409)
  assert.match(put.body.message, /Precondition failed: UID in precondition: other/)
  const patch = { metadata: { uid: 'other' } }
  const merged = await call('PATCH', `${maps}/one`, patch, { 'content-type': 'application/merge-patch+json' })
  assert.equal(merged.status, 422)
  assert.match(merged.body.message, /metadata.uid: Invalid value: "other": field is immutable/)
  const apply = { ...configMap('two'), metadata: { name: 'two', uid: 'other' } }
  const type = { 'content-type': 'application/apply-patch+yaml' }
  const applied = await call('PATCH', `${maps}/two?fieldManager=me`, apply, type)
  assert.equal(applied.status, 409)
  assert.match(
    applied.body.message,
    /the provided object specified uid other, and no existing object was found/,
  )
})

test('a strategic merge patch without its merge key is answered 500 without a reason', async () => {
  const { call } = makeServer()
  await call('POST', pods, pod('a'))
  const patch = { spec: { containers: [{ image: 'other' }] } }
  const type = { 'content-type': 'application/strategic-merge-patch+json' }
  const { status, body } = await call('PATCH', `${pods}/a`, patch, type)
  assert.deepEqual([status, body.reason], [500, undefined])
  assert.equal(body.message, 'map: map[image:other] does not contain declared merge key: name')
})

test('a pod on a node dies gracefully, one on no node at once', async () => {
  const { call } = makeServer()
  const made = await call('POST', pods, pod('a'))
  assert.equal(made.status, 201, made.body.message)
  const binding = {
    apiVersion: 'v1',
    kind: 'Binding',
    metadata: { name: 'a' },
    target: { kind: 'Node', name: 'n1' },
  }
  assert.equal((await call('POST', `${pods}/a/binding`, binding)).status, 201)
  assert.equal((await call('POST', `${pods}/a/binding`, binding)).status, 409)
  const bound = await call('GET', `${pods}/a`)
  assert.equal(bound.body.spec.nodeName, 'n1')
  const dying = await call('DELETE', `${pods}/a`)
  assert.equal(dying.body.metadata.deletionGracePeriodSeconds, 30)
  assert.equal((await call('GET', `${pods}/a`)).status, 200)
  const options = { apiVersion: 'v1', kind: 'DeleteOptions', gracePeriodSeconds: 0 }
  assert.equal((await call('DELETE', `${pods}/a`, options)).status, 200)
  assert.equal((await call('GET', `${pods}/a`)).status, 404)
  await call('POST', pods, pod('b'))
  await call('DELETE', `${pods}/b`)
  assert.equal((await call('GET', `${pods}/b`)).status, 404)
})

test('a namespace stays until its own finalizer is taken away through finalize', async () => {
  const { call } = makeServer()
  const made = await call('POST', '/api/v1/namespaces', {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name: 'team' },
  })
  assert.equal(made.status, 201, made.body.message)
  assert.deepEqual(made.body.spec.finalizers, ['kubernetes'])
  const dying = await call('DELETE', '/api/v1/namespaces/team')
  assert.equal(dying.body.status.phase, 'Terminating')
  const finalized = await call('PUT', '/api/v1/namespaces/team/finalize', {
    ...dying.body,
    spec: { finalizers: [] },
  })
  assert.equal(finalized.status, 200, finalized.body.message)
  assert.equal((await call('GET', '/api/v1/namespaces/team')).status, 404)
})

test('a dry run answers like the real thing and stores nothing', async () => {
  const { call, store } = makeServer()
  const before = store.revision
  const made = await call('POST', `${maps}?dryRun=All`, configMap('one'))
  assert.equal(made.status, 201)
  assert.equal(store.revision, before)
  assert.equal((await call('POST', `${maps}?dryRun=some`, configMap('one'))).status, 422)
})

test('unknown fields are warned about, refused or ignored as the client asks', async () => {
  const { call } = makeServer()
  const body = { ...configMap('one'), colour: 'red' }
  const strict = await call('POST', `${maps}?fieldValidation=Strict`, body)
  assert.equal(strict.status, 400)
  assert.match(strict.body.message, /strict decoding error: unknown field "colour"/)
  const warned = await call('POST', maps, body)
  assert.equal(warned.status, 201)
  assert.equal(warned.headers['warning'], '299 - "unknown field \\"colour\\""')
  assert.equal(warned.body.colour, undefined)
  const silent = await call('POST', `${maps}?fieldValidation=Ignore`, { ...configMap('two'), colour: 'red' })
  assert.equal(silent.headers['warning'], undefined)
})

test('bad bodies are 400, other media types 415, and nothing is stored', async () => {
  const { call, store } = makeServer()
  const before = store.revision
  assert.equal((await call('POST', maps, '{"kind":')).status, 400)
  assert.equal((await call('POST', maps, '[]')).status, 400)
  assert.equal((await call('POST', maps, '')).status, 400)
  assert.equal((await call('POST', maps, 'a: [', { 'content-type': 'application/yaml' })).status, 400)
  assert.equal((await call('POST', maps, 'x', { 'content-type': 'text/csv' })).status, 415)
  assert.equal((await call('POST', maps, pod('x'))).status, 400)
  assert.equal((await call('POST', maps, { ...configMap('x'), data: 7 })).status, 400)
  const elsewhere = configMap('x', { metadata: { name: 'x', namespace: 'other' } })
  const wrong = await call('POST', maps, elsewhere)
  assert.equal(wrong.status, 400)
  assert.match(wrong.body.message, /namespace of the provided object does not match/)
  assert.equal((await call('POST', maps, configMap('Bad_Name'))).status, 422)
  assert.equal((await call('PUT', `${maps}/a`, configMap('b'))).status, 400)
  assert.equal(store.revision, before)
})

test('YAML goes in and out', async () => {
  const { call } = makeServer()
  const text = 'apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: one\ndata:\n  a: "1"\n'
  const made = await call('POST', maps, text, { 'content-type': 'application/yaml' })
  assert.equal(made.status, 201)
  const read = await call('GET', `${maps}/one`, undefined, { accept: 'application/yaml' })
  assert.match(read.body, /kind: ConfigMap/)
})

test('only media types that can be served are accepted', async () => {
  const { call } = makeServer()
  assert.equal((await call('GET', maps, undefined, { accept: 'text/html' })).status, 406)
  assert.equal((await call('GET', maps, undefined, { accept: 'text/html,application/json' })).status, 200)
})

test('two objects never hold the same claim, and a deleted one gives it back', async () => {
  const { call } = makeServer()
  const services = '/api/v1/namespaces/default/services'
  const service = (name: string, clusterIP?: string) => ({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name },
    spec: { ports: [{ port: 80 }], selector: { a: 'b' }, ...(clusterIP === undefined ? {} : { clusterIP }) },
  })
  const first = await call('POST', services, service('a'))
  assert.equal(first.status, 201, first.body.message)
  const ip = first.body.spec.clusterIP
  assert.match(ip, /^10\.152\.183\.\d+$/)
  const taken = await call('POST', services, service('b', ip))
  assert.equal(taken.status, 422)
  await call('DELETE', `${services}/a`)
  assert.equal((await call('POST', services, service('b', ip))).status, 201)
})

test('events are one storage in two groups', async () => {
  const { call } = makeServer()
  const made = await call('POST', '/api/v1/namespaces/default/events', {
    apiVersion: 'v1',
    kind: 'Event',
    metadata: { name: 'e1' },
    involvedObject: { kind: 'Pod', name: 'p', namespace: 'default' },
    reason: 'Started',
    message: 'it started',
    type: 'Normal',
    count: 2,
  })
  assert.equal(made.status, 201, made.body.message)
  const other = await call('GET', '/apis/events.k8s.io/v1/namespaces/default/events/e1')
  assert.equal(other.body.apiVersion, 'events.k8s.io/v1')
  assert.equal(other.body.note, 'it started')
  assert.equal(other.body.regarding.name, 'p')
  assert.equal(other.body.deprecatedCount, 2)
})

test('an event hangs on a lease that events of the same minute share, other objects stay', async () => {
  const { call, store } = makeServer()
  const event = (name: string) => ({
    apiVersion: 'v1',
    kind: 'Event',
    metadata: { name },
    involvedObject: { kind: 'Pod', name: 'p', namespace: 'default' },
  })
  for (const name of ['e1', 'e2']) {
    const made = await call('POST', '/api/v1/namespaces/default/events', event(name))
    assert.equal(made.status, 201, made.body.message)
  }
  await call('POST', maps, configMap('stays'))
  const leaseOf = (key: string) => store.get(key)?.lease
  const lease = leaseOf('/registry/core/events/default/e1')
  assert.ok(lease !== undefined && lease > 0)
  assert.equal(leaseOf('/registry/core/events/default/e2'), lease)
  assert.equal(leaseOf('/registry/core/configmaps/default/stays'), 0)
  await store.revokeLease(lease)
  assert.equal((await call('GET', '/api/v1/namespaces/default/events/e1')).status, 404)
  assert.equal((await call('GET', `${maps}/stays`)).status, 200)
})

test('a forbidden request is 403 in the words of RBAC', async () => {
  const { call } = makeServer({ authorizer: { authorize: () => ({ allowed: false, reason: '' }) } })
  const { status, body } = await call('GET', `${maps}/one`)
  assert.equal(status, 403)
  assert.equal(
    body.message,
    'configmaps "one" is forbidden: User "admin" cannot get resource "configmaps" in API group "" in the namespace "default"',
  )
})

test('paths, methods and subresources that do not exist are refused as upstream does', async () => {
  const { call } = makeServer()
  assert.equal((await call('GET', '/api/v1/namespaces/default/unicorns')).status, 404)
  assert.equal((await call('GET', '/apis/apps/v7/things')).body.kind, 'Status')
  for (const path of ['/nothing', '/apis/none/v1/things']) {
    const { status, headers, body } = await call('GET', path)
    assert.deepEqual([status, body], [404, '404 page not found\n'])
    assert.equal(headers['content-type'], 'text/plain; charset=utf-8')
  }
  assert.equal((await call('POST', '/api/v1/pods', pod('x'))).status, 405)
  assert.equal((await call('PUT', maps, configMap('x'))).status, 405)
  assert.equal((await call('GET', `${maps}/one/sub`)).status, 404)
})

test('many patches and deletions of one object at once all get through', async () => {
  const server = makeServer()
  await server.call('POST', maps, configMap('shared'))
  const merge = { 'content-type': 'application/merge-patch+json' }
  const count = 64
  const patches = Array.from({ length: count }, (_, index) =>
    server.call('PATCH', `${maps}/shared`, { data: { [`k${index}`]: '1' } }, merge),
  )
  assert.deepEqual([...new Set((await Promise.all(patches)).map(reply => reply.status))], [200])
  const { body } = await server.call('GET', `${maps}/shared`)
  assert.equal(Object.keys(body.data).length, count + 1)
  const more = patches.map((_, index) =>
    server.call('PATCH', `${maps}/shared`, { data: { [`k${index}`]: '2' } }, merge),
  )
  assert.equal((await server.call('DELETE', `${maps}/shared`)).status, 200)
  for (const reply of await Promise.all(more)) assert.ok([200, 404].includes(reply.status), `${reply.status}`)
})

test('the controllers’ pod templates cannot be made by an update', async () => {
  const server = makeServer()
  const path = '/api/v1/namespaces/default/podtemplates/one'
  const template = {
    metadata: { labels: { app: 'one' } },
    spec: { containers: [{ name: 'main', image: 'sample/web:1' }] },
  }
  const object = { apiVersion: 'v1', kind: 'PodTemplate', metadata: { name: 'one' }, template }
  assert.equal((await server.call('PUT', path, object)).status, 404)
})
