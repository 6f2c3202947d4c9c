/** What is wrong with a definition, as upstream says it, and how a definition comes and goes. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { makeServer } from '../harness.ts'
import {
  CRONTABS,
  cronDefinition,
  cronSchema,
  cronTab,
  cronVersion,
  DEFINITIONS,
  define,
  establish,
} from './definition-fixture.ts'

const PATH = `${DEFINITIONS}/crontabs.stable.example.com`
const SCHEMA = 'spec.validation.openAPIV3Schema'
const merge = { 'content-type': 'application/merge-patch+json' }

// biome-ignore lint/suspicious/noExplicitAny: definitions are made freely
const refusalOf = async (definition: any): Promise<string[]> => {
  const { status, body } = await makeServer().call('POST', DEFINITIONS, definition)
  assert.equal(status, 422, JSON.stringify(body))
  return body.details.causes.map((one: { field: string; message: string }) => `${one.field}: ${one.message}`)
}

const withSchema = (properties: object, more: object = {}) =>
  cronDefinition({
    versions: [cronVersion('v1', { schema: { openAPIV3Schema: { type: 'object', properties, ...more } } })],
  })

const cases: readonly [what: string, definition: object, causes: readonly string[]][] = [
  [
    'a name that is not made of plural and group',
    { ...cronDefinition(), metadata: { name: 'other' } },
    ['metadata.name: Invalid value: "other": must be spec.names.plural+"."+spec.group'],
  ],
  [
    'two stored versions and one name twice',
    cronDefinition({ versions: [cronVersion('v1'), cronVersion('v1')] }),
    ['spec.versions', 'spec.versions'],
  ],
  [
    'a schema that is not structural',
    withSchema({ a: {}, b: { type: 'object', anyOf: [{ properties: { c: { minimum: 1 } } }] } }),
    [`${SCHEMA}.properties[a].type: Required value: must not be empty for specified object fields`],
  ],
  [
    'a list of nobody knows what',
    withSchema({ a: { type: 'array' }, b: { type: 'array', items: { type: 'string' } } }),
    [`${SCHEMA}.properties[a].items: Required value: must be specified`],
  ],
  [
    'a property that only a composite knows',
    withSchema({ b: { type: 'object', anyOf: [{ properties: { c: { minimum: 1 } } }] } }),
    [
      `${SCHEMA}.properties[b].properties[c]: Required value: because it is defined in ` +
        `${SCHEMA}.properties[b].anyOf[0].properties[c]`,
    ],
  ],
  [
    'a default that its schema refuses',
    withSchema({ n: { type: 'integer', maximum: 3, default: 5 } }),
    [`${SCHEMA}.properties[n].default: Invalid value: 5`],
  ],
  [
    'a list that is a map without keys that are sure',
    withSchema({
      l: {
        type: 'array',
        'x-kubernetes-list-type': 'map',
        'x-kubernetes-list-map-keys': ['k'],
        items: { type: 'object', properties: { k: { type: 'string' } } },
      },
    }),
    [
      `${SCHEMA}.properties[l].items.properties[k].default: Required value: this property is in ` +
        'x-kubernetes-list-map-keys, so it must have a default or be a required property',
    ],
  ],
  [
    'additional properties at the root',
    withSchema({}, { additionalProperties: { type: 'string' } }),
    [`${SCHEMA}.additionalProperties: Forbidden: must not be used at the root`],
  ],
  [
    'a group of the community without its approval',
    {
      ...cronDefinition({ group: 'stable.k8s.io' }),
      metadata: { name: 'crontabs.stable.k8s.io' },
    },
    ['metadata.annotations[api-approved.kubernetes.io]: Required value: protected groups must have'],
  ],
  [
    'a conversion without its webhook',
    cronDefinition({ conversion: { strategy: 'Webhook', webhook: { conversionReviewVersions: ['v1'] } } }),
    ['spec.conversion.webhookClientConfig: Required value: required when strategy is set to Webhook'],
  ],
  [
    'a conversion whose authority is no certificate',
    cronDefinition({
      conversion: {
        strategy: 'Webhook',
        webhook: {
          conversionReviewVersions: ['v1'],
          clientConfig: { url: 'https://127.0.0.1:1/', caBundle: Buffer.from('nothing').toString('base64') },
        },
      },
    }),
    ['spec.conversion.webhookClientConfig.caBundle: Invalid value: "bm90aGluZw==": unable to load root'],
  ],
  [
    'a scale that points elsewhere',
    cronDefinition({
      versions: [
        cronVersion('v1', {
          subresources: { scale: { specReplicasPath: '.status.x', statusReplicasPath: '.status.x' } },
        }),
      ],
    }),
    [
      'spec.subresources.scale.specReplicasPath: Invalid value: ".status.x": should be a json path under .spec',
    ],
  ],
]

for (const [what, definition, causes] of cases) {
  test(`${what} is refused`, async () => {
    const found = await refusalOf(definition)
    for (const [index, cause] of causes.entries()) {
      assert.ok(found[index]?.startsWith(cause), `${found.join('\n')}\nis not\n${cause}`)
    }
  })
}

test('a number or a text may say its type, too', async () => {
  const amount = { type: 'string', pattern: '^[0-9]+$', 'x-kubernetes-int-or-string': true }
  const server = makeServer()
  await define(server, withSchema({ amount }))
  const made = await server.call('POST', CRONTABS, { ...cronTab('one'), amount: 5 })
  assert.equal(made.status, 201, JSON.stringify(made.body))
})

test('fields that no schema has are told, and dropped, below lists and maps, too', async () => {
  const items = { type: 'object', wrong: 1, properties: { a: { type: 'string', wrong: 2 } } }
  const definition = withSchema({
    list: { type: 'array', items },
    map: { type: 'object', additionalProperties: { type: 'string', wrong: 3 } },
  })
  const server = makeServer()
  const refused = await server.call('POST', `${DEFINITIONS}?fieldValidation=Strict`, definition)
  const at = 'spec.versions[0].schema.openAPIV3Schema.properties'
  for (const path of [
    'list.items.wrong',
    'list.items.properties.a.wrong',
    'map.additionalProperties.wrong',
  ]) {
    assert.ok(refused.body.message.includes(`unknown field "${at}.${path}"`), refused.body.message)
  }
  const made = await server.call('POST', DEFINITIONS, definition)
  assert.equal(made.status, 201)
  assert.doesNotMatch(JSON.stringify(made.body.spec), /wrong/)
})

test('integers are as wide as their format', async () => {
  const server = makeServer()
  await define(server, withSchema({ n: { type: 'integer', format: 'int32' } }))
  const of = async (n: number) =>
    (await server.call('POST', CRONTABS, { ...cronTab('one'), n })).body.message ?? 'created'
  const range = 'Checked value must be of type integer with format int32 in n'
  assert.match(await of(2 ** 31), new RegExp(`<nil>: Invalid value: "": ${range}`))
  assert.match(await of(2 ** 64), /n in body must be of type integer: "number"/)
  assert.equal(await of(-(2 ** 31)), 'created')
})

test('group, plural and, once established, scope and kind stay', async () => {
  const server = makeServer()
  await define(server)
  const changed = await server.call('PATCH', PATH, { spec: { scope: 'Cluster', group: 'other.com' } }, merge)
  assert.equal(changed.status, 422)
  assert.match(changed.body.message, /spec\.scope: Invalid value: "Cluster": field is immutable/)
  assert.match(changed.body.message, /spec\.group: Invalid value: "other\.com": field is immutable/)
})

test('a stored version can leave the list of versions only after it left the status', async () => {
  const server = makeServer()
  await define(server)
  const versions = [cronVersion('v2')]
  const refused = await server.call('PATCH', PATH, { spec: { versions } }, merge)
  assert.match(
    refused.body.message,
    /status\.storedVersions\[0\]: Invalid value: "v1": must appear in spec\.versions/,
  )
})

test('a deletion marks the definition, ends creates and leaves instances to be deleted', async () => {
  const server = makeServer()
  await define(server)
  await server.call('POST', CRONTABS, cronTab('one'))
  const { body } = await server.call('DELETE', PATH)
  assert.deepEqual(body.metadata.finalizers, ['customresourcecleanup.apiextensions.k8s.io'])
  assert.equal(body.status.conditions.at(-1).reason, 'InstanceDeletionPending')
  const create = await server.call('POST', CRONTABS, cronTab('two'))
  assert.equal(create.status, 405)
  assert.equal(create.body.message, 'create not allowed while custom resource definition is terminating')
  assert.equal((await server.call('DELETE', `${CRONTABS}/one`)).status, 200)
  await server.call('PATCH', PATH, { metadata: { finalizers: null } }, merge)
  assert.equal((await server.call('GET', PATH)).status, 404)
  assert.equal((await server.call('GET', CRONTABS)).status, 404)
})

test('what a stricter schema would refuse may stay as it is', async () => {
  const server = makeServer()
  await define(server)
  await server.call('POST', CRONTABS, cronTab('old', { replicas: 9 }))
  const stricter = structuredClone(cronSchema)
  stricter.properties.spec.properties.replicas.maximum = 5
  const versions = [cronVersion('v1', { schema: { openAPIV3Schema: stricter } })]
  await server.call('PATCH', PATH, { spec: { versions } }, merge)
  await establish(server, 'crontabs.stable.example.com')
  const other = await server.call('PATCH', `${CRONTABS}/old`, { spec: { image: 'sample/x:1' } }, merge)
  assert.equal(other.status, 200, JSON.stringify(other.body))
  const raised = await server.call('PATCH', `${CRONTABS}/old`, { spec: { replicas: 8 } }, merge)
  assert.match(raised.body.message, /spec\.replicas in body should be less than or equal to 5/)
})

test('a rule that an unchanged part breaks is a warning, and optionalOldSelf tells creations from updates', async () => {
  const server = makeServer()
  await define(server)
  await server.call('POST', CRONTABS, cronTab('old', { replicas: 9 }))
  const stricter = structuredClone(cronSchema)
  Object.assign(stricter.properties.spec.properties.replicas, {
    'x-kubernetes-validations': [
      { rule: 'self < 5', message: 'too many' },
      { rule: '!oldSelf.hasValue() || self >= oldSelf.value()', optionalOldSelf: true, message: 'shrinks' },
      { rule: 'oldSelf.hasValue() || self == 1', optionalOldSelf: true, message: 'begins with one' },
    ],
  })
  const versions = [cronVersion('v1', { schema: { openAPIV3Schema: stricter } })]
  await server.call('PATCH', PATH, { spec: { versions } }, merge)
  await establish(server, 'crontabs.stable.example.com')
  const other = await server.call('PATCH', `${CRONTABS}/old`, { spec: { image: 'sample/x:1' } }, merge)
  assert.equal(other.status, 200, JSON.stringify(other.body))
  assert.equal(other.headers['warning'], '299 - "spec.replicas: Invalid value: \\"integer\\": too many"')
  const raised = await server.call('PATCH', `${CRONTABS}/old`, { spec: { replicas: 8 } }, merge)
  assert.match(raised.body.message, /too many, .*shrinks/)
  const born = await server.call('POST', CRONTABS, cronTab('new', { replicas: 2 }))
  assert.match(born.body.message, /begins with one/)
  assert.equal((await server.call('POST', CRONTABS, cronTab('new', { replicas: 1 }))).status, 201)
})

test('a finalizer without a domain is warned of when it is added', async () => {
  const server = makeServer()
  await define(server)
  const tab = cronTab('final')
  const metadata = { name: 'final', finalizers: ['example.com/fine', 'plain.example.com', 'orphan'] }
  const made = await server.call('POST', CRONTABS, { ...tab, metadata })
  assert.match(
    String(made.headers['warning']),
    /^299 - "metadata\.finalizers: \\"plain\.example\.com\\": prefer [^"]*"$/,
  )
  const changed = await server.call('PATCH', `${CRONTABS}/final`, { spec: { image: 'sample/x:1' } }, merge)
  assert.equal(changed.headers['warning'], undefined)
})

test('a version on its way out says so with every answer', async () => {
  const server = makeServer()
  await define(server, cronDefinition({ versions: [cronVersion('v1', { deprecated: true })] }))
  const { headers } = await server.call('GET', CRONTABS)
  assert.equal(headers['warning'], '299 - "stable.example.com/v1 CronTab is deprecated"')
})
