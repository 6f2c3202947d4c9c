/** Keys that come twice in YAML: a warning, an error or nothing, as the client asks; the last one counts. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { makeServer } from './harness.ts'

const maps = '/api/v1/namespaces/default/configmaps'
const text = `apiVersion: v1
kind: ConfigMap
metadata:
  name: twice
data:
  a: "1"
  b: "2"
  a: "3"
  "b": "4"
`
const LINES = 'line 8: key "a" already set in map\n  line 9: key "b" already set in map'
const PROBLEM = `yaml: unmarshal errors:\n  ${LINES}`
const APPLY = { 'content-type': 'application/apply-patch+yaml' }

for (const [what, method, path, type, strict] of [
  ['created', 'POST', maps, 'application/yaml', `strict decoding error: ${PROBLEM}`],
  [
    'applied',
    'PATCH',
    `${maps}/twice`,
    APPLY['content-type'],
    `error strict decoding YAML: error converting YAML to JSON: ${PROBLEM}`,
  ],
] as const) {
  test(`an object ${what} with keys that come twice is refused, warned of or taken as it is`, async () => {
    const { call } = makeServer()
    const send = (validation: string) =>
      call(method, `${path}?fieldManager=me&dryRun=All&fieldValidation=${validation}`, text, {
        'content-type': type,
      })
    const refused = await send('Strict')
    assert.equal(refused.status, 400)
    assert.ok(refused.body.message.endsWith(strict), refused.body.message)
    const warned = await send('Warn')
    assert.equal(warned.status, 201)
    assert.match(warned.headers['warning'] ?? '', /key \\"a\\" already set in map/)
    assert.deepEqual(warned.body.data, { a: '3', b: '4' })
    const silent = await send('Ignore')
    assert.deepEqual([silent.status, silent.headers['warning']], [201, undefined])
  })
}
