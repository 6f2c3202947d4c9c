/** Webhook configurations over the memory store, with webhooks on loopback that answer as each test says. */

import assert from 'node:assert/strict'
import test, { after, before } from 'node:test'
import { systemClock } from '../../../../../src/base/clock.ts'
import { systemRandom } from '../../../../../src/base/random.ts'
import { createMatchConditions } from '../../../../../src/runtime/apiserver/admission/match-conditions.ts'
import type { ApiServerParts } from '../../../../../src/runtime/apiserver/apiserver-parts.ts'
import { createObjectReader } from '../../../../../src/runtime/apiserver/storage/object-reader.ts'
import {
  createWebhookCaller,
  type WebhookCaller,
} from '../../../../../src/runtime/apiserver/webhooks/caller.ts'
import { createWebhookMetrics } from '../../../../../src/runtime/apiserver/webhooks/metrics.ts'
import { createWebhookPlugins } from '../../../../../src/runtime/apiserver/webhooks/webhooks.ts'
import {
  allow,
  deny,
  patchWith,
  type Review,
  startWebhookServer,
  type WebhookAnswer,
  type WebhookServer,
} from '../../../../support/webhook-server.ts'
import { makeServer, realModel, type Server } from '../harness.ts'

type Answer = (review: Review) => WebhookAnswer | Promise<WebhookAnswer>

const answers = new Map<string, Answer>()
let hook: WebhookServer
let caller: WebhookCaller
const metrics = createWebhookMetrics()

before(async () => {
  hook = await startWebhookServer((path, review) => (answers.get(path) ?? allow)(review), ['hook.dev.svc'])
})
after(async () => {
  caller?.close()
  await hook.close()
})

function serve(): Server {
  answers.clear()
  hook.calls.length = 0
  const admission: ApiServerParts['admission'][number][] = []
  const server = makeServer({ admission })
  const objects = createObjectReader(server.store, realModel())
  caller?.close()
  caller = createWebhookCaller({ objects, clock: systemClock, random: systemRandom })
  const plugins = createWebhookPlugins({
    store: server.store,
    objects,
    caller,
    // As one that is a webhook itself.
    conditions: createMatchConditions({
      authorize: async ({ verb }) => ({ allowed: verb === 'use', reason: '' }),
    }),
    metrics,
    clock: systemClock,
    random: systemRandom,
  })
  admission.push(plugins.mutating, plugins.validating)
  return server
}

const requestAt = (index: number): Review => hook.calls[index]?.body.request

const everything = { operations: ['*'], apiGroups: ['*'], apiVersions: ['*'], resources: ['*/*'], scope: '*' }
const configMaps = { ...everything, apiGroups: [''], resources: ['configmaps'] }

async function configure(
  server: Server,
  kind: 'Mutating' | 'Validating',
  name: string,
  webhooks: readonly object[],
): Promise<void> {
  const made = await server.call(
    'POST',
    `/apis/admissionregistration.k8s.io/v1/${kind.toLowerCase()}webhookconfigurations`,
    {
      apiVersion: 'admissionregistration.k8s.io/v1',
      kind: `${kind}WebhookConfiguration`,
      metadata: { name },
      webhooks: webhooks.map((webhook, index) => ({
        name: `h${index}.${name}.io`,
        clientConfig: { url: `${hook.url}/${name}${index}`, caBundle: hook.caBundle },
        rules: [configMaps],
        sideEffects: 'None',
        admissionReviewVersions: ['v1'],
        ...webhook,
      })),
    },
  )
  assert.equal(made.status, 201, JSON.stringify(made.body))
}

const map = (name: string, data: Record<string, string> = {}, labels?: Record<string, string>) => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name, ...(labels === undefined ? {} : { labels }) },
  data,
})
const MAPS = '/api/v1/namespaces/dev/configmaps'
const namespace = (name: string, labels: Record<string, string> = {}) => ({
  apiVersion: 'v1',
  kind: 'Namespace',
  metadata: { name, labels },
})

test('what webhooks take counts as the time of a request, and not as the time of this server', async () => {
  const server = serve()
  await configure(server, 'Mutating', 'slow', [{}])
  assert.equal((await server.call('POST', MAPS, map('one'))).status, 201)
  const secondsOf = (name: string) =>
    server.api
      .requestMetrics()
      .map(one =>
        one.name === name && one.type === 'histogram' && one.labels['resource'] === 'configmaps'
          ? one.histogram.sum
          : 0,
      )
      .reduce((a, b) => a + b)
  const inAll = secondsOf('apiserver_request_duration_seconds')
  assert.ok(secondsOf('apiserver_request_sli_duration_seconds') < inAll, String(inAll))
})

test('a mutating webhook changes what is stored, and the validating one sees it', async () => {
  const server = serve()
  await server.call('POST', '/api/v1/namespaces', namespace('dev'))
  await configure(server, 'Mutating', 'm', [{}])
  await configure(server, 'Validating', 'v', [{}])
  answers.set('/m0', review => patchWith(review, [{ op: 'add', path: '/data/extra', value: 'yes' }]))
  const made = await server.call('POST', `${MAPS}?fieldManager=me`, map('a', { x: '1' }))
  assert.equal(made.status, 201)
  assert.deepEqual(made.body.data, { x: '1', extra: 'yes' })
  const [first, second] = hook.calls
  assert.equal(first?.path, '/m0?timeout=10s')
  const { uid, object, userInfo, ...rest } = requestAt(0)
  assert.match(uid, /^[0-9a-f-]{36}$/)
  assert.deepEqual(userInfo, { username: 'admin', groups: ['system:masters'] })
  assert.deepEqual(object.data, { x: '1' })
  assert.deepEqual(rest, {
    kind: { group: '', version: 'v1', kind: 'ConfigMap' },
    resource: { group: '', version: 'v1', resource: 'configmaps' },
    requestKind: { group: '', version: 'v1', kind: 'ConfigMap' },
    requestResource: { group: '', version: 'v1', resource: 'configmaps' },
    name: 'a',
    namespace: 'dev',
    operation: 'CREATE',
    oldObject: null,
    dryRun: false,
    options: { kind: 'CreateOptions', apiVersion: 'meta.k8s.io/v1', fieldManager: 'me' },
  })
  assert.equal(second?.body.request.object.data.extra, 'yes')
  assert.ok(second?.body.request.object.metadata.uid)
})

test('a refusal names the webhook and keeps its code and reason', async () => {
  const server = serve()
  await configure(server, 'Validating', 'v', [{}])
  answers.set('/v0', review => deny(review, 'too red'))
  const refused = await server.call('POST', MAPS, map('a'))
  assert.equal(refused.status, 403)
  assert.equal(refused.body.message, 'admission webhook "h0.v.io" denied the request: too red')
  answers.set('/v0', review => deny(review, '', { status: undefined }))
  const silent = await server.call('POST', MAPS, map('a'))
  assert.equal(silent.status, 400)
  assert.equal(silent.body.message, 'admission webhook "h0.v.io" denied the request without explanation')
  assert.equal((await server.call('GET', `${MAPS}/a`)).status, 404)
})

test('deletions and updates show the old object, warnings reach the client', async () => {
  const server = serve()
  await server.call('POST', MAPS, map('a', { x: '1' }))
  await configure(server, 'Validating', 'v', [{}])
  answers.set('/v0', review => allow(review, { warnings: ['mind the gap'] }))
  const changed = await server.call('PUT', `${MAPS}/a`, map('a', { x: '2' }))
  assert.equal(changed.headers['warning'], '299 - "mind the gap"')
  await server.call('DELETE', `${MAPS}/a`, {
    kind: 'DeleteOptions',
    apiVersion: 'v1',
    propagationPolicy: 'Background',
  })
  const [update, deletion] = hook.calls.map(one => one.body.request)
  assert.deepEqual(
    [update.operation, update.oldObject.data, update.object.data],
    ['UPDATE', { x: '1' }, { x: '2' }],
  )
  assert.deepEqual(
    [deletion.operation, deletion.oldObject.data, deletion.object],
    ['DELETE', { x: '2' }, null],
  )
  assert.equal(deletion.options.propagationPolicy, 'Background')
})

test('each object of a deleted collection is shown, without the name of a request', async () => {
  const server = serve()
  await server.call('POST', MAPS, map('a'))
  await server.call('POST', MAPS, map('b'))
  await configure(server, 'Validating', 'v', [{}])
  await server.call('DELETE', MAPS)
  const seen = hook.calls.map(one => one.body.request)
  assert.deepEqual(seen.map(one => one.oldObject.metadata.name).sort(), ['a', 'b'])
  assert.deepEqual(
    seen.map(one => one.name),
    [undefined, undefined],
  )
})

test('another version of the same objects matches by way of Equivalent, and not by Exact', async () => {
  const server = serve()
  const rule = {
    ...everything,
    apiGroups: ['autoscaling'],
    apiVersions: ['v1'],
    resources: ['horizontalpodautoscalers'],
  }
  await configure(server, 'Mutating', 'm', [{ rules: [rule] }, { rules: [rule], matchPolicy: 'Exact' }])
  answers.set('/m0', review => patchWith(review, [{ op: 'replace', path: '/spec/maxReplicas', value: 7 }]))
  const made = await server.call('POST', '/apis/autoscaling/v2/namespaces/dev/horizontalpodautoscalers', {
    apiVersion: 'autoscaling/v2',
    kind: 'HorizontalPodAutoscaler',
    metadata: { name: 'a' },
    spec: { scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'd' }, maxReplicas: 3 },
  })
  assert.equal(made.status, 201, JSON.stringify(made.body))
  assert.equal(made.body.spec.maxReplicas, 7)
  assert.equal(hook.calls.length, 1)
  const request = requestAt(0)
  assert.equal(request.object.apiVersion, 'autoscaling/v1')
  assert.deepEqual(request.kind, { group: 'autoscaling', version: 'v1', kind: 'HorizontalPodAutoscaler' })
  assert.deepEqual(request.requestKind, {
    group: 'autoscaling',
    version: 'v2',
    kind: 'HorizontalPodAutoscaler',
  })
})

test('selectors choose by the labels of the namespace and of the object', async () => {
  const server = serve()
  await server.call('POST', '/api/v1/namespaces', namespace('dev', { team: 'a' }))
  await server.call('POST', '/api/v1/namespaces', namespace('other'))
  await configure(server, 'Validating', 'v', [
    { namespaceSelector: { matchLabels: { team: 'a' } } },
    { objectSelector: { matchExpressions: [{ key: 'skip', operator: 'DoesNotExist' }] } },
  ])
  const paths = () =>
    hook.calls
      .splice(0)
      .map(one => one.path.slice(0, 3))
      .sort()
  await server.call('POST', MAPS, map('a'))
  assert.deepEqual(paths(), ['/v0', '/v1'])
  await server.call('POST', '/api/v1/namespaces/other/configmaps', map('a', {}, { skip: 'x' }))
  assert.deepEqual(paths(), [])
})

test('a webhook that cannot be reached ends the request, or is passed over, as its policy says', async () => {
  const server = serve()
  const nowhere = { clientConfig: { url: 'https://127.0.0.1:1/x', caBundle: hook.caBundle } }
  await configure(server, 'Mutating', 'open', [{ ...nowhere, failurePolicy: 'Ignore' }])
  assert.equal((await server.call('POST', MAPS, map('a'))).status, 201)
  await configure(server, 'Validating', 'shut', [nowhere])
  const refused = await server.call('POST', MAPS, map('b'))
  assert.equal(refused.status, 500)
  assert.equal(
    refused.body.message,
    'Internal error occurred: failed calling webhook "h0.shut.io": failed to call webhook: ' +
      'Post "https://127.0.0.1:1/x?timeout=10s": dial tcp 127.0.0.1:1: connect: connection refused',
  )
})

test('a slow webhook has its time and no more, an unknown authority is not believed', async () => {
  const server = serve()
  let release = () => {}
  const held = new Promise<void>(resolve => {
    release = resolve
  })
  answers.set('/v0', async review => {
    await held
    return allow(review)
  })
  await configure(server, 'Validating', 'v', [{ timeoutSeconds: 1 }])
  const late = await server.call('POST', MAPS, map('a'))
  release()
  assert.equal(late.status, 500)
  assert.match(late.body.message, /v0\?timeout=1s": context deadline exceeded$/)
  await configure(server, 'Validating', 'w', [{ clientConfig: { url: `${hook.url}/w0` } }])
  await server.call('DELETE', '/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/v')
  const unknown = await server.call('POST', MAPS, map('a'))
  assert.match(unknown.body.message, /x509: certificate signed by unknown authority$/)
})

test('answers that are none are the webhook’s failure', async () => {
  const server = serve()
  await configure(server, 'Mutating', 'm', [{}])
  const cases: readonly (readonly [Answer, RegExp])[] = [
    [() => ({ body: {} }), /received invalid webhook response: webhook response was absent$/],
    [
      review => ({ body: { ...review, response: { uid: 'x', allowed: true } } }),
      /received invalid webhook response: expected response\.uid="[^"]+", got "x"$/,
    ],
    [
      review => ({
        body: {
          apiVersion: 'admission.k8s.io/v1beta1',
          kind: 'AdmissionReview',
          response: { uid: review.request.uid, allowed: true },
        },
      }),
      /expected webhook response of admission\.k8s\.io\/v1, Kind=AdmissionReview, got admission\.k8s\.io\/v1beta1/,
    ],
    [
      () => ({ status: 404, body: 'no' }),
      /failed to call webhook: the server could not find the requested resource$/,
    ],
    [
      review => allow(review, { patchType: 'JSONPatch' }),
      /returned response\.patchType but not response\.patch$/,
    ],
    [() => ({ body: 'x' }), /couldn't get version\/kind; json parse error/],
  ]
  for (const [answer, expected] of cases) {
    answers.set('/m0', answer)
    const refused = await server.call('POST', MAPS, map('a'))
    assert.equal(refused.status, 500)
    assert.match(refused.body.message, expected)
  }
})

test('a refusal that clients could not read is made one that they can', async () => {
  const server = serve()
  await configure(server, 'Mutating', 'm', [{}])
  answers.set('/m0', review => deny(review, 'no', { status: { code: 99_999, message: 'no' } }))
  assert.equal((await server.call('POST', MAPS, map('a'))).status, 400)
  answers.set('/m0', review => deny(review, 'no', { status: { reason: 7 } }))
  const refused = await server.call('POST', MAPS, map('a'))
  assert.equal(refused.status, 500)
  assert.match(refused.body.message, /invalid webhook response: json: .* Status\.response\.status\.reason/)
})

test('a patch neither moves an object to another namespace nor takes the object away', async () => {
  const server = serve()
  await configure(server, 'Mutating', 'm', [{}])
  const patched = async (operation: object) => {
    answers.set('/m0', review => patchWith(review, [operation]))
    return server.call('POST', MAPS, map('a'))
  }
  const moved = await patched({ op: 'replace', path: '/metadata/namespace', value: 'kube-system' })
  assert.deepEqual([moved.status, moved.body.reason], [400, 'BadRequest'])
  const gone = await patched({ op: 'replace', path: '', value: [] })
  assert.deepEqual([gone.status, gone.body.reason], [500, 'InternalError'])
  const kept = await patched({ op: 'remove', path: '/metadata/namespace' })
  assert.deepEqual([kept.status, kept.body.metadata.namespace], [201, 'dev'])
  answers.set('/m0', review => patchWith(review, [{ op: 'replace', path: '/metadata/name', value: 'other' }]))
  const renamed = await server.call('PUT', `${MAPS}/a`, map('a', { x: 'y' }))
  assert.ok([400, 422].includes(renamed.status), JSON.stringify(renamed.body))
})

test('who asks for it is called again when a later webhook changed the object', async () => {
  const server = serve()
  await configure(server, 'Mutating', 'm', [
    { reinvocationPolicy: 'IfNeeded' },
    {},
    { reinvocationPolicy: 'IfNeeded' },
  ])
  answers.set('/m1', review => patchWith(review, [{ op: 'add', path: '/data/second', value: 'x' }]))
  const made = await server.call('POST', MAPS, map('a', { x: '1' }))
  assert.equal(made.body.data.second, 'x')
  assert.deepEqual(
    hook.calls.map(one => one.path.slice(0, 3)),
    ['/m0', '/m1', '/m2', '/m0'],
  )
})

test('a dry run reaches only webhooks without side effects', async () => {
  const server = serve()
  await configure(server, 'Validating', 'v', [{ sideEffects: 'NoneOnDryRun' }])
  assert.equal((await server.call('POST', `${MAPS}?dryRun=All`, map('a'))).status, 201)
  assert.equal(hook.calls[0]?.body.request.dryRun, true)
})

test('configurations of webhooks are exempt, and a patched object is checked as ever', async () => {
  const server = serve()
  answers.set('/v0', review => deny(review, 'no'))
  await configure(server, 'Validating', 'v', [{ rules: [everything] }])
  await configure(server, 'Validating', 'w', [{ rules: [everything] }])
  assert.equal(hook.calls.length, 0)
  const path = '/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations'
  assert.equal((await server.call('DELETE', `${path}/v`)).status, 200)
  assert.equal((await server.call('DELETE', `${path}/w`)).status, 200)
  await configure(server, 'Mutating', 'm', [{}])
  answers.set('/m0', review => patchWith(review, [{ op: 'add', path: '/data/not ok', value: 'x' }]))
  const invalid = await server.call('POST', MAPS, map('a', { x: '1' }))
  assert.equal(invalid.status, 422)
  answers.set('/m0', review => patchWith(review, [{ op: 'remove', path: '/data/none' }]))
  const failed = await server.call('POST', MAPS, map('a', { x: '1' }))
  assert.equal(failed.status, 500)
})

test('bindings, scales, evictions and streams are shown as what the client sent', async () => {
  const server = serve()
  const container = { name: 'c', image: 'i' }
  await server.call('POST', '/api/v1/namespaces/dev/pods', {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'p' },
    spec: { containers: [container] },
  })
  await server.call('POST', '/apis/apps/v1/namespaces/dev/deployments', {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'd' },
    spec: {
      selector: { matchLabels: { a: 'b' } },
      template: { metadata: { labels: { a: 'b' } }, spec: { containers: [container] } },
    },
  })
  await configure(server, 'Validating', 'v', [{ rules: [everything] }])
  await server.call('POST', '/api/v1/namespaces/dev/pods/p/binding', {
    apiVersion: 'v1',
    kind: 'Binding',
    metadata: { name: 'p' },
    target: { kind: 'Node', name: 'n' },
  })
  await server.call(
    'PATCH',
    '/apis/apps/v1/namespaces/dev/deployments/d/scale',
    { spec: { replicas: 3 } },
    {
      'content-type': 'application/merge-patch+json',
    },
  )
  await server.call('POST', '/api/v1/namespaces/dev/pods/p/exec?command=ls&stdout=1')
  await server.call('POST', '/api/v1/namespaces/dev/pods/p/eviction', {
    apiVersion: 'policy/v1',
    kind: 'Eviction',
    metadata: { name: 'p' },
  })
  const seen = hook.calls.map(({ body: { request } }) => [
    request.operation,
    `${request.resource.resource}/${request.subResource}`,
    `${request.kind.group}/${request.kind.kind}`,
    request.object.spec?.replicas ?? request.oldObject?.spec?.replicas ?? null,
  ])
  assert.deepEqual(seen, [
    ['CREATE', 'pods/binding', '/Binding', null],
    ['UPDATE', 'deployments/scale', 'autoscaling/Scale', 3],
    ['CONNECT', 'pods/exec', '/PodExecOptions', null],
    ['CREATE', 'pods/eviction', 'policy/Eviction', null],
  ])
})

test('match conditions keep a webhook from requests, and are checked when they are written', async () => {
  const server = serve()
  const condition = (expression: string) => ({ name: 'c', expression })
  await configure(server, 'Mutating', 'm', [
    { matchConditions: [condition("object.metadata.name != 'skip-me' && request.operation == 'CREATE'")] },
    { matchConditions: [condition("!('system:masters' in request.userInfo.groups)")] },
    { matchConditions: [condition('object.spec.nothing == 1')], failurePolicy: 'Ignore' },
    { matchConditions: [condition("!authorizer.requestResource.check('use').allowed()")] },
    { matchConditions: [condition("authorizer.requestResource.check('other').allowed()")] },
  ])
  await server.call('POST', MAPS, map('skip-me'))
  assert.equal(hook.calls.length, 0)
  await server.call('POST', MAPS, map('a'))
  assert.deepEqual(
    hook.calls.map(one => one.path.slice(0, 3)),
    ['/m0'],
  )
  await configure(server, 'Validating', 'v', [{ matchConditions: [condition('object.none.there')] }])
  const refused = await server.call('POST', MAPS, map('b'))
  assert.equal(refused.status, 403)
  assert.match(refused.body.message, /no such key: none/)
  const path = '/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations'
  const present = (await server.call('GET', `${path}/v`)).body
  present.webhooks[0].matchConditions = [condition('object.metadata.nam = 1'), condition('1')]
  const invalid = await server.call('PUT', `${path}/v`, present)
  assert.equal(invalid.status, 422)
  const causes = invalid.body.details.causes as { field: string; message: string }[]
  assert.deepEqual(
    causes.map(one => one.field),
    ['expression', 'expression', 'name'].map(
      (field, at) => `webhooks[0].matchConditions[${at === 0 ? 0 : 1}].${field}`,
    ),
  )
  assert.match(causes[0]?.message ?? '', /compilation failed: ERROR: <input>:1:/)
})

test('calls are counted under the names that dashboards know', () => {
  const names = new Set(metrics.metrics().map(one => one.name))
  assert.ok(names.has('apiserver_admission_webhook_admission_duration_seconds'))
  assert.ok(names.has('apiserver_admission_webhook_rejection_count'))
  assert.ok(names.has('apiserver_admission_webhook_fail_open_count'))
})
