import assert from 'node:assert/strict'
import { test } from 'node:test'
import { makeServer } from '../harness.ts'

const API = '/apis/admissionregistration.k8s.io/v1'
const rule = { operations: ['CREATE'], apiGroups: [''], apiVersions: ['v1'], resources: ['pods'] }
const matchConstraints = { resourceRules: [rule] }
const validations = [{ expression: 'true' }]

async function problemsOf(kind: string, spec: object): Promise<readonly string[]> {
  const resource = kind.endsWith('Policy') ? kind.replace(/y$/, 'ies') : `${kind}s`
  const reply = await makeServer().call('POST', `${API}/${resource.toLowerCase()}`, {
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind,
    metadata: { name: 'demo' },
    spec,
  })
  const causes: { field: string; message: string }[] = reply.body.details?.causes ?? []
  return reply.status === 201 ? [] : causes.map(({ field, message }) => `${field}: ${message}`)
}

const VALIDATING = 'ValidatingAdmissionPolicy'
const MUTATING = 'MutatingAdmissionPolicy'
const BINDING = 'ValidatingAdmissionPolicyBinding'
const apply = (expression: string) => ({
  patchType: 'ApplyConfiguration',
  applyConfiguration: { expression },
})

const cases: readonly (readonly [string, string, object, readonly string[]])[] = [
  ['a fit policy', VALIDATING, { matchConstraints, validations }, []],
  ['no constraints', VALIDATING, { validations }, ['spec.matchConstraints: Required value']],
  [
    'no rules',
    VALIDATING,
    { matchConstraints: {}, validations },
    ['spec.matchConstraints.resourceRules: Required value'],
  ],
  [
    'nothing to validate',
    VALIDATING,
    { matchConstraints },
    [
      'spec.validations: Required value: validations or auditAnnotations must contain at least one item',
      'spec.auditAnnotations: Required value: validations or auditAnnotations must contain at least one item',
    ],
  ],
  [
    'an expression that is no condition',
    VALIDATING,
    { matchConstraints, validations: [{ expression: '1' }] },
    ['spec.validations[0].expression: Invalid value: "1": must evaluate to bool'],
  ],
  [
    'an unknown variable',
    VALIDATING,
    { matchConstraints, validations: [{ expression: 'params.x' }] },
    [
      'spec.validations[0].expression: Invalid value: "params.x": compilation failed: ERROR: <input>:1:1: ' +
        "undeclared reference to 'params' (in container '')\n | params.x\n | ^",
    ],
  ],
  [
    'a variable that comes later',
    VALIDATING,
    {
      matchConstraints,
      validations,
      variables: [
        { name: 'a', expression: 'variables.b' },
        { name: 'b', expression: '1' },
      ],
    },
    [
      'spec.variables[0].expression: Invalid value: "variables.b": compilation failed: ERROR: <input>:1:10: ' +
        "undefined field 'b'\n | variables.b\n | .........^",
    ],
  ],
  [
    'an unknown reason',
    VALIDATING,
    { matchConstraints, validations: [{ expression: 'true', reason: 'Bad' }] },
    [
      'spec.validations[0].reason: Unsupported value: "Bad": supported values: "Forbidden", "Invalid", ' +
        '"RequestEntityTooLarge", "Unauthorized"',
    ],
  ],
  [
    'a binding that both denies and warns',
    BINDING,
    { policyName: 'demo', validationActions: ['Deny', 'Warn'] },
    [
      'spec.validationActions: Invalid value: ["Deny","Warn"]: must not contain both Deny and Warn (repeating the ' +
        'same validation failure information in the API response and headers serves no purpose)',
    ],
  ],
  [
    'a binding without a way to parameters',
    BINDING,
    { policyName: 'demo', validationActions: ['Deny'], paramRef: { parameterNotFoundAction: 'Deny' } },
    ['spec.paramRef: Required value: one of name or selector must be specified'],
  ],
  [
    'a fit mutation',
    MUTATING,
    { matchConstraints, reinvocationPolicy: 'Never', mutations: [apply('Object{spec: Object.spec{x: 1}}')] },
    [],
  ],
  [
    'a mutation that constructs nothing',
    MUTATING,
    { matchConstraints, reinvocationPolicy: 'Never', mutations: [apply('1')] },
    ['spec.mutations[0].applyConfiguration.expression: Invalid value: "1": must evaluate to Object'],
  ],
  [
    'a mutation of deletions',
    MUTATING,
    {
      matchConstraints: { resourceRules: [{ ...rule, operations: ['DELETE'] }] },
      reinvocationPolicy: 'Never',
      mutations: [apply('Object{}')],
    },
    [
      'spec.matchConstraints.resourceRules[0].operations[0]: Unsupported value: "DELETE": supported values: "*", ' +
        '"CONNECT", "CREATE", "UPDATE"',
    ],
  ],
]

for (const [name, kind, spec, expected] of cases) {
  test(`a policy is written: ${name}`, async () => {
    assert.deepEqual(await problemsOf(kind, spec), expected)
  })
}

test('what a policy leaves out is filled in', async () => {
  const reply = await makeServer().call('POST', `${API}/validatingadmissionpolicies`, {
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: VALIDATING,
    metadata: { name: 'demo' },
    spec: { matchConstraints, validations },
  })
  assert.equal(reply.body.metadata.generation, 1)
  assert.equal(reply.body.spec.failurePolicy, 'Fail')
  assert.deepEqual(reply.body.spec.matchConstraints, {
    matchPolicy: 'Equivalent',
    namespaceSelector: {},
    objectSelector: {},
    resourceRules: [{ ...rule, scope: '*' }],
  })
})
