/** Status errors: the exact words, reasons and codes that clients match on. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Mk8sError } from '../../../src/base/errors.ts'
import { invalid as invalidField, required } from '../../../src/kube/field-error.ts'
import * as status from '../../../src/kube/status.ts'

const pods = { group: '', resource: 'pods' }
const deployments = { group: 'apps', resource: 'deployments', kind: 'Deployment' }

test('messages name the resource with its group', () => {
  assert.equal(status.notFound(deployments, 'web').message, 'deployments.apps "web" not found')
  assert.equal(status.alreadyExists(pods, 'a').message, 'pods "a" already exists')
  assert.equal(
    status.conflict(pods, 'x').message,
    'Operation cannot be fulfilled on pods "x": the object has been modified; ' +
      'please apply your changes to the latest version and try again',
  )
})

test('one validation error stands bare and several in brackets, each with its cause', () => {
  const one = status.invalid(deployments, 'web', [required('spec.selector')])
  assert.equal(one.message, 'Deployment.apps "web" is invalid: spec.selector: Required value')
  assert.equal(one.code, 422)
  const two = status.invalid({ group: '', kind: 'Pod' }, 'x', [
    required('spec.a'),
    invalidField('spec.b', 3, 'must be less'),
  ])
  assert.equal(
    two.message,
    'Pod "x" is invalid: [spec.a: Required value, spec.b: Invalid value: 3: must be less]',
  )
  assert.deepEqual(two.status.details, {
    name: 'x',
    kind: 'Pod',
    causes: [
      { reason: 'FieldValueRequired', message: 'Required value', field: 'spec.a' },
      { reason: 'FieldValueInvalid', message: 'Invalid value: 3: must be less', field: 'spec.b' },
    ],
  })
})

test('a refusal says who, what and where', () => {
  const base = { user: { username: 'u' }, isResource: true, path: '', group: '', resource: 'pods' }
  const list = { ...base, verb: 'list', subresource: '', namespace: 'd', name: '' }
  assert.equal(
    status.forbiddenRequest(list).message,
    'pods is forbidden: User "u" cannot list resource "pods" in API group "" in the namespace "d"',
  )
  const logs = { ...base, verb: 'get', subresource: 'log', namespace: '', name: 'x' }
  assert.equal(
    status.forbiddenRequest(logs).message,
    'pods "x" is forbidden: User "u" cannot get resource "pods/log" in API group "" at the cluster scope',
  )
  const path = { ...logs, isResource: false, path: '/metrics' }
  assert.equal(status.forbiddenRequest(path).message, 'forbidden: User "u" cannot get path "/metrics"')
})

test('errors of the code table become a Status, anything else an internal error', () => {
  const known = status.statusErrorFrom(new Mk8sError('store/no-leader', 'nobody leads'))
  assert.equal(known.code, 503)
  assert.equal(known.reason, 'ServiceUnavailable')
  assert.equal(known.status.details?.retryAfterSeconds, 1)
  assert.equal(status.statusErrorFrom(new Error('boom')).message, 'Internal error occurred: boom')
})
