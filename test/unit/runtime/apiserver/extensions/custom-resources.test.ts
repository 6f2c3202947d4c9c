/** Custom resources through the API server's door: every verb of the generic path over a definition. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { makeServer, watchReader } from '../harness.ts'
import { CRONTABS, cronDefinition, cronTab, cronVersion, DEFINITIONS, define } from './definition-fixture.ts'

test('an instance is created, read, listed, watched, changed and deleted', async () => {
  const server = makeServer()
  assert.equal((await server.call('GET', CRONTABS)).status, 404)
  await define(server)
  const watch = watchReader(await server.raw('GET', `${CRONTABS}?watch=true`))
  const made = await server.call('POST', CRONTABS, cronTab('one'))
  assert.equal(made.status, 201, JSON.stringify(made.body))
  assert.equal(made.body.spec.image, 'sample/cron:1')
  assert.equal(made.body.metadata.generation, 1)
  assert.deepEqual((await server.call('GET', `${CRONTABS}/one`)).body, made.body)
  const list = await server.call('GET', CRONTABS)
  assert.equal(list.body.kind, 'CronTabList')
  assert.equal(list.body.items[0].kind, 'CronTab')
  assert.equal((await watch.next())?.type, 'ADDED')
  const patched = await server.call(
    'PATCH',
    `${CRONTABS}/one`,
    { spec: { replicas: 3 } },
    { 'content-type': 'application/merge-patch+json' },
  )
  assert.equal(patched.body.metadata.generation, 2)
  assert.equal((await watch.next())?.object.spec.replicas, 3)
  const gone = await server.call('DELETE', `${CRONTABS}/one`)
  assert.equal(gone.body.status, 'Success')
  assert.equal((await watch.next())?.type, 'DELETED')
  await watch.close()
})

test('a path below a definition that does not have it is told as upstream tells it', async () => {
  const server = makeServer()
  await define(server)
  const { status, body } = await server.call('GET', `${CRONTABS}/one/nothing`)
  assert.deepEqual([status, body.message], [404, 'crontabs.stable.example.com "one" not found'])
  const other = await server.call('GET', '/apis/stable.example.com/v1/others')
  assert.deepEqual([other.status, other.body], [404, '404 page not found\n'])
})

test('a value that its schema refuses is said as upstream says it', async () => {
  const server = makeServer()
  await define(server)
  const refused = await server.call('POST', CRONTABS, cronTab('bad', { cronSpec: '* * * *', replicas: 15 }))
  assert.equal(refused.status, 422)
  const causes = refused.body.details.causes.map((one: { field: string; message: string }) => [
    one.field,
    one.message,
  ])
  assert.deepEqual(causes, [
    [
      'spec.cronSpec',
      `Invalid value: "* * * *": spec.cronSpec in body should match '^(\\d+|\\*)(/\\d+)?(\\s+(\\d+|\\*)(/\\d+)?){4}$'`,
    ],
    ['spec.replicas', 'Invalid value: 15: spec.replicas in body should be less than or equal to 10'],
  ])
  const typed = await server.call('POST', CRONTABS, cronTab('bad', { replicas: 'three' }))
  assert.match(
    typed.body.message,
    /spec\.replicas: Invalid value: "string": spec\.replicas in body must be of type integer: "string"/,
  )
})

test('unknown fields are pruned, with a warning, an error or nothing', async () => {
  const server = makeServer()
  await define(server)
  const warned = await server.call('POST', CRONTABS, cronTab('a', { other: 1 }))
  assert.equal(warned.body.spec.other, undefined)
  assert.equal(warned.headers['warning'], '299 - "unknown field \\"spec.other\\""')
  const strict = await server.call('POST', `${CRONTABS}?fieldValidation=Strict`, cronTab('b', { other: 1 }))
  assert.equal(strict.status, 400)
  assert.equal(
    strict.body.message,
    'CronTab in version "v1" cannot be handled as a CronTab: strict decoding error: unknown field "spec.other"',
  )
})

test('status and scale are apart from the object', async () => {
  const server = makeServer()
  await define(server)
  await server.call('POST', CRONTABS, { ...cronTab('s', { replicas: 2 }), status: { replicas: 9 } })
  const { body } = await server.call('GET', `${CRONTABS}/s`)
  assert.equal(body.status, undefined)
  const status = await server.call('PUT', `${CRONTABS}/s/status`, {
    ...body,
    spec: { cronSpec: 'x' },
    status: { replicas: 1, labelSelector: 'app=s' },
  })
  assert.equal(status.status, 200, JSON.stringify(status.body))
  assert.equal(status.body.spec.replicas, 2)
  assert.equal(status.body.metadata.generation, 1)
  const scale = await server.call('GET', `${CRONTABS}/s/scale`)
  assert.deepEqual(scale.body.spec, { replicas: 2 })
  assert.deepEqual(scale.body.status, { replicas: 1, selector: 'app=s' })
  const scaled = await server.call('PUT', `${CRONTABS}/s/scale`, { ...scale.body, spec: { replicas: 5 } })
  assert.equal(scaled.body.spec.replicas, 5, JSON.stringify(scaled.body))
  assert.equal((await server.call('GET', `${CRONTABS}/s`)).body.metadata.generation, 2)
})

test('versions are told apart by name alone when nothing converts', async () => {
  const server = makeServer()
  const versions = [cronVersion('v1'), cronVersion('v2', { storage: false })]
  await define(server, cronDefinition({ versions }))
  await server.call('POST', CRONTABS, cronTab('one'))
  const other = await server.call('GET', '/apis/stable.example.com/v2/namespaces/default/crontabs/one')
  assert.equal(other.body.apiVersion, 'stable.example.com/v2')
  const list = await server.call('GET', '/apis/stable.example.com/v2/crontabs')
  assert.equal(list.body.items[0].apiVersion, 'stable.example.com/v2')
})

test('server-side apply merges lists that are maps, and strategic patches are refused', async () => {
  const server = makeServer()
  await define(server)
  const apply = (manager: string, spec: object) =>
    server.call('PATCH', `${CRONTABS}/one?fieldManager=${manager}`, cronTab('one', spec), {
      'content-type': 'application/apply-patch+yaml',
    })
  assert.equal((await apply('a', { ports: [{ name: 'x', port: 1 }] })).status, 201)
  const second = await apply('b', { ports: [{ name: 'y', port: 2 }] })
  assert.deepEqual(second.body.spec.ports, [
    { name: 'x', port: 1 },
    { name: 'y', port: 2 },
  ])
  const conflict = await apply('b', { ports: [{ name: 'x', port: 3 }] })
  assert.equal(conflict.status, 409)
  const strategic = await server.call(
    'PATCH',
    `${CRONTABS}/one`,
    {},
    {
      'content-type': 'application/strategic-merge-patch+json',
    },
  )
  assert.equal(strategic.status, 415)
})

test('discovery and OpenAPI tell of what was defined', async () => {
  const server = makeServer()
  await define(server)
  const list = await server.call('GET', '/apis/stable.example.com/v1')
  assert.deepEqual(
    list.body.resources.map((one: { name: string }) => one.name),
    ['crontabs', 'crontabs/status', 'crontabs/scale'],
  )
  const index = await server.call('GET', '/openapi/v3')
  assert.ok(index.body.paths['apis/stable.example.com/v1'])
  const v3 = await server.call('GET', '/openapi/v3/apis/stable.example.com/v1')
  assert.ok(v3.body.components.schemas['com.example.stable.v1.CronTab'].properties.spec)
  const v2 = await server.call('GET', '/openapi/v2', undefined, { accept: 'application/json' })
  assert.ok(v2.body.definitions['com.example.stable.v1.CronTab'])
  await server.call('DELETE', `${DEFINITIONS}/crontabs.stable.example.com`)
})
