/** What strict validation says of patches and of bodies with unknown and duplicate fields, in upstream's order. */
import assert from 'node:assert/strict'
import test from 'node:test'
import { makeServer } from '../harness.ts'

const maps = '/api/v1/namespaces/default/configmaps'

async function withMap() {
  const server = makeServer()
  await server.call('POST', maps, { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'a' } })
  return async (type: string, patch: string, validation = 'Strict') => {
    const query = `?dryRun=All&fieldValidation=${validation}`
    return await server.call('PATCH', `${maps}/a${query}`, patch, { 'content-type': `application/${type}` })
  }
}

test('a merge patch with unknown and duplicate fields is invalid, and shown as what came of it', async () => {
  const patch = await withMap()
  const { status, body } = await patch('merge-patch+json', '{"foo":1,"data":{"b":"1","b":"2"}}')
  assert.equal(status, 422)
  assert.equal(body.reason, 'Invalid')
  assert.match(
    body.message,
    /^ "" is invalid: patch: Invalid value: "\{.*\\"foo\\":1.*\}": strict decoding error: /,
  )
  assert.match(body.message, /strict decoding error: duplicate field "data.b", unknown field "foo"$/)
  assert.equal(body.details.causes[0].field, 'patch')
  const warned = await patch('merge-patch+json', '{"foo":1,"data":{"b":"1","b":"2"}}', 'Warn')
  assert.equal(warned.status, 200)
  assert.match(warned.headers['warning'] ?? '', /duplicate field \\"data.b\\".*unknown field \\"foo\\"/)
})

test('a strategic merge patch is shown as Go prints it', async () => {
  const patch = await withMap()
  const { body } = await patch('strategic-merge-patch+json', '{"foo":[1,"x",null],"data":{"b":"1"}}')
  assert.equal(
    body.message,
    ' "" is invalid: patch: Invalid value: "map[data:map[b:1] foo:[1 x <nil>]]": ' +
      'strict decoding error: unknown field "foo"',
  )
  const wrong = await patch('strategic-merge-patch+json', '{"data":{"b":1}}', 'Ignore')
  assert.equal(wrong.status, 422)
  assert.match(wrong.body.message, /^ "" is invalid: patch: Invalid value: "map\[data:map\[b:1\]\]": /)
})

test('a JSON patch has names of its own', async () => {
  const patch = await withMap()
  const operations = '[{"op":"add","op":"add","path":"/data","value":{"x":"1"},"more":1}]'
  const { status, body } = await patch('json-patch+json', operations)
  assert.equal(status, 422)
  assert.match(
    body.message,
    /strict decoding error: json patch unknown field "\[0\].more", json patch duplicate field "\[0\].op"$/,
  )
  assert.equal((await patch('json-patch+json', operations, 'Ignore')).status, 200)
})

test('unknown and duplicate fields of a body are told in the order of the text, an unknown one once', async () => {
  const text =
    '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"b","one":1,"two":1,"two":2},' +
    '"data":{"a":"1","a":"2"},"three":3}'
  const { call } = makeServer()
  const { body } = await call('POST', `${maps}?fieldValidation=Strict`, text)
  assert.equal(
    body.message,
    'ConfigMap in version "v1" cannot be handled as a ConfigMap: strict decoding error: ' +
      'unknown field "metadata.one", unknown field "metadata.two", duplicate field "data.a", unknown field "three"',
  )
})
