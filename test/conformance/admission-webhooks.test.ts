/** What Kubernetes' conformance asks of admission webhooks, with kubectl, a daemon, and webhooks on loopback TLS. */
import assert from 'node:assert/strict'
import test, { after, before, describe } from 'node:test'
import { installCluster, type TestCluster } from '../support/cluster.ts'
import type { Kubectl } from '../support/kubectl.ts'
import { until } from '../support/until.ts'
import {
  allow,
  deny,
  patchWith,
  type Review,
  startWebhookServer,
  type WebhookAnswer,
  type WebhookServer,
} from '../support/webhook-server.ts'

const NAMESPACE = 'webhooks'
const add = (path: string, value: unknown) => ({ op: 'add', path, value })
const dataOf = ({ request: { object } }: Review): Record<string, string> => object?.data ?? {}

/** What the slow webhook waits for. */
let held = Promise.withResolvers<void>()

const answers: Readonly<Record<string, (review: Review) => WebhookAnswer | Promise<WebhookAnswer>>> = {
  '/deny': review => deny(review, 'this may not be'),
  '/deny-bad': review => {
    const { data = {}, metadata = {} } = review.request.object ?? {}
    const isBad = data.bad === 'yes' || metadata.labels?.bad === 'yes'
    return isBad ? deny(review, 'it is bad') : allow(review)
  },
  '/mark': review => patchWith(review, [add('/data', { ...dataOf(review), 'mutation-stage-1': 'yes' })]),
  '/mark-again': review =>
    dataOf(review)['mutation-stage-1'] === 'yes'
      ? patchWith(review, [add('/data/mutation-stage-2', 'yes')])
      : allow(review),
  '/init': review =>
    patchWith(review, [add('/spec/initContainers', [{ name: 'added', image: 'image', resources: {} }])]),
  '/slow': async review => {
    await held.promise
    return allow(review)
  },
}

describe('AdmissionWebhook', () => {
  let cluster: TestCluster
  let kubectl: Kubectl
  let hook: WebhookServer
  before(async () => {
    hook = await startWebhookServer(
      (path, review) => (answers[path] ?? allow)(review),
      [`hook.${NAMESPACE}.svc`],
    )
    cluster = await installCluster()
    kubectl = cluster.kubectl
    await kubectl.ok(['create', 'namespace', NAMESPACE])
    await kubectl.ok(['label', 'namespace', NAMESPACE, 'asks=yes'])
    await apply(service(hook.port), slice(hook.port))
  })
  after(async () => {
    await cluster.remove()
    await hook.close()
  })

  const apply = (...objects: object[]) =>
    kubectl.ok(['apply', '-f', '-'], { input: objects.map(one => JSON.stringify(one)).join('\n---\n') })
  const create = (object: object, ...more: string[]) =>
    kubectl.try(['create', '-n', NAMESPACE, ...more, '-f', '-'], { input: JSON.stringify(object) })
  const remove = (kind: string, ...what: string[]) =>
    kubectl.ok(['delete', `${kind}webhookconfigurations`, ...what])

  const rule = (resource: string, operations: string[], group = '', versions = ['*']) => ({
    operations,
    apiGroups: [group],
    apiVersions: versions,
    resources: [resource],
  })
  const webhook = (path: string, rules: object[], more: object = {}) => ({
    name: `${path.slice(1)}.webhooks.io`,
    clientConfig: { service: { namespace: NAMESPACE, name: 'hook', path }, caBundle: hook.caBundle },
    rules,
    sideEffects: 'None',
    admissionReviewVersions: ['v1'],
    namespaceSelector: { matchLabels: { asks: 'yes' } },
    ...more,
  })
  const configuration = (kind: 'Mutating' | 'Validating', name: string, ...webhooks: object[]) => ({
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: `${kind}WebhookConfiguration`,
    metadata: { name, labels: { test: name } },
    webhooks,
  })
  const service = (port: number) => ({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'hook', namespace: NAMESPACE },
    spec: { ports: [{ name: 'https', port: 443, targetPort: port }] },
  })
  const slice = (port: number) => ({
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { name: 'hook', namespace: NAMESPACE, labels: { 'kubernetes.io/service-name': 'hook' } },
    addressType: 'IPv4',
    endpoints: [{ addresses: ['127.0.0.1'] }],
    ports: [{ name: 'https', port }],
  })
  const map = (name: string, data: Record<string, string> = {}) => ({
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name, namespace: NAMESPACE },
    data,
  })
  const pod = (name: string, labels: Record<string, string> = {}) => ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: NAMESPACE, labels },
    spec: { nodeName: 'nowhere', containers: [{ name: 'c', image: 'image', command: ['sleep', '60'] }] },
  })
  const dataIn = async (name: string): Promise<Record<string, string>> =>
    ((await kubectl.json(['get', 'configmap', name, '-n', NAMESPACE])) as { data?: Record<string, string> })
      .data ?? {}
  /** Creates a map, as a dry run that webhooks see, until the outcome is as wanted. */
  const outcome = (
    what: string,
    isRight: (ran: { code: number; stdout: string; stderr: string }) => boolean,
  ) => until(what, async () => isRight(await create(map('probe'), '--dry-run=server', '-o', 'json')))
  const CREATES = ['CREATE']

  test('should include webhook resources in discovery documents', async () => {
    const groups = JSON.parse(await kubectl.ok(['get', '--raw', '/apis'])) as {
      groups: { name: string; versions: { version: string }[] }[]
    }
    const group = groups.groups.find(one => one.name === 'admissionregistration.k8s.io')
    assert.ok(group?.versions.some(one => one.version === 'v1'))
    const list = await kubectl.ok(['get', '--raw', '/apis/admissionregistration.k8s.io/v1'])
    const { resources } = JSON.parse(list) as { resources: { name: string }[] }
    const names = resources.map(one => one.name)
    assert.ok(names.includes('mutatingwebhookconfigurations'))
    assert.ok(names.includes('validatingwebhookconfigurations'))
  })

  test('should be able to deny pod and configmap creation', async () => {
    await apply(
      configuration(
        'Validating',
        'bad',
        webhook('/deny-bad', [rule('configmaps', ['CREATE', 'UPDATE']), rule('pods', ['CREATE', 'UPDATE'])]),
      ),
    )
    const refused = await create(map('bad', { bad: 'yes' }))
    assert.match(refused.stderr, /admission webhook "deny-bad\.webhooks\.io" denied the request: it is bad/)
    assert.match((await create(pod('bad', { bad: 'yes' }))).stderr, /denied the request: it is bad/)
    assert.equal((await create(map('good'))).code, 0)
    for (const type of ['merge', 'json']) {
      const patch = type === 'merge' ? { data: { bad: 'yes' } } : [add('/data', { bad: 'yes' })]
      const args = [
        'patch',
        'configmap',
        'good',
        '-n',
        NAMESPACE,
        '--type',
        type,
        '-p',
        JSON.stringify(patch),
      ]
      assert.match((await kubectl.try(args)).stderr, /denied the request: it is bad/)
    }
    await kubectl.ok(['create', 'namespace', 'exempt'])
    const elsewhere = { ...map('bad', { bad: 'yes' }), metadata: { name: 'bad', namespace: 'exempt' } }
    await kubectl.ok(['create', '-f', '-'], { input: JSON.stringify(elsewhere) })
    await remove('validating', 'bad')
  })

  test('should be able to deny attaching pod', async () => {
    await create(pod('attached'))
    await apply(configuration('Validating', 'attach', webhook('/deny', [rule('pods/attach', ['CONNECT'])])))
    const refused = await kubectl.try(['attach', 'attached', '-n', NAMESPACE])
    assert.match(refused.stderr, /admission webhook "deny\.webhooks\.io" denied the request: this may not be/)
    await remove('validating', 'attach')
  })

  test('should be able to deny custom resource creation, update and deletion', async () => {
    await apply(definition())
    await kubectl.ok(['wait', '--for=condition=Established', 'crd/things.webhooks.io', '--timeout=120s'])
    const thing = (data: object, name = 'one') => ({
      apiVersion: 'webhooks.io/v1',
      kind: 'Thing',
      metadata: { name, namespace: NAMESPACE },
      data,
    })
    assert.equal((await create(thing({ a: '1' }))).code, 0)
    const all = rule('things', ['CREATE', 'UPDATE', 'DELETE'], 'webhooks.io')
    await apply(configuration('Validating', 'things', webhook('/deny', [all])))
    assert.match((await create(thing({}, 'two'))).stderr, /denied the request: this may not be/)
    const update = ['patch', 'thing', 'one', '-n', NAMESPACE, '--type', 'merge', '-p', '{"data":{"a":"2"}}']
    assert.match((await kubectl.try(update)).stderr, /denied the request: this may not be/)
    const deletion = await kubectl.try(['delete', 'thing', 'one', '-n', NAMESPACE])
    assert.match(deletion.stderr, /denied the request: this may not be/)
    await remove('validating', 'things')
    await kubectl.ok(['delete', 'thing', 'one', '-n', NAMESPACE])
  })

  test('should mutate custom resource', async () => {
    const all = rule('things', CREATES, 'webhooks.io')
    await apply(configuration('Mutating', 'marked', webhook('/mark', [all])))
    const thing = { apiVersion: 'webhooks.io/v1', kind: 'Thing', metadata: { name: 'm' }, data: { a: '1' } }
    const made = await create(thing, '-o', 'json')
    assert.equal(made.code, 0, made.stderr)
    assert.deepEqual(JSON.parse(made.stdout).data, { a: '1', 'mutation-stage-1': 'yes' })
    await remove('mutating', 'marked')
  })

  test('should mutate custom resource with pruning', async () => {
    const all = rule('things', CREATES, 'webhooks.io')
    await apply(configuration('Mutating', 'things', webhook('/mark', [all]), webhook('/mark-again', [all])))
    const thing = { apiVersion: 'webhooks.io/v1', kind: 'Thing', metadata: { name: 'p' }, data: { a: '1' } }
    const made = await create(thing, '-o', 'json')
    assert.equal(made.code, 0, made.stderr)
    assert.deepEqual(JSON.parse(made.stdout).data, { a: '1', 'mutation-stage-1': 'yes' })
    await remove('mutating', 'things')
  })

  test('should mutate custom resource with different stored version', async () => {
    await apply(
      configuration(
        'Mutating',
        'stored',
        webhook('/mark', [rule('things', ['CREATE', 'UPDATE'], 'webhooks.io', ['v1'])]),
      ),
    )
    await apply({
      apiVersion: 'webhooks.io/v1',
      kind: 'Thing',
      metadata: { name: 's', namespace: NAMESPACE },
      data: {},
    })
    await apply(definition('v2'))
    const change = ['patch', 'thing.v2.webhooks.io', 's', '-n', NAMESPACE, '--type', 'merge', '-o', 'json']
    const patched = await until('the other version is stored', async () => {
      const ran = await kubectl.try([...change, '-p', '{"data":{"a":"new"}}'])
      return ran.code === 0 && ran.stdout
    })
    assert.deepEqual(JSON.parse(patched).data, { a: 'new', 'mutation-stage-1': 'yes' })
    assert.equal(hook.calls.at(-1)?.body.request.object.apiVersion, 'webhooks.io/v1')
    assert.equal(hook.calls.at(-1)?.body.request.requestKind.version, 'v2')
    await remove('mutating', 'stored')
  })

  test('should deny crd creation', async () => {
    const crds = rule('customresourcedefinitions', CREATES, 'apiextensions.k8s.io')
    await apply(configuration('Validating', 'crds', webhook('/deny', [crds], { namespaceSelector: {} })))
    const other = JSON.parse(
      JSON.stringify(definition()).replaceAll('thing', 'gadget').replaceAll('Thing', 'Gadget'),
    )
    assert.match((await create(other)).stderr, /denied the request: this may not be/)
    await remove('validating', 'crds')
  })

  test('should unconditionally reject operations on fail closed webhook', async () => {
    const closed = webhook('/deny', [rule('configmaps', CREATES)], {
      name: 'fail-closed.webhooks.io',
      clientConfig: { service: { namespace: NAMESPACE, name: 'hook', path: '/allow' } },
    })
    await apply(configuration('Validating', 'closed', closed))
    const refused = await create(map('closed'))
    assert.match(
      refused.stderr,
      /failed calling webhook "fail-closed\.webhooks\.io": failed to call webhook:/,
    )
    assert.match(refused.stderr, /x509: certificate signed by unknown authority/)
    await remove('validating', 'closed')
  })

  test('should mutate configmap', async () => {
    const maps = [rule('configmaps', CREATES)]
    await apply(configuration('Mutating', 'maps', webhook('/mark', maps), webhook('/mark-again', maps)))
    assert.equal((await create(map('ordered', { x: 'y' }))).code, 0)
    assert.deepEqual(await dataIn('ordered'), {
      x: 'y',
      'mutation-stage-1': 'yes',
      'mutation-stage-2': 'yes',
    })
    await remove('mutating', 'maps')
  })

  test('should mutate pod and apply defaults after mutation', async () => {
    await apply(configuration('Mutating', 'pods', webhook('/init', [rule('pods', CREATES)])))
    const made = await create(pod('defaulted'), '-o', 'json')
    const [container] = JSON.parse(made.stdout).spec.initContainers
    assert.equal(container.name, 'added')
    assert.equal(container.terminationMessagePolicy, 'File')
    assert.equal(container.terminationMessagePath, '/dev/termination-log')
    await remove('mutating', 'pods')
  })

  test('should not be able to mutate or prevent deletion of webhook configuration objects', async () => {
    const all = rule('*/*', ['*'], 'admissionregistration.k8s.io')
    const open = { namespaceSelector: {} }
    await apply(
      configuration('Validating', 'jealous', webhook('/deny', [all], open)),
      configuration('Mutating', 'jealous', webhook('/mark', [all], open)),
    )
    await apply(configuration('Validating', 'victim', webhook('/allow', [rule('configmaps', CREATES)])))
    await remove('validating', 'victim')
    await remove('validating', 'jealous')
    await remove('mutating', 'jealous')
  })

  test('should honor timeout', async () => {
    const slow = (seconds: number, failurePolicy: string) =>
      apply(
        configuration(
          'Validating',
          'slow',
          webhook('/slow', [rule('configmaps', CREATES)], { timeoutSeconds: seconds, failurePolicy }),
        ),
      )
    held = Promise.withResolvers<void>()
    await slow(1, 'Fail')
    assert.match((await create(map('slow'))).stderr, /\/slow\?timeout=1s": context deadline exceeded/)
    await slow(1, 'Ignore')
    assert.equal((await create(map('slow'))).code, 0)
    await slow(10, 'Fail')
    const patient = create(map('slow-too'))
    const arrived = () => hook.calls.some(one => one.path === '/slow?timeout=10s')
    await until('the webhook is asked', arrived)
    assert.equal(await kubectl.ok(['get', '--raw', '/readyz']), 'ok')
    held.resolve()
    assert.equal((await patient).code, 0)
    await remove('validating', 'slow')
  })

  for (const kind of ['Mutating', 'Validating'] as const) {
    const lower = kind.toLowerCase()
    const path = kind === 'Mutating' ? '/mark' : '/deny'
    const isTouched = (ran: { code: number; stdout: string }) =>
      kind === 'Mutating' ? ran.stdout.includes('mutation-stage-1') : ran.code !== 0

    test(`listing ${lower} webhooks should work`, async () => {
      const maps = [rule('configmaps', CREATES)]
      const names = Array.from({ length: 10 }, (_, index) => `many-${index}`)
      const objects = names.map(name => {
        const one = configuration(kind, name, webhook(path, maps))
        return { ...one, metadata: { name, labels: { test: 'many' } } }
      })
      await apply(...objects)
      const list = await kubectl.ok(['get', `${lower}webhookconfigurations`, '-l', 'test=many', '-o', 'name'])
      assert.equal(list.trim().split('\n').length, 10)
      await outcome('the webhooks are asked', isTouched)
      await remove(lower, '-l', 'test=many')
      await outcome('the webhooks are asked no more', ran => !isTouched(ran))
    })

    test(`patching/updating a ${lower} webhook should work`, async () => {
      await apply(configuration(kind, 'changed', webhook(path, [rule('configmaps', CREATES)])))
      await outcome('the webhook is asked', isTouched)
      await apply(configuration(kind, 'changed', webhook(path, [rule('configmaps', ['UPDATE'])])))
      await outcome('creations are not its business', ran => !isTouched(ran))
      const patch = JSON.stringify([
        { op: 'replace', path: '/webhooks/0/rules/0/operations', value: CREATES },
      ])
      await kubectl.ok(['patch', `${lower}webhookconfiguration`, 'changed', '--type', 'json', '-p', patch])
      await outcome('creations are its business again', isTouched)
      await remove(lower, 'changed')
    })

    test(`should be able to create and update ${lower} webhook configurations with match conditions`, async () => {
      const conditions = (expression: string) => [{ name: 'expression', expression }]
      const withConditions = (expression: string) =>
        configuration(
          kind,
          'conditions',
          webhook('/allow', [rule('configmaps', CREATES)], { matchConditions: conditions(expression) }),
        )
      for (const expression of [
        "object.metadata.namespace == 'production'",
        "request.operation == 'UPDATE'",
      ]) {
        await apply(withConditions(expression))
        const stored = (await kubectl.json(['get', `${lower}webhookconfiguration`, 'conditions'])) as {
          webhooks: { matchConditions: unknown }[]
        }
        assert.deepEqual(stored.webhooks[0]?.matchConditions, conditions(expression))
      }
      await remove(lower, 'conditions')
    })

    test(`should reject ${lower} webhook configurations with invalid match conditions`, async () => {
      const bad = configuration(
        kind,
        'invalid',
        webhook('/allow', [rule('configmaps', CREATES)], {
          matchConditions: [{ name: 'invalid-expression-1', expression: '... [] bad expression' }],
        }),
      )
      const refused = await create(bad)
      assert.match(
        refused.stderr,
        /matchConditions\[0\]\.expression: Invalid value: .*compilation failed: ERROR/s,
      )
    })
  }

  test("should mutate everything except 'skip-me' configmaps", async () => {
    const matchConditions = [{ name: 'skip-me', expression: "object.metadata.name != 'skip-me'" }]
    await apply(
      configuration('Mutating', 'skip', webhook('/mark', [rule('configmaps', CREATES)], { matchConditions })),
    )
    await create(map('skip-me', { x: 'y' }))
    await create(map('not-skipped', { x: 'y' }))
    assert.deepEqual(await dataIn('skip-me'), { x: 'y' })
    assert.deepEqual(await dataIn('not-skipped'), { x: 'y', 'mutation-stage-1': 'yes' })
    await remove('mutating', 'skip')
  })
})

function definition(storage = 'v1'): object {
  const text = { type: 'string' }
  const schema = {
    openAPIV3Schema: {
      type: 'object',
      properties: {
        data: { type: 'object', properties: { a: text, 'mutation-stage-1': text } },
      },
    },
  }
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: 'things.webhooks.io' },
    spec: {
      group: 'webhooks.io',
      scope: 'Namespaced',
      names: { plural: 'things', singular: 'thing', kind: 'Thing', listKind: 'ThingList' },
      versions: ['v1', 'v2'].map(name => ({ name, served: true, storage: name === storage, schema })),
    },
  }
}
