import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ApiServerParts } from '../../../../../src/runtime/apiserver/apiserver-parts.ts'
import { createPolicyPlugins } from '../../../../../src/runtime/apiserver/policies/policies.ts'
import type { RequestAttributes } from '../../../../../src/runtime/apiserver/ports.ts'
import { createObjectReader } from '../../../../../src/runtime/apiserver/storage/object-reader.ts'
import { makeServer, type Reply, realModel, type Server } from '../harness.ts'

const API = '/apis/admissionregistration.k8s.io/v1'

/** The authorizer answers at once, or later as a webhook does. */
async function serve({ isSlow = false, asked = [] as string[] } = {}): Promise<Server> {
  const admission: ApiServerParts['admission'][number][] = []
  const server = makeServer({ admission })
  const objects = createObjectReader(server.store, realModel())
  const judge = ({ verb, fieldSelector: [field] = [], labelSelector: [label] = [] }: RequestAttributes) => ({
    allowed: verb === 'use' || (field?.value === 'n1' && label?.key === 'app'),
    reason: 'for the test',
  })
  const authorizer = {
    authorize(attributes: RequestAttributes) {
      asked.push(attributes.verb)
      return isSlow ? Promise.resolve(judge(attributes)) : judge(attributes)
    },
  }
  const plugins = createPolicyPlugins({ store: server.store, objects, authorizer })
  admission.push(plugins.mutating, plugins.validating)
  await made(server, '/api/v1/namespaces', {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name: 'default', labels: { team: 'a' } },
  })
  return server
}

async function made(server: Server, path: string, object: object): Promise<void> {
  const reply = await server.call('POST', path, object)
  assert.equal(reply.status, 201, JSON.stringify(reply.body))
}

const rule = { operations: ['*'], apiGroups: [''], apiVersions: ['*'], resources: ['configmaps'] }

async function validating(server: Server, spec: object, binding: object = {}): Promise<void> {
  const head = { apiVersion: 'admissionregistration.k8s.io/v1', metadata: { name: 'demo' } }
  await made(server, `${API}/validatingadmissionpolicies`, {
    ...head,
    kind: 'ValidatingAdmissionPolicy',
    spec: { matchConstraints: { resourceRules: [rule] }, ...spec },
  })
  await made(server, `${API}/validatingadmissionpolicybindings`, {
    ...head,
    kind: 'ValidatingAdmissionPolicyBinding',
    spec: { policyName: 'demo', validationActions: ['Deny'], ...binding },
  })
}

async function mutating(server: Server, spec: object, binding: object = {}): Promise<void> {
  const head = { apiVersion: 'admissionregistration.k8s.io/v1', metadata: { name: 'demo' } }
  await made(server, `${API}/mutatingadmissionpolicies`, {
    ...head,
    kind: 'MutatingAdmissionPolicy',
    spec: { matchConstraints: { resourceRules: [rule] }, reinvocationPolicy: 'Never', ...spec },
  })
  await made(server, `${API}/mutatingadmissionpolicybindings`, {
    ...head,
    kind: 'MutatingAdmissionPolicyBinding',
    spec: { policyName: 'demo', ...binding },
  })
}

const configMap = (name: string, data: Record<string, string> = {}, labels: Record<string, string> = {}) => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name, labels },
  data,
})

const create = (server: Server, object: object): Promise<Reply> =>
  server.call('POST', '/api/v1/namespaces/default/configmaps', object)

const refused = (reply: Reply): string => {
  assert.notEqual(reply.status, 201)
  return reply.body.message
}

const denied = (what: string): string =>
  `configmaps "a" is forbidden: ValidatingAdmissionPolicy 'demo' with binding 'demo' denied request: ${what}`

test('a policy refuses what its expression does not hold for', async () => {
  const server = await serve()
  await validating(server, { validations: [{ expression: 'object.data.size() > 0' }] })
  const reply = await create(server, configMap('a', {}))
  assert.equal(reply.status, 422)
  assert.equal(reply.body.reason, 'Invalid')
  assert.match(refused(reply), /denied request: (failed expression: object.data.size\(\) > 0|expression)/)
  assert.equal((await create(server, configMap('a', { x: '1' }))).status, 201)
})

const messages: readonly (readonly [string, object, string, number])[] = [
  ['a message', { expression: 'false', message: 'not so' }, denied('not so'), 422],
  [
    'a message by expression',
    { expression: 'false', message: 'not so', messageExpression: "'no: ' + object.metadata.name" },
    denied('no: a'),
    422,
  ],
  [
    'a message by expression that fails',
    { expression: 'false', message: 'not so', messageExpression: 'object.nope.x' },
    denied('not so'),
    422,
  ],
  ['a reason', { expression: 'false', message: 'not so', reason: 'Forbidden' }, denied('not so'), 403],
  [
    'an error',
    { expression: 'object.spec.replicas > 1' },
    denied("expression 'object.spec.replicas > 1' resulted in error: no such key: spec"),
    422,
  ],
]

for (const [name, validation, expected, code] of messages) {
  test(`a refusal with ${name}`, async () => {
    const server = await serve()
    await validating(server, { validations: [validation] })
    const reply = await create(server, configMap('a'))
    assert.equal(refused(reply), expected)
    assert.equal(reply.status, code)
  })
}

const passing: readonly (readonly [string, object, object?])[] = [
  ['failures are ignored', { failurePolicy: 'Ignore', validations: [{ expression: 'object.nope' }] }],
  [
    'a match condition is false',
    {
      matchConditions: [{ name: 'other', expression: "object.metadata.name != 'a'" }],
      validations: [{ expression: 'false' }],
    },
  ],
  [
    'the rules mean another kind',
    {
      matchConstraints: { resourceRules: [{ ...rule, resources: ['secrets'] }] },
      validations: [{ expression: 'false' }],
    },
  ],
  [
    'the kind is excluded',
    {
      matchConstraints: { resourceRules: [rule], excludeResourceRules: [rule] },
      validations: [{ expression: 'false' }],
    },
  ],
  [
    'the namespace is not selected',
    { validations: [{ expression: 'false' }] },
    { matchResources: { namespaceSelector: { matchLabels: { team: 'b' } } } },
  ],
  [
    'the object is not selected',
    { validations: [{ expression: 'false' }] },
    { matchResources: { objectSelector: { matchLabels: { x: 'y' } } } },
  ],
  [
    'it knows variables, request, namespace and authorizer',
    {
      variables: [
        { name: 'team', expression: 'namespaceObject.metadata.labels.team' },
        { name: 'label', expression: "variables.team + '/' + request.namespace" },
      ],
      validations: [
        { expression: "variables.label == 'a/default' && request.userInfo.username == 'admin'" },
        { expression: "authorizer.group('').resource('pods').namespace('x').check('use').allowed()" },
        { expression: "!authorizer.requestResource.check('other').allowed()" },
        {
          expression:
            "authorizer.group('').resource('pods').fieldSelector('spec.nodeName=n1').labelSelector('app').check('list').allowed()",
        },
        { expression: "!authorizer.group('').resource('pods').labelSelector('app').check('list').allowed()" },
      ],
    },
  ],
]

for (const [name, spec, binding] of passing) {
  test(`a policy lets a request through: ${name}`, async () => {
    const server = await serve()
    await validating(server, spec, binding)
    const reply = await create(server, configMap('a'))
    assert.equal(reply.status, 201, JSON.stringify(reply.body))
  })
}

test('an authorizer that takes its time is waited for, and asked each question once', async () => {
  const asked: string[] = []
  const server = await serve({ isSlow: true, asked })
  const check = (verb: string) => `authorizer.group('').resource('pods').check('${verb}').allowed()`
  await validating(server, {
    matchConditions: [{ name: 'c', expression: check('use') }],
    variables: [{ name: 'may', expression: check('use') }],
    validations: [
      { expression: `variables.may && (${check('other')} || !${check('third')})` },
      { expression: 'has(object.data.a)', messageExpression: `string(${check('other')}) + ' it is'` },
    ],
    auditAnnotations: [{ key: 'k', valueExpression: `string(${check('fourth')})` }],
  })
  await mutating(server, {
    mutations: [
      {
        patchType: 'ApplyConfiguration',
        applyConfiguration: { expression: `Object{data: {"may": string(${check('use')})}}` },
      },
    ],
  })
  assert.match(refused(await create(server, configMap('a'))), /false it is$/)
  assert.deepEqual(asked, ['use', 'use', 'other', 'third', 'fourth'])
  const reply = await create(server, configMap('b', { a: '1' }))
  assert.equal(reply.status, 201, JSON.stringify(reply.body))
  assert.equal(reply.body['data'].may, 'true')
})

test('a violation is a warning where the binding says so', async () => {
  const server = await serve()
  await validating(
    server,
    { validations: [{ expression: 'false', message: 'not so' }] },
    { validationActions: ['Warn', 'Audit'] },
  )
  const reply = await create(server, configMap('a'))
  assert.equal(reply.status, 201)
  assert.match(
    reply.headers['warning'] ?? '',
    /Validation failed for ValidatingAdmissionPolicy 'demo' with binding 'demo': not so/,
  )
})

const PARAMS = {
  paramKind: { apiVersion: 'v1', kind: 'ConfigMap' },
  validations: [
    {
      expression: 'object.data.size() <= int(params.data.most)',
      messageExpression: "'at most ' + params.data.most",
    },
  ],
  matchConstraints: { resourceRules: [{ ...rule, operations: ['CREATE'] }] },
}

test('a policy takes its parameters by name and by selector', async () => {
  const server = await serve()
  for (const [name, most] of [
    ['loose', '2'],
    ['strict', '1'],
  ] as const) {
    await made(server, '/api/v1/namespaces/default/configmaps', configMap(name, { most }, { limits: 'yes' }))
  }
  await validating(server, PARAMS, { paramRef: { name: 'loose', parameterNotFoundAction: 'Deny' } })
  assert.equal((await create(server, configMap('a', { x: '1', y: '2' }))).status, 201)
  assert.equal(refused(await create(server, configMap('a', { x: '1', y: '2', z: '3' }))), denied('at most 2'))
  const bound = `${API}/validatingadmissionpolicybindings/demo`
  const patch = { spec: { paramRef: { name: null, selector: { matchLabels: { limits: 'yes' } } } } }
  const changed = await server.call('PATCH', bound, patch, { 'content-type': 'application/merge-patch+json' })
  assert.equal(changed.status, 200, JSON.stringify(changed.body))
  assert.equal(refused(await create(server, configMap('a', { x: '1', y: '2' }))), denied('at most 1'))
})

test('parameters that are not there deny or allow, as the binding says', async () => {
  for (const action of ['Deny', 'Allow']) {
    const server = await serve()
    await validating(server, PARAMS, { paramRef: { name: 'none', parameterNotFoundAction: action } })
    const reply = await create(server, configMap('a', { x: '1' }))
    if (action === 'Allow') assert.equal(reply.status, 201)
    else {
      const what = 'no params found for policy binding with `Deny` parameterNotFoundAction'
      assert.equal(refused(reply), denied(`failed to configure binding: ${what}`))
    }
  }
})

const mutations: readonly (readonly [string, object, Record<string, unknown>])[] = [
  [
    'an apply configuration',
    {
      patchType: 'ApplyConfiguration',
      applyConfiguration: {
        expression: "Object{metadata: Object.metadata{labels: {'added': 'yes', 'from': request.namespace}}}",
      },
    },
    { added: 'yes', from: 'default', kept: 'too' },
  ],
  [
    'a JSON patch',
    {
      patchType: 'JSONPatch',
      jsonPatch: {
        expression:
          "[JSONPatch{op: 'test', path: '/metadata/name', value: 'a'}, JSONPatch{op: 'add', path: '/metadata/labels/' + jsonpatch.escapeKey('x.io/y'), value: 'z'}]",
      },
    },
    { 'x.io/y': 'z', kept: 'too' },
  ],
]

for (const [name, mutation, labels] of mutations) {
  test(`a policy changes an object by ${name}`, async () => {
    const server = await serve()
    await mutating(server, { mutations: [mutation] })
    const reply = await create(server, configMap('a', {}, { kept: 'too' }))
    assert.equal(reply.status, 201, JSON.stringify(reply.body))
    assert.deepEqual(reply.body.metadata.labels, labels)
  })
}

test('a mutation of a field under another name is refused', async () => {
  const server = await serve()
  const expression = "Object{metadata: Object.spec{labels: {'a': 'b'}}}"
  await mutating(server, {
    mutations: [{ patchType: 'ApplyConfiguration', applyConfiguration: { expression } }],
  })
  assert.match(
    refused(await create(server, configMap('a'))),
    /policy 'demo' with binding 'demo' denied request: unexpected type name "Object.spec", expected "Object.metadata"/,
  )
})
