/**
 * Admission policies and validation rules with the real kubectl and a real daemon. The names of the tests are those
 * of the conformance behaviours of sig-api-machinery.
 */
import assert from 'node:assert/strict'
import test, { after, before, describe } from 'node:test'
import { installCluster, type TestCluster } from '../support/cluster.ts'
import { type Kubectl, kubectlFor } from '../support/kubectl.ts'
import { until } from '../support/until.ts'

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

describe('ValidatingAdmissionPolicy', () => {
  let cluster: TestCluster
  let kubectl: Kubectl

  before(async () => {
    cluster = await installCluster()
    kubectl = kubectlFor(cluster.kubeconfig)
  })
  after(() => cluster.remove())

  const input = (...objects: object[]) => ({ input: objects.map(one => JSON.stringify(one)).join('\n') })
  const apply = (...objects: object[]): Promise<string> => kubectl.ok(['apply', '-f', '-'], input(...objects))
  const attempt = (object: object) => kubectl.try(['create', '-f', '-'], input(object))

  const namespace = (name: string) =>
    apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels: { policies: name } } })

  test('should validate against a Deployment', async () => {
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

  test('should allow expressions to refer variables', async () => {
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

  for (const [title, plural, make] of [
    [
      'should support ValidatingAdmissionPolicy API operations',
      'validatingadmissionpolicies',
      (name: string) => policy(name, { validations: [{ expression: 'true' }] }),
    ],
    [
      'should support ValidatingAdmissionPolicyBinding API operations',
      'validatingadmissionpolicybindings',
      binding,
    ],
  ] as const) {
    test(title, async () => {
      const resources = await kubectl.ok(['api-resources', '--api-group=admissionregistration.k8s.io'])
      assert.match(resources, new RegExp(plural))
      await kubectl.ok(['create', '-f', '-'], input(make('operations')))
      await kubectl.ok(['label', plural, 'operations', 'changed=yes'])
      await kubectl.ok([
        'patch',
        plural,
        'operations',
        '--type=merge',
        '-p',
        '{"metadata":{"annotations":{"a":"b"}}}',
      ])
      const found = (await kubectl.json(['get', plural, '-l', 'changed=yes'])) as { items: object[] }
      assert.equal(found.items.length, 1)
      await kubectl.ok(['delete', plural, '-l', 'changed=yes'])
      assert.match((await kubectl.try(['get', plural, 'operations'])).stderr, /NotFound/)
    })
  }

  test('should type check validation expressions', async () => {
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
    await kubectl.ok(['wait', '--for=condition=Established', 'crd/scales.rules.example.com', '--timeout=20s'])
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
