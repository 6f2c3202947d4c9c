/**
 * What Kubernetes' conformance asks of custom resources beyond their life (`test/integration/custom-resources`):
 * what OpenAPI publishes of them, as kubectl uses it, and conversion by a webhook.
 */
import assert from 'node:assert/strict'
import test, { after, before, describe } from 'node:test'
import { at, itemsOf, type Suite, startSuite } from '../support/conformance.ts'
import {
  type Review,
  startWebhookServer,
  type WebhookAnswer,
  type WebhookServer,
} from '../support/webhook-server.ts'

const anything = { type: 'object', 'x-kubernetes-preserve-unknown-fields': true }
const waldo = {
  description: 'Foo CRD for Testing',
  type: 'object',
  properties: {
    spec: {
      description: 'Specification of Foo',
      type: 'object',
      properties: {
        bars: {
          description: 'List of Bars and their specs.',
          type: 'array',
          items: {
            type: 'object',
            required: ['name'],
            properties: {
              name: { description: 'Name of Bar.', type: 'string' },
              age: { description: 'Age of Bar.', type: 'string' },
              feeling: {
                description: 'Whether Bar is feeling great.',
                type: 'string',
                enum: ['Great', 'Down'],
              },
              bazs: { description: 'List of Bazs.', type: 'array', items: { type: 'string' } },
            },
          },
        },
      },
    },
    status: { description: 'Status of Foo', type: 'object' },
  },
}

interface Version {
  readonly name: string
  readonly served?: boolean
  readonly storage?: boolean
  readonly schema?: object
}

const version = ({ name, served = true, storage = true, schema = anything }: Version) => ({
  name,
  served,
  storage,
  schema: { openAPIV3Schema: schema },
})

const definition = (group: string, plural: string, versions: readonly Version[], more: object = {}) => ({
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: `${plural}.${group}` },
  spec: {
    group,
    scope: 'Namespaced',
    names: { plural, kind: kindOf(plural) },
    versions: versions.map(version),
    ...more,
  },
})

const kindOf = (plural: string): string => `${plural.charAt(0).toUpperCase()}${plural.slice(1, -1)}`

const object = (group: string, version: string, plural: string, rest: object) => ({
  apiVersion: `${group}/${version}`,
  kind: kindOf(plural),
  metadata: { name: 'test' },
  ...rest,
})

describe('custom resources', () => {
  let suite: Suite
  before(async () => {
    suite = await startSuite()
  })
  after(() => suite.cluster.remove())

  async function define(...definitions: readonly ReturnType<typeof definition>[]): Promise<string[]> {
    const names = definitions.map(({ metadata }) => `crd/${metadata.name}`)
    await suite.kubectl.ok(['apply', '-f', '-'], {
      input: definitions.map(one => JSON.stringify(one)).join('\n'),
    })
    await suite.kubectl.ok(['wait', '--for=condition=Established', ...names, '--timeout=120s'])
    return names
  }
  const remove = (names: readonly string[]) => suite.kubectl.ok(['delete', ...names, '--timeout=120s'])

  describe('CustomResourcePublishOpenAPI', () => {
    const published = async (): Promise<readonly string[]> =>
      Object.keys(at(await suite.ok('GET', '/openapi/v2'), 'definitions') as object)
    const schemaOf = async (name: string): Promise<unknown> => {
      const definitions = at(await suite.ok('GET', '/openapi/v2'), 'definitions') as Record<string, unknown>
      assert.ok(definitions[name], name)
      return definitions[name]
    }
    const isPublished = async (group: string, version: string, plural: string): Promise<void> => {
      const name = `${group.split('.').toReversed().join('.')}.${version}.${kindOf(plural)}`
      assert.ok((await published()).includes(name), name)
      const paths = Object.keys(
        (await suite.ok('GET', `/openapi/v3/apis/${group}/${version}`))['paths'] as object,
      )
      assert.ok(
        paths.includes(`/apis/${group}/${version}/namespaces/{namespace}/${plural}/{name}`),
        String(paths),
      )
    }
    const isGone = async (group: string, version: string, plural: string): Promise<void> => {
      const name = `${group.split('.').toReversed().join('.')}.${version}.${kindOf(plural)}`
      assert.ok(!(await published()).includes(name), name)
      const answer = await suite.api(`/openapi/v3/apis/${group}/${version}`)
      assert.ok(answer.status === 404 || !answer.text.includes(`/${plural}"`), answer.text)
    }
    const accepts = async (text: object): Promise<void> => {
      const input = JSON.stringify(text)
      for (const verb of ['create', 'apply']) {
        await suite.kubectl.ok([verb, '--validate=strict', '-f', '-'], { input })
        await suite.kubectl.ok(['delete', '-f', '-'], { input })
      }
    }
    const refuses = async (text: object, why: RegExp): Promise<void> => {
      for (const verb of ['create', 'apply']) {
        const ran = await suite.kubectl.try([verb, '--validate=strict', '-f', '-'], {
          input: JSON.stringify(text),
        })
        assert.equal(ran.code, 1)
        assert.match(ran.stderr, why)
      }
    }
    const explains = async (what: string, text: RegExp): Promise<void> =>
      assert.match(await suite.kubectl.ok(['explain', what]), text)

    test('works for CRD with validation schema', async () => {
      const names = await define(definition('schema.example.com', 'foos', [{ name: 'v1', schema: waldo }]))
      const foo = (...bars: object[]) => object('schema.example.com', 'v1', 'foos', { spec: { bars } })
      await accepts(foo({ name: 'test-bar' }))
      await accepts(foo({ name: 'test-bar', age: '10', feeling: 'Great', bazs: ['baz'] }))
      await refuses(
        foo({ name: 'x', feeling: 'NonExistentValue' }),
        /spec\.bars\[0\]\.feeling: Unsupported value/,
      )
      await refuses(foo({ name: 'x', xyz: 1 }), /unknown field "spec\.bars\[0\]\.xyz"/)
      await refuses(foo({ age: '10' }), /spec\.bars\[0\]\.name: Required value/)
      await explains(
        'foos',
        /KIND:\s+Foo[\s\S]*Foo CRD for Testing[\s\S]*apiVersion\s+<string>[\s\S]*spec\s+<Object>/,
      )
      await explains('foos.metadata', /FIELD: metadata <ObjectMeta>[\s\S]*creationTimestamp\s+<string>/)
      await explains('foos.spec', /FIELD: spec <Object>[\s\S]*Specification of Foo[\s\S]*bars\s+<\[\]Object>/)
      await explains(
        'foos.spec.bars',
        /List of Bars[\s\S]*age\s+<string>[\s\S]*bazs\s+<\[\]string>[\s\S]*-required-/,
      )
      assert.equal((await suite.kubectl.try(['explain', 'foos.spec.bars2'])).code, 1)
      await remove(names)
    })

    test('works for CRD without validation schema', async () => {
      const names = await define(definition('empty.example.com', 'empties', [{ name: 'v1' }]))
      await accepts(object('empty.example.com', 'v1', 'empties', { a: { b: [{ c: 'd' }] } }))
      await explains('empties', /KIND:\s+Emptie[\s\S]*DESCRIPTION:\s+<empty>/)
      await remove(names)
    })

    test('works for CRD preserving unknown fields at the schema root', async () => {
      const schema = { ...anything, properties: { spec: { type: 'object', properties: {} } } }
      const names = await define(definition('root.example.com', 'roots', [{ name: 'v1', schema }]))
      await accepts(object('root.example.com', 'v1', 'roots', { a: null, b: [{ c: 'd' }] }))
      await explains('roots', /KIND:\s+Root/)
      await remove(names)
    })

    test('works for CRD preserving unknown fields in an embedded object', async () => {
      const description = 'preserve-unknown-properties in nested field for Testing'
      const nested = { ...anything, description: 'nested as it comes' }
      const schema = { description, type: 'object', properties: { spec: nested, status: { type: 'object' } } }
      const names = await define(definition('nested.example.com', 'nesteds', [{ name: 'v1', schema }]))
      await accepts(object('nested.example.com', 'v1', 'nesteds', { spec: { a: null, b: [{ c: 'd' }] } }))
      await refuses(object('nested.example.com', 'v1', 'nesteds', { a: 1 }), /unknown field "a"/)
      await explains(
        'nesteds',
        /KIND:\s+Nested[\s\S]*preserve-unknown-properties in nested field for Testing/,
      )
      await explains('nesteds.spec', /nested as it comes/)
      await remove(names)
    })

    test('works for multiple CRDs of different groups', async () => {
      const names = await define(
        definition('first.example.com', 'foos', [{ name: 'v1' }]),
        definition('second.example.com', 'waldos', [{ name: 'v1beta1' }]),
      )
      await isPublished('first.example.com', 'v1', 'foos')
      await isPublished('second.example.com', 'v1beta1', 'waldos')
      await remove(names)
      await isGone('first.example.com', 'v1', 'foos')
      await isGone('second.example.com', 'v1beta1', 'waldos')
    })

    test('works for multiple CRDs of same group but different versions', async () => {
      const group = 'versions.example.com'
      const names = await define(
        definition(group, 'foos', [{ name: 'v2' }, { name: 'v3', storage: false }]),
        definition(group, 'waldos', [{ name: 'v4' }, { name: 'v5', storage: false }]),
      )
      for (const name of ['v2', 'v3']) await isPublished(group, name, 'foos')
      for (const name of ['v4', 'v5']) await isPublished(group, name, 'waldos')
      await remove(names)
      for (const name of ['v2', 'v3']) await isGone(group, name, 'foos')
    })

    test('works for multiple CRDs of same group and version but different kinds', async () => {
      const group = 'kinds.example.com'
      const plurals = ['foos', 'waldos']
      const names = await define(...plurals.map(plural => definition(group, plural, [{ name: 'v6' }])))
      for (const plural of plurals) await isPublished(group, 'v6', plural)
      await remove(names.slice(1))
      await isPublished(group, 'v6', 'foos')
      await isGone(group, 'v6', 'waldos')
      await remove(names.slice(0, 1))
      await isGone(group, 'v6', 'foos')
    })

    test('updates the published spec when one version gets renamed', async () => {
      const group = 'renamed.example.com'
      const names = await define(definition(group, 'foos', [{ name: 'v2' }, { name: 'v3', storage: false }]))
      for (const name of ['v2', 'v3']) await isPublished(group, name, 'foos')
      const patch = JSON.stringify([{ op: 'replace', path: '/spec/versions/1/name', value: 'v4' }])
      await suite.kubectl.ok(['patch', ...names, '--type=json', '-p', patch])
      await isPublished(group, 'v4', 'foos')
      await isGone(group, 'v3', 'foos')
      await isPublished(group, 'v2', 'foos')
      await remove(names)
    })

    test('removes definition from spec when one version gets changed to not be served', async () => {
      const group = 'unserved.example.com'
      const names = await define(
        definition(group, 'foos', [{ name: 'v5' }, { name: 'v6alpha1', storage: false }]),
      )
      for (const name of ['v5', 'v6alpha1']) await isPublished(group, name, 'foos')
      const before = await schemaOf('com.example.unserved.v5.Foo')
      const patch = JSON.stringify([{ op: 'replace', path: '/spec/versions/1/served', value: false }])
      await suite.kubectl.ok(['patch', ...names, '--type=json', '-p', patch])
      await isGone(group, 'v6alpha1', 'foos')
      await isPublished(group, 'v5', 'foos')
      assert.deepEqual(await schemaOf('com.example.unserved.v5.Foo'), before)
      await remove(names)
    })
  })

  describe('CustomResourceConversionWebhook', () => {
    const GROUP = 'converted.example.com'
    const PLURAL = 'e2es'
    let hook: WebhookServer
    before(async () => {
      hook = await startWebhookServer((_, review) => converted(review))
    })
    after(() => hook.close())

    const versions = (storage: 'v1' | 'v2') => ['v1', 'v2'].map(name => ({ name, storage: name === storage }))
    const conversion = () => ({
      strategy: 'Webhook',
      webhook: {
        conversionReviewVersions: ['v1', 'v1beta1'],
        clientConfig: { url: `${hook.url}/crdconvert`, caBundle: hook.caBundle },
      },
    })
    const read = (version: string, name: string) =>
      suite.ok('GET', `/apis/${GROUP}/${version}/namespaces/default/${PLURAL}/${name}`)
    const make = (version: string, name: string, rest: object) =>
      suite.ok('POST', `/apis/${GROUP}/${version}/namespaces/default/${PLURAL}`, {
        ...object(GROUP, version, PLURAL, rest),
        metadata: { name, labels: { kept: 'yes' } },
      })

    test('should be able to convert from CR v1 to CR v2', async () => {
      const names = await define(definition(GROUP, PLURAL, versions('v1'), { conversion: conversion() }))
      const made = await make('v1', 'one', { hostPort: 'localhost:8080' })
      const seen = await read('v2', 'one')
      assert.deepEqual([seen['host'], seen['port'], seen['hostPort']], ['localhost', '8080', undefined])
      assert.equal(seen['apiVersion'], `${GROUP}/v2`)
      assert.equal(at(seen, 'metadata.uid'), at(made, 'metadata.uid'))
      assert.deepEqual(at(seen, 'metadata.labels'), { kept: 'yes' })
      await remove(names)
    })

    test('should be able to convert a non homogeneous list of CRs', async () => {
      const names = await define(definition(GROUP, PLURAL, versions('v1'), { conversion: conversion() }))
      await make('v1', 'first', { hostPort: 'localhost:8080' })
      await define(definition(GROUP, PLURAL, versions('v2'), { conversion: conversion() }))
      await make('v2', 'second', { host: 'localhost', port: '9090' })
      const listed = async (version: string, fields: readonly string[]) =>
        itemsOf(await suite.ok('GET', `/apis/${GROUP}/${version}/${PLURAL}`)).map(item =>
          fields.map(f => item[f]),
        )
      assert.deepEqual(await listed('v2', ['host', 'port', 'hostPort']), [
        ['localhost', '8080', undefined],
        ['localhost', '9090', undefined],
      ])
      assert.deepEqual(await listed('v1', ['hostPort', 'host']), [
        ['localhost:8080', undefined],
        ['localhost:9090', undefined],
      ])
      await remove(names)
    })
  })
})

/** What a converter of upstream's example does: `hostPort` in v1 is `host` and `port` in v2. */
function converted(review: Review): WebhookAnswer {
  const { uid, desiredAPIVersion, objects } = review.request
  const convertedObjects = objects.map((one: Record<string, string>) => {
    const { hostPort = '', host = '', port = '', ...rest } = one
    const [ofHost, ofPort] = hostPort.split(':')
    const fields = desiredAPIVersion.endsWith('v2')
      ? { host: ofHost ?? '', port: ofPort ?? '' }
      : { hostPort: `${host}:${port}` }
    return { ...rest, apiVersion: desiredAPIVersion, ...fields }
  })
  const response = { uid, convertedObjects, result: { status: 'Success' } }
  return { body: { apiVersion: review.apiVersion, kind: review.kind, response } }
}
