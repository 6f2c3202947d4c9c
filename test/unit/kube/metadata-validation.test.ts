/** Names and ObjectMeta validation. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { validateObjectMeta, validateObjectMetaUpdate } from '../../../src/kube/metadata-validation.ts'
import * as names from '../../../src/kube/names.ts'

const shown = (errors: readonly { field: string; message: string }[]) =>
  errors.map(error => `${error.field}: ${error.message}`)

test('a bad name is explained with the pattern', () => {
  const [error] = validateObjectMeta({ name: 'My_Pod', namespace: 'd' }, { namespaced: true })
  assert.equal(error?.field, 'metadata.name')
  assert.equal(
    error?.message,
    'Invalid value: "My_Pod": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, ' +
      "'-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for " +
      "validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
  )
})

test('metadata without a name, with a namespace where none belongs, and with bad labels is refused', () => {
  const errors = validateObjectMeta(
    { namespace: 'd', labels: { 'a b': 'c' }, finalizers: ['x y'] },
    { namespaced: false },
  )
  assert.deepEqual(
    shown(errors).map(line => line.slice(0, 62)),
    [
      'metadata.name: Required value: name or generateName is required',
      'metadata.namespace: Forbidden: not allowed on this type',
      'metadata.labels: Invalid value: "a b": name part must consist of',
      'metadata.finalizers: Invalid value: "x y": name part must consist',
    ].map(line => line.slice(0, 62)),
  )
})

test('a generateName may end in a dash', () => {
  assert.deepEqual(validateObjectMeta({ name: 'a', generateName: 'web-' }, { namespaced: false }), [])
})

test('annotations have a total size', () => {
  const errors = validateObjectMeta(
    { name: 'a', annotations: { a: 'x'.repeat(262_144) } },
    { namespaced: false },
  )
  assert.deepEqual(shown(errors), ['metadata.annotations: Too long: may not be more than 262144 bytes'])
})

test('an update may not change what is immutable nor add finalizers to what is being deleted', () => {
  const previous = { name: 'a', uid: '1', resourceVersion: '5', deletionTimestamp: '2026-01-01T00:00:00Z' }
  const next = { ...previous, uid: '2', finalizers: ['example.com/f'], resourceVersion: '' }
  assert.deepEqual(shown(validateObjectMetaUpdate(next, previous)), [
    'metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, ' +
      'found new finalizers []string{"example.com/f"}',
    'metadata.resourceVersion: Invalid value: "": must be specified for an update',
    'metadata.uid: Invalid value: "2": field is immutable',
  ])
})

test('port names and config keys follow their rules', () => {
  assert.deepEqual(names.checkPortName('http'), [])
  assert.deepEqual(names.checkPortName('80'), ['must contain at least one letter (a-z)'])
  assert.deepEqual(names.checkConfigMapKey('..x'), ["must not start with '..'"])
  assert.deepEqual(names.checkPathSegmentName('system:a'), [])
  assert.deepEqual(names.checkEnvVarName('A=B').length, 1)
  assert.equal(names.checkQualifiedName('/a')[0], 'prefix part must be non-empty')
})
