import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readAsset } from '../../../../src/host/assets.ts'
import { typeCheckPolicy } from '../../../../src/kube/admission-policy/type-check.ts'
import { parseModel } from '../../../../src/kube/model.ts'

const model = parseModel(readAsset('model.json'))

const warningsOf = (...expressions: readonly string[]): readonly string[] =>
  typeCheckPolicy(
    {
      matchConstraints: {
        resourceRules: [{ apiGroups: ['apps'], apiVersions: ['v1'], resources: ['deployments'] }],
      },
      validations: expressions.map(expression => ({ expression })),
    },
    model,
  ).map(({ fieldRef, warning }) => `${fieldRef}: ${warning}`)

test('expressions that fit the kinds of a policy have no warning', () => {
  assert.deepEqual(warningsOf('object.spec.replicas > 1', "object.metadata.__namespace__ == 'a'"), [])
})

test('a field that a kind does not have is a warning', () => {
  assert.deepEqual(warningsOf('object.spec.nope > 1'), [
    "spec.validations[0].expression: apps/v1, Kind=Deployment: ERROR: <input>:1:12: undefined field 'nope'\n" +
      ' | object.spec.nope > 1\n | ...........^\n',
  ])
})

test('a type that does not fit is a warning', () => {
  assert.match(warningsOf("object.spec.replicas == '1'")[0] ?? '', /applied to '\(int, string\)'/)
})
