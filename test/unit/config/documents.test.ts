import assert from 'node:assert/strict'
import test from 'node:test'
import { parseConfigDocuments } from '../../../src/config/documents.ts'

const HEAD = 'apiVersion: mk8s.io/v1\nkind: NodeConfig\n'

test('our kinds give values, every other object is a manifest, a list is taken apart', () => {
  const { values, manifests, problems } = parseConfigDocuments(
    `${HEAD}nodeName: a
---
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: ConfigMap, metadata: {name: one}}
- {apiVersion: v1, kind: ConfigMap, metadata: {name: two}}
---
`,
    'f.yaml',
  )
  assert.deepEqual(problems, [])
  assert.equal(values.get('nodeName'), 'a')
  assert.deepEqual(
    manifests.map(({ metadata }) => metadata.name),
    ['shop', 'one', 'two'],
  )
})

test('what cannot be used is named with its place', () => {
  const { problems } = parseConfigDocuments(
    `${HEAD}podCidr: 10.1.0.0/16\nports: {apu: 1}\n---\n- 1\n---\nkind: Pod\n---\napiVersion: v1\nkind: Pod\n---
apiVersion: mk8s.io/v1\nkind: NodeConfg\n---\n${HEAD}logLevel: [info]\n`,
    'f.yaml',
  )
  const text = problems.join('\n')
  assert.match(text, /podCidr belongs into a document of kind ClusterConfig/)
  assert.match(text, /unknown key ports.apu; did you mean ports.api\?/)
  assert.match(text, /document 2 is not a mapping/)
  assert.match(text, /document 3 has no apiVersion and kind/)
  assert.match(text, /document 4 \(Pod\) has no metadata.name/)
  assert.match(text, /did you mean NodeConfig/)
  assert.match(text, /second NodeConfig/)
  assert.match(text, /logLevel must be text or a number/)
})

test('text that is not YAML is unreadable, with the reason', () => {
  assert.throws(() => parseConfigDocuments(`${HEAD}  : [`, 'f.yaml'), { code: 'config/unreadable' })
})

test('a configuration of another version is no manifest', () => {
  const { manifests, problems } = parseConfigDocuments(
    'apiVersion: mk8s.io/v2\nkind: NodeConfig\nmetadata: {name: a}\nnodeName: a\n',
    'f.yaml',
  )
  assert.deepEqual(manifests, [])
  assert.match(problems.join(), /unknown apiVersion "mk8s.io\/v2"; this version of mk8s reads mk8s.io\/v1/)
})
