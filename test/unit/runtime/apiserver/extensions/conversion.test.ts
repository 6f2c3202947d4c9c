/** Conversion by webhook: reads, lists, watches and writes in versions other than the stored one, and its failures. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { systemClock } from '../../../../../src/base/clock.ts'
import { systemRandom } from '../../../../../src/base/random.ts'
import { createWebhookCaller } from '../../../../../src/runtime/apiserver/webhooks/caller.ts'
import { type Review, startWebhookServer, type WebhookServer } from '../../../../support/webhook-server.ts'
import { makeServer, type Server, watchReader } from '../harness.ts'
import { cronDefinition, DEFINITIONS, define } from './definition-fixture.ts'

const open = { type: 'object', 'x-kubernetes-preserve-unknown-fields': true }
const versions = [
  { name: 'v1', served: true, storage: true, schema: { openAPIV3Schema: open } },
  { name: 'v2', served: true, storage: false, schema: { openAPIV3Schema: open } },
]
const V1 = '/apis/stable.example.com/v1/namespaces/default/crontabs'
const V2 = '/apis/stable.example.com/v2/namespaces/default/crontabs'

let hook: WebhookServer
/** What the webhook does to the objects that it has converted rightly. */
let spoil: (review: Review) => Review

before(async () => {
  hook = await startWebhookServer((_path, review) => {
    const { uid, desiredAPIVersion, objects } = review.request
    const convertedObjects = objects.map((object: Review) => {
      const { hostPort, host, port, ...rest } = object
      const converted = { ...rest, apiVersion: desiredAPIVersion }
      if (desiredAPIVersion.endsWith('/v2')) {
        const [own, number] = (hostPort ?? ':').split(':')
        return { ...converted, host: own, port: number }
      }
      return { ...converted, hostPort: `${host}:${port}` }
    })
    const response = { uid, convertedObjects, result: { status: 'Success' } }
    return { body: spoil({ kind: review.kind, apiVersion: review.apiVersion, response }) }
  })
})
after(() => hook.close())

async function server(): Promise<Server> {
  spoil = review => review
  const objects = { get: () => null, list: () => [] }
  const webhookCaller = createWebhookCaller({ objects, clock: systemClock, random: systemRandom })
  const made = makeServer({ webhookCaller })
  const clientConfig = { url: `${hook.url}/convert`, caBundle: hook.caBundle }
  const webhook = { clientConfig, conversionReviewVersions: ['v1'] }
  await define(made, cronDefinition({ versions, conversion: { strategy: 'Webhook', webhook } }))
  return made
}

const first = (name: string) => ({
  apiVersion: 'stable.example.com/v1',
  kind: 'CronTab',
  metadata: { name },
  hostPort: 'localhost:1234',
})
const second = (name: string) => ({
  apiVersion: 'stable.example.com/v2',
  kind: 'CronTab',
  metadata: { name },
  host: 'localhost',
  port: '8080',
})

test('should be able to convert from CR v1 to CR v2', async () => {
  const { call } = await server()
  await call('POST', V1, first('one'))
  const { body } = await call('GET', `${V2}/one`)
  assert.equal(body.host, 'localhost')
  assert.equal(body.port, '1234')
  assert.equal(body.hostPort, undefined)
  const made = await call('POST', V2, second('two'))
  assert.equal(made.status, 201, JSON.stringify(made.body))
  assert.equal((await call('GET', `${V1}/two`)).body.hostPort, 'localhost:8080')
})

test('should be able to convert a non homogeneous list of CRs', async () => {
  const { call } = await server()
  await call('POST', V1, first('one'))
  const path = `${DEFINITIONS}/crontabs.stable.example.com`
  const swapped = versions.map(one => ({ ...one, storage: !one.storage }))
  const merge = { 'content-type': 'application/merge-patch+json' }
  const patched = await call('PATCH', path, { spec: { versions: swapped } }, merge)
  assert.deepEqual(patched.body.status.storedVersions, ['v1', 'v2'])
  await call('POST', V1, first('two'))
  const list = await call('GET', V2)
  assert.deepEqual(
    list.body.items.map((one: Review) => [one.apiVersion, one.host, one.port]),
    [
      ['stable.example.com/v2', 'localhost', '1234'],
      ['stable.example.com/v2', 'localhost', '1234'],
    ],
  )
})

test('a watch shows what changes in its own version, in order', async () => {
  const { call, raw } = await server()
  const watch = watchReader(await raw('GET', `${V2}?watch=true`))
  await call('POST', V1, first('one'))
  await call('POST', V1, first('two'))
  await call('DELETE', `${V1}/one`)
  const seen = [await watch.next(), await watch.next(), await watch.next()]
  assert.deepEqual(
    seen.map(one => [one?.type, one?.object.metadata.name, one?.object.port]),
    [
      ['ADDED', 'one', '1234'],
      ['ADDED', 'two', '1234'],
      ['DELETED', 'one', '1234'],
    ],
  )
  await watch.close()
})

test('who applies in two versions owns what he applied', async () => {
  const { call } = await server()
  const apply = { 'content-type': 'application/apply-patch+yaml' }
  const one = await call('PATCH', `${V1}/one?fieldManager=a`, first('one'), apply)
  assert.equal(one.status, 201, JSON.stringify(one.body))
  const two = await call('PATCH', `${V2}/one?fieldManager=b&force=true`, second('one'), apply)
  assert.equal(two.status, 200, JSON.stringify(two.body))
  assert.equal((await call('GET', `${V1}/one`)).body.hostPort, 'localhost:8080')
  const { metadata } = (await call('GET', `${V1}/one`)).body
  assert.deepEqual(
    metadata.managedFields.map((one: Review) => [one.manager, one.apiVersion]),
    [['b', 'stable.example.com/v2']],
  )
  const back = await call('PATCH', `${V1}/one?fieldManager=b`, { ...first('one'), hostPort: 'x:1' }, apply)
  assert.equal(back.body.hostPort, 'x:1', JSON.stringify(back.body))
})

const REFUSALS: readonly [what: string, spoiled: (review: Review) => Review, message: RegExp][] = [
  [
    'another uid',
    review => ({ ...review, response: { ...review.response, uid: 'other' } }),
    /conversion webhook for stable\.example\.com\/v1, Kind=CronTab failed: expected response\.uid=/,
  ],
  [
    'a failure of its own',
    review => ({
      ...review,
      response: { ...review.response, result: { status: 'Failed', message: 'not today' } },
    }),
    /failed: not today/,
  ],
  [
    'too few objects',
    review => ({ ...review, response: { ...review.response, convertedObjects: [] } }),
    /returned 0 objects, expected 1/,
  ],
  [
    'another name',
    review => {
      const [object] = review.response.convertedObjects
      const convertedObjects = [{ ...object, metadata: { ...object.metadata, name: 'other' } }]
      return { ...review, response: { ...review.response, convertedObjects } }
    },
    /returned invalid metadata: must have the same name: one != other/,
  ],
]

for (const [what, spoiled, message] of REFUSALS) {
  test(`an answer with ${what} is refused`, async () => {
    const { call } = await server()
    await call('POST', V1, first('one'))
    spoil = spoiled
    const { status, body } = await call('GET', `${V2}/one`)
    assert.equal(status, 500)
    assert.match(body.message, message)
  })
}
