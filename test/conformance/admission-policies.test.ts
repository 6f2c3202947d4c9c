/**
 * Admission policies and validation rules with the real kubectl and a real daemon. The names of the tests are those
 * of the conformance behaviours of sig-api-machinery.
 */
import assert from 'node:assert/strict'
import test, { after, before, describe } from 'node:test'
import { type Api, type ApiBody, apiFor } from '../support/api.ts'
import { installCluster, type TestCluster } from '../support/cluster.ts'
import { at, itemsOf, versionOf } from '../support/conformance.ts'
import { type Kubectl, kubectlFor } from '../support/kubectl.ts'
import { until } from '../support/until.ts'
import { openWatch } from '../support/watch-stream.ts'

const API = 'admissionregistration.k8s.io/v1'

const policy = (name: string, spec: object) => ({
  apiVersion: API,
  kind: 'ValidatingAdmissionPolicy',
  metadata: { name },
  spec: {
    matchConstraints: {
      namespaceSelector: { matchLabels: { policies: name } },
      resourceRules: [
        {
          operations: ['CREATE', 'UPDATE'],
          apiGroups: ['apps'],
          apiVersions: ['v1'],
          resources: ['deployments'],
        },
      ],
    },
    ...spec,
  },
})

const binding = (name: string) => ({
  apiVersion: API,
  kind: 'ValidatingAdmissionPolicyBinding',
  metadata: { name },
  spec: { policyName: name, validationActions: ['Deny'] },
})

const deployment = (namespace: string, name: string, replicas: number) => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name, namespace },
  spec: {
    replicas,
    selector: { matchLabels: { app: name } },
    template: {
      metadata: { labels: { app: name } },
      spec: { containers: [{ name: 'main', image: 'none' }] },
    },
  },
})

describe('Admission policies', () => {
  let cluster: TestCluster
  let kubectl: Kubectl
  let api: Api

  before(async () => {
    cluster = await installCluster()
    kubectl = kubectlFor(cluster.kubeconfig)
    api = apiFor(cluster.kubeconfig)
  })
  after(() => cluster.remove())

  const input = (...objects: object[]) => ({ input: objects.map(one => JSON.stringify(one)).join('\n') })
  const apply = (...objects: object[]): Promise<string> => kubectl.ok(['apply', '-f', '-'], input(...objects))
  const attempt = (object: object) => kubectl.try(['create', '-f', '-'], input(object))

  const namespace = (name: string) =>
    apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels: { policies: name } } })

  test('ValidatingAdmissionPolicy should validate against a Deployment', async () => {
    await namespace('few')
    await apply(policy('few', { validations: [{ expression: 'object.spec.replicas <= 2' }] }), binding('few'))
    assert.equal((await attempt(deployment('few', 'allowed', 2))).code, 0)
    const refused = await attempt(deployment('few', 'refused', 3))
    assert.equal(refused.code, 1)
    assert.match(
      refused.stderr,
      /ValidatingAdmissionPolicy 'few' with binding 'few' denied request: failed expression: object.spec.replicas <= 2/,
    )
  })

  test('ValidatingAdmissionPolicy should allow expressions to refer variables.', async () => {
    await namespace('odd')
    const spec = {
      variables: [
        { name: 'replicas', expression: 'object.spec.replicas' },
        { name: 'oddReplicas', expression: 'variables.replicas % 2 == 1' },
      ],
      validations: [
        { expression: 'variables.replicas > 1' },
        { expression: 'variables.oddReplicas', messageExpression: "'even: ' + string(variables.replicas)" },
      ],
    }
    await apply(policy('odd', spec), binding('odd'))
    assert.match(
      (await attempt(deployment('odd', 'one', 1))).stderr,
      /failed expression: variables.replicas > 1/,
    )
    assert.match((await attempt(deployment('odd', 'two', 2))).stderr, /denied request: even: 2/)
    assert.equal((await attempt(deployment('odd', 'three', 3))).code, 0)
  })

  const mutation = (name: string, expression: string) => ({
    apiVersion: API,
    kind: 'MutatingAdmissionPolicy',
    metadata: { name },
    spec: {
      matchConstraints: policy(name, {}).spec.matchConstraints,
      reinvocationPolicy: 'IfNeeded',
      mutations: [{ patchType: 'ApplyConfiguration', applyConfiguration: { expression } }],
    },
  })
  const mutationBinding = (name: string) => ({
    apiVersion: API,
    kind: 'MutatingAdmissionPolicyBinding',
    metadata: { name },
    spec: { policyName: name },
  })
  const mutated = async (object: object): Promise<object> => {
    const ran = await kubectl.try(['create', '-o', 'json', '-f', '-'], input(object))
    assert.equal(ran.code, 0, ran.stderr)
    return JSON.parse(ran.stdout) as object
  }

  test('MutatingAdmissionPolicy should mutate a Deployment', async () => {
    await namespace('many')
    const more = 'Object{spec: Object.spec{replicas: object.spec.replicas + 100}}'
    await apply(mutation('many', more), mutationBinding('many'))
    assert.equal(at(await mutated(deployment('many', 'grown', 0)), 'spec.replicas'), 100)
    await kubectl.ok(['delete', 'mutatingadmissionpolicybinding', 'many'])
    assert.equal(at(await mutated(deployment('many', 'left', 0)), 'spec.replicas'), 0)
  })

  test('MutatingAdmissionPolicy should mutate a Deployment with annotations', async () => {
    await namespace('noted')
    const note = 'Object{metadata: Object.metadata{annotations: {"my-foo-annotation": "myAnnotationValue"}}}'
    await apply(mutation('noted', note), mutationBinding('noted'))
    const plain = deployment('noted', 'one', 0)
    const annotations = { kept: 'yes' }
    const made = await mutated({ ...plain, metadata: { ...plain.metadata, annotations } })
    assert.deepEqual(at(made, 'metadata.annotations'), {
      ...annotations,
      'my-foo-annotation': 'myAnnotationValue',
    })
  })

  const kinds = {
    ValidatingAdmissionPolicy: (name: string) => policy(name, { validations: [{ expression: 'true' }] }),
    ValidatingAdmissionPolicyBinding: binding,
    MutatingAdmissionPolicy: (name: string) => mutation(name, 'Object{}'),
    MutatingAdmissionPolicyBinding: mutationBinding,
  }
  for (const [kind, make] of Object.entries(kinds)) {
    const plural = kind.endsWith('y') ? `${kind.slice(0, -1)}ies`.toLowerCase() : `${kind}s`.toLowerCase()
    const hasStatus = kind === 'ValidatingAdmissionPolicy'
    test(`${kind.replace('Binding', '')} should support ${kind} API operations`, async () => {
      const names = await kubectl.ok(['get', '--raw', `/apis/${API}`])
      assert.ok(names.includes(`"name":"${plural}"`))
      assert.equal(names.includes(`"name":"${plural}/status"`), hasStatus)
      await operations(`/apis/${API}/${plural}`, make, hasStatus)
    })
  }

  /** Create, get, list, watch, patch, update, delete and delete a collection. */
  async function operations(
    collection: string,
    make: (name: string) => { metadata: object },
    hasStatus: boolean,
  ): Promise<void> {
    const labelled = (name: string) => ({ ...make(name), metadata: { name, labels: { special: plural } } })
    const plural = collection.split('/').at(-1) ?? ''
    const [first, selected] = [`${collection}/e2e-first`, `${collection}?labelSelector=special%3D${plural}`]
    const ok = async (method: string, path: string, body?: object): Promise<ApiBody> => {
      const type = method === 'PATCH' ? 'application/merge-patch+json' : 'application/json'
      const answer = await api(path, { method, ...(body && { body }), headers: { 'content-type': type } })
      assert.ok(answer.status < 300, `${method} ${path}: ${answer.text}`)
      return answer.body
    }
    const made = await ok('POST', collection, labelled('e2e-first'))
    assert.equal(at(await ok('GET', first), 'metadata.uid'), at(made, 'metadata.uid'))
    const list = await ok('GET', selected)
    assert.equal(itemsOf(list).length, 1)
    const stream = await openWatch(
      cluster.kubeconfig,
      `${selected}&watch=1&resourceVersion=${versionOf(list)}`,
    )
    await ok('PATCH', first, { metadata: { annotations: { patched: 'yes' } } })
    await stream.find('the patch', ({ object }) => at(object, 'metadata.annotations.patched') === 'yes')
    const now = await ok('GET', first)
    const annotations = { ...(at(now, 'metadata.annotations') as object), updated: 'yes' }
    await until('the update meets no other', async () => {
      const fresh = await ok('GET', first)
      const body = { ...fresh, metadata: { ...fresh.metadata, annotations } }
      return (await api(first, { method: 'PUT', body })).status === 200
    })
    await stream.find('the update', ({ object }) => at(object, 'metadata.annotations.updated') === 'yes')
    if (hasStatus) {
      const type = 'application/merge-patch+json'
      const condition = { type: 'Seen', status: 'True', reason: 'Test', message: '' }
      const conditions = [{ ...condition, lastTransitionTime: '2026-01-01T00:00:00Z' }]
      const headers = { 'content-type': type }
      const status = await api(`${first}/status`, {
        method: 'PATCH',
        headers,
        body: { status: { conditions } },
      })
      assert.equal(at(status.body, 'status.conditions.0.type'), 'Seen', status.text)
    }
    await ok('DELETE', first)
    await stream.find('the deletion', ({ type }) => type === 'DELETED')
    stream.close()
    assert.equal((await api(first)).status, 404)
    for (const name of ['e2e-second', 'e2e-third']) await ok('POST', collection, labelled(name))
    assert.equal(itemsOf(await ok('GET', selected)).length, 2)
    await ok('DELETE', selected)
    assert.equal(itemsOf(await ok('GET', selected)).length, 0)
  }

  test('ValidatingAdmissionPolicy should type check validation expressions', async () => {
    await apply(
      policy('typed', {
        validations: [{ expression: "object.spec.replicas == '1'" }, { expression: 'object.spec.nope' }],
      }),
    )
    const status = await until('the policy is looked at', async () => {
      const found = (await kubectl.json(['get', 'validatingadmissionpolicy', 'typed'])) as {
        metadata: { generation: number }
        status?: { observedGeneration?: number; typeChecking?: { expressionWarnings?: object[] } }
      }
      return found.status?.observedGeneration === found.metadata.generation ? found.status : null
    })
    assert.equal(status.typeChecking?.expressionWarnings?.length, 2)
  })

  test('a rule of a custom resource is run with its message', async () => {
    await apply({
      apiVersion: 'apiextensions.k8s.io/v1',
      kind: 'CustomResourceDefinition',
      metadata: { name: 'scales.rules.example.com' },
      spec: {
        group: 'rules.example.com',
        scope: 'Namespaced',
        names: { plural: 'scales', kind: 'Scaler' },
        versions: [
          {
            name: 'v1',
            served: true,
            storage: true,
            schema: {
              openAPIV3Schema: {
                type: 'object',
                properties: {
                  spec: {
                    type: 'object',
                    properties: { min: { type: 'integer' }, max: { type: 'integer' } },
                    'x-kubernetes-validations': [
                      { rule: 'self.min <= self.max', message: 'min must not exceed max' },
                      { rule: 'self.max >= oldSelf.max', message: 'max must not shrink' },
                    ],
                  },
                },
              },
            },
          },
        ],
      },
    })
    await kubectl.ok([
      'wait',
      '--for=condition=Established',
      'crd/scales.rules.example.com',
      '--timeout=120s',
    ])
    const scaler = (min: number, max: number) => ({
      apiVersion: 'rules.example.com/v1',
      kind: 'Scaler',
      metadata: { name: 'one', namespace: 'default' },
      spec: { min, max },
    })
    const refused = await attempt(scaler(3, 2))
    assert.match(
      refused.stderr,
      /The Scaler "one" is invalid: spec: Invalid value: (")?object(")?: min must not exceed max/,
    )
    await apply(scaler(1, 5))
    const shrunk = await kubectl.try(['apply', '-f', '-'], input(scaler(1, 4)))
    assert.match(shrunk.stderr, /spec: Invalid value: "object": max must not shrink/)
  })
})
