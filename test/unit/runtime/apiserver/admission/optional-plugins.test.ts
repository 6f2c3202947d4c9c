/** Admission plugins that are off unless they are enabled: each with one request, and objects in memory. */
import assert from 'node:assert/strict'
import test from 'node:test'
import { Mk8sError } from '../../../../../src/base/errors.ts'
import { seededRandom } from '../../../../../src/base/random.ts'
import { chosenAdmissionPlugins } from '../../../../../src/config/admission-plugins.ts'
import type { KubeObject } from '../../../../../src/kube/object.ts'
import { StatusError } from '../../../../../src/kube/status.ts'
import type { Pod, PodSpec } from '../../../../../src/kube/types.ts'
import {
  type AdmissionParts,
  createAdmission,
} from '../../../../../src/runtime/apiserver/admission/admission.ts'
import { parseAdmission } from '../../../../../src/runtime/apiserver/admission/admission-configuration.ts'
import type { AdmissionRequest, RequestAttributes } from '../../../../../src/runtime/apiserver/ports.ts'
import { ManualClock } from '../../../../support/manual-clock.ts'
import { named, readerOf } from '../object-reader.ts'

/** Pods are not changed by what is always on. */
const QUIET = 'PodSecurity,ServiceAccount,Priority,DefaultTolerationSeconds,NamespaceLifecycle'

interface World {
  readonly plugins: readonly object[]
  readonly namespace: KubeObject
  readonly parts: Partial<AdmissionParts>
}

function admissionWith(enable: string, world: Partial<World> = {}) {
  const clock = new ManualClock()
  const { plugins = [], namespace = named('Namespace', 'dev'), parts = {} } = world
  const text = JSON.stringify({
    ...{ apiVersion: 'apiserver.config.k8s.io/v1', kind: 'AdmissionConfiguration' },
    plugins,
  })
  const all = createAdmission({
    objects: readerOf({ '/namespaces': [namespace] }),
    authorizer: {
      authorize: () => ({ allowed: true, reason: '' }),
      rulesFor: () => ({ rules: [], problems: [] }),
      rulesOf: () => ({ rules: [] }),
    },
    ...{ clock, random: seededRandom(1) },
    enabled: chosenAdmissionPlugins(enable, QUIET),
    settings: parseAdmission(text, '/etc/mk8s/admission.yaml', () => ''),
    ...parts,
  })
  const notes: Record<string, string> = {}
  const run = async (over: Record<string, unknown>) => {
    const { group = '', kind = 'Pod', resource = 'pods', ...rest } = over
    const object = (over['object'] ?? null) as KubeObject | null
    const request = {
      ...{ operation: 'CREATE', subresource: '', namespace: 'dev', name: object?.metadata.name ?? '' },
      ...{ user: { username: 'jane', groups: [] }, dryRun: false, warn() {}, object, oldObject: null },
      annotate: (key: string, value: string) => Object.assign(notes, { [key]: value }),
      cluster: {
        resourceOfKind: ({ kind: wanted }: { kind: string }) =>
          wanted === 'ReplicaSet' ? { resource: 'replicasets', namespaced: true } : undefined,
      },
      ...rest,
      resource: { group, version: 'v1', kind, resource, namespaced: true },
    } as unknown as AdmissionRequest
    for (const plugin of all) await plugin.admit?.(request)
    for (const plugin of all) await plugin.validate?.(request)
  }
  return { run, clock, notes }
}

const pod = (spec: object = {}, annotations = {}): Pod & KubeObject => {
  const object = named('Pod', 'p', 'dev', { spec: { containers: [{ name: 'c', image: 'i' }], ...spec } })
  object.metadata.annotations = annotations
  return object as never
}

async function admitted(
  run: (over: Record<string, unknown>) => Promise<void>,
  spec: object,
): Promise<PodSpec> {
  const object = pod(spec)
  await run({ object })
  return object.spec as PodSpec
}

const refused = (code: number, message: string) => (error: unknown) => {
  assert.ok(error instanceof StatusError, String(error))
  assert.deepEqual([error.code, error.message], [code, message])
  return true
}

const withAnnotations = (annotations: Record<string, string>): KubeObject => {
  const namespace = named('Namespace', 'dev')
  namespace.metadata.annotations = annotations
  return namespace
}

test('plugins by name: on, off, and unknown', () => {
  const usual = chosenAdmissionPlugins()
  assert.ok(usual.has('PodSecurity') && !usual.has('AlwaysPullImages'))
  const chosen = chosenAdmissionPlugins('AlwaysPullImages, EventRateLimit', 'PodSecurity')
  assert.ok(chosen.has('AlwaysPullImages') && chosen.has('EventRateLimit') && !chosen.has('PodSecurity'))
  assert.throws(
    () => admissionWith('EventRateLimit'),
    (error: unknown) => error instanceof Mk8sError && /EventRateLimit is on and has no/.test(error.message),
  )
  assert.throws(() => admissionWith('ImagePolicyWebhook'), /ImagePolicyWebhook is on and has no/)
})

test('AlwaysPullImages: every image of a new pod is pulled, and old pods may keep theirs', async () => {
  const { run } = admissionWith('AlwaysPullImages')
  const volumes = [{ name: 'v', image: { reference: 'data', pullPolicy: 'Never' } }]
  const spec = await admitted(run, { initContainers: [{ name: 'i', imagePullPolicy: 'Never' }], volumes })
  const containers = [...(spec.initContainers ?? []), ...spec.containers]
  assert.deepEqual(
    [...containers.map(each => each.imagePullPolicy), spec.volumes?.[0]?.image?.pullPolicy],
    ['Always', 'Always', 'Always'],
  )
  const old = pod({ containers: [{ name: 'c', image: 'i', imagePullPolicy: 'Never' }] })
  const kept = structuredClone(old)
  await run({ operation: 'UPDATE', object: kept, oldObject: old })
  assert.equal(kept.spec?.containers[0]?.imagePullPolicy, 'Never')
  const webhook = {
    mutating: {
      name: 'MutatingAdmissionWebhook',
      admit: ({ object }: AdmissionRequest) => {
        const [container] = (object as unknown as Pod).spec?.containers ?? []
        Object.assign(container ?? {}, { imagePullPolicy: 'Never' })
      },
    },
    validating: { name: 'ValidatingAdmissionWebhook' },
  }
  const meddled = admissionWith('AlwaysPullImages', { parts: { webhooks: webhook } })
  const field = 'spec.containers[0].imagePullPolicy: Unsupported value: "Never": supported values: "Always"'
  await assert.rejects(meddled.run({ object: pod() }), refused(403, `pods "p" is forbidden: ${field}`))
})

test('LimitPodHardAntiAffinityTopology: nobody keeps others out of more than a host', async () => {
  const { run } = admissionWith('LimitPodHardAntiAffinityTopology')
  const apart = (topologyKey: string) => ({
    affinity: { podAntiAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [{ topologyKey }] } },
  })
  await admitted(run, apart('kubernetes.io/hostname'))
  await assert.rejects(
    admitted(run, apart('zone')),
    /RequiredDuringScheduling has TopologyKey zone but only key kubernetes\.io\/hostname is allowed/,
  )
})

test('ExtendedResourceToleration: who asks for a device tolerates the taint of its nodes, once', async () => {
  const { run } = admissionWith('ExtendedResourceToleration')
  const resources = { requests: { 'example.com/b': '1', 'example.com/a': '2', cpu: '1' } }
  const spec = { containers: [{ name: 'c', resources }] }
  const wanted = ['a', 'b'].map(name => ({
    ...{ key: `example.com/${name}`, operator: 'Exists', effect: 'NoSchedule' },
  }))
  const got = await admitted(run, spec)
  assert.deepEqual(got.tolerations, wanted)
  assert.deepEqual((await admitted(run, got)).tolerations, wanted)
})

test('DenyServiceExternalIPs: services keep the external IPs that they have and get no others', async () => {
  const { run } = admissionWith('DenyServiceExternalIPs')
  const service = (...externalIPs: string[]) => named('Service', 's', 'dev', { spec: { externalIPs } })
  const write = (object: KubeObject, oldObject: KubeObject | null = null) =>
    run({
      kind: 'Service',
      resource: 'services',
      operation: oldObject ? 'UPDATE' : 'CREATE',
      object,
      oldObject,
    })
  await write(service())
  await write(service('1.1.1.1'), service('1.1.1.1', '2.2.2.2'))
  const message = 'services "s" is forbidden: Use of external IPs is denied by admission control'
  await assert.rejects(write(service('1.1.1.1')), refused(403, message))
  await assert.rejects(write(service('3.3.3.3'), service('1.1.1.1')), refused(403, message))
})

test('PodNodeSelector: the selector of the namespace is added and cannot be contradicted', async () => {
  const annotated = withAnnotations({ 'scheduler.alpha.kubernetes.io/node-selector': 'env=test,disk=ssd' })
  const { run } = admissionWith('PodNodeSelector', { namespace: annotated })
  const got = await admitted(run, { nodeSelector: { own: 'x' } })
  assert.deepEqual(got.nodeSelector, { env: 'test', disk: 'ssd', own: 'x' })
  const why = 'pod node label selector conflicts with its namespace node label selector'
  const conflicting = admitted(run, { nodeSelector: { env: 'production' } })
  await assert.rejects(conflicting, refused(403, `pods "p" is forbidden: ${why}`))
  const configuration = {
    podNodeSelectorPluginConfig: { clusterDefaultNodeSelector: 'env=default', dev: 'env=default,gpu=yes' },
  }
  const configured = admissionWith('PodNodeSelector', {
    plugins: [{ name: 'PodNodeSelector', configuration }],
  }).run
  const usual = await admitted(configured, { nodeSelector: { gpu: 'yes' } })
  assert.deepEqual(usual.nodeSelector, { env: 'default', gpu: 'yes' })
  await assert.rejects(
    admitted(configured, { nodeSelector: { gpu: 'no' } }),
    /pod node label selector labels conflict with its namespace whitelist/,
  )
})

test('PodTolerationRestriction: defaults are merged, and what is not allowed is refused', async () => {
  const tolerate = (key: string, more: object = {}) => ({
    ...{ key, operator: 'Exists', effect: 'NoSchedule' },
    ...more,
  })
  const configuration = {
    ...{ apiVersion: 'podtolerationrestriction.admission.k8s.io/v1alpha1', kind: 'Configuration' },
    default: [tolerate('usual')],
    whitelist: [tolerate('usual'), tolerate('node.kubernetes.io/memory-pressure')],
  }
  const plugins = [{ name: 'PodTolerationRestriction', configuration }]
  const { run } = admissionWith('PodTolerationRestriction', { plugins })
  assert.deepEqual((await admitted(run, {})).tolerations, [tolerate('usual')])
  const asking = { containers: [{ name: 'c', resources: { requests: { cpu: '1' } } }] }
  assert.deepEqual((await admitted(run, asking)).tolerations, [
    tolerate('usual'),
    tolerate('node.kubernetes.io/memory-pressure'),
  ])
  const narrow = tolerate('usual', { operator: 'Equal', value: 'v' })
  assert.deepEqual((await admitted(run, { tolerations: [narrow] })).tolerations, [tolerate('usual')])
  const conflict = (scope: string) =>
    `pod tolerations (possibly merged with ${scope} default tolerations) conflict with its ${scope} whitelist`
  const other = { tolerations: [tolerate('other')] }
  await assert.rejects(admitted(run, other), refused(500, conflict('cluster')))
  const namespace = withAnnotations({
    'scheduler.alpha.kubernetes.io/defaultTolerations': '[]',
    'scheduler.alpha.kubernetes.io/tolerationsWhitelist': JSON.stringify([tolerate('other')]),
  })
  const own = admissionWith('PodTolerationRestriction', { plugins, namespace }).run
  assert.deepEqual((await admitted(own, other)).tolerations, [tolerate('other')])
  await assert.rejects(
    admitted(own, { tolerations: [tolerate('usual')] }),
    refused(500, conflict('namespace')),
  )
})

test('EventRateLimit: a burst, then a rate, each for its own', async () => {
  const configuration = {
    ...{ apiVersion: 'eventratelimit.admission.k8s.io/v1alpha1', kind: 'Configuration' },
    limits: [
      { type: 'Namespace', qps: 1, burst: 2, cacheSize: 2 },
      { type: 'SourceAndObject', qps: 10, burst: 1 },
    ],
  }
  const plugins = [{ name: 'EventRateLimit', configuration }]
  const { run, clock } = admissionWith('EventRateLimit', { plugins })
  const event = (name: string, namespace = 'dev') =>
    run({
      ...{ kind: 'Event', resource: 'events', namespace },
      object: named('Event', 'e', namespace, {
        source: { component: 'c' },
        involvedObject: { namespace, name },
      }),
    })
  await event('a')
  await event('b')
  const limited = 'Too many requests: limit reached on type Namespace for key dev'
  await assert.rejects(event('c'), (error: unknown) => {
    assert.equal((error as StatusError).status.details, undefined, 'clients are not to try again')
    return refused(429, limited)(error)
  })
  await event('a', 'other')
  await clock.advance(1_000)
  await event('d')
  const source = 'Too many requests: limit reached on type SourceAndObject for key cthirda'
  await event('a', 'third')
  await assert.rejects(event('a', 'third'), refused(429, source))
  await run({ resource: 'configmaps', kind: 'ConfigMap', object: named('ConfigMap', 'm', 'dev') })
})

test('ImagePolicyWebhook: what the server says is heeded, noted and kept', async () => {
  const asked: object[] = []
  const answers: (object | Error)[] = []
  const postReview = () => async (review: object) => {
    asked.push(review)
    const answer = answers.shift() ?? new Error('nobody there')
    if (answer instanceof Error) throw answer
    return { status: answer } as never
  }
  const withPolicy = (policy: object) =>
    admissionWith('ImagePolicyWebhook', {
      plugins: [{ name: 'ImagePolicyWebhook', configuration: { imagePolicy: policy } }],
      parts: { postReview },
    })
  const { run, clock, notes } = withPolicy({ kubeConfigFile: 'images.kubeconfig', allowTTL: 60, denyTTL: -1 })
  const images = (...names: string[]) => ({
    containers: names.map((image, at) => ({ name: `c${at}`, image })),
  })
  answers.push({ allowed: true, auditAnnotations: { who: 'me' } })
  await run({ object: pod(images('a', 'b'), { 'x.image-policy.k8s.io/ticket': '1', other: '2' }) })
  await run({ object: pod(images('a', 'b'), { 'x.image-policy.k8s.io/ticket': '1' }) })
  assert.deepEqual(asked, [
    {
      ...{ apiVersion: 'imagepolicy.k8s.io/v1alpha1', kind: 'ImageReview', status: {} },
      spec: {
        containers: [{ image: 'a' }, { image: 'b' }],
        annotations: { 'x.image-policy.k8s.io/ticket': '1' },
        namespace: 'dev',
      },
    },
  ])
  assert.deepEqual(notes, { 'imagepolicywebhook.image-policy.k8s.io/who': 'me' })
  answers.push({ allowed: false, reason: 'too old' }, { allowed: false })
  const denied = 'pods "p" is forbidden: image policy webhook backend denied one or more images: too old'
  await assert.rejects(run({ object: pod(images('old')) }), refused(403, denied))
  await assert.rejects(run({ object: pod(images('old')) }), /one or more images rejected by webhook backend/)
  const ephemeral = { ...images('a'), ephemeralContainers: [{ name: 'd', image: 'debug' }] }
  answers.push({ allowed: true })
  await run({ operation: 'UPDATE', subresource: 'ephemeralcontainers', object: pod(ephemeral) })
  assert.equal(asked.length, 4)
  const lost = assert.rejects(
    run({ object: pod(images('x')) }),
    refused(403, 'pods "p" is forbidden: nobody there'),
  )
  await passing(clock, lost)
  const open = withPolicy({ kubeConfigFile: '/k', defaultAllow: true })
  await passing(open.clock, open.run({ object: pod(images('x')) }))
  assert.deepEqual(open.notes, { 'imagepolicywebhook.image-policy.k8s.io/failed-open': 'true' })
})

/** Lets time go by until the promise is settled. */
async function passing(clock: ManualClock, promise: Promise<void>): Promise<void> {
  let isDone = false
  const done = promise.finally(() => {
    isDone = true
  })
  while (!isDone) await clock.advance(1_000)
  await done
}

test('NamespaceAutoProvision and NamespaceExists: missing namespaces are made, or nothing is done there', async () => {
  const made: string[] = []
  const createNamespace = async (name: string) => void made.push(name)
  const { run } = admissionWith('NamespaceAutoProvision', { parts: { createNamespace } })
  const map = { resource: 'configmaps', kind: 'ConfigMap', object: named('ConfigMap', 'm') }
  await run(map)
  await run({ ...map, namespace: 'new', dryRun: true })
  await run({ ...map, namespace: 'new', operation: 'UPDATE' })
  assert.deepEqual(made, [])
  await run({ ...map, namespace: 'new' })
  assert.deepEqual(made, ['new'])
  const exists = admissionWith('NamespaceExists').run
  await exists({ ...map, operation: 'DELETE' })
  await assert.rejects(
    exists({ ...map, namespace: 'nope', operation: 'DELETE' }),
    refused(404, 'namespaces "nope" not found'),
  )
})

test('OwnerReferencesPermissionEnforcement: who sets owners may delete, and who blocks them may finalize', async () => {
  const allowed = new Set<string>()
  const authorize = ({ verb, group, resource, subresource }: RequestAttributes) => ({
    allowed: allowed.has([verb, group, resource, subresource].join('/')),
    reason: '',
  })
  const rules = { rulesFor: () => ({ rules: [], problems: [] }), rulesOf: () => ({ rules: [] }) }
  const { run } = admissionWith('OwnerReferencesPermissionEnforcement', {
    parts: { authorizer: { authorize, ...rules } },
  })
  const owned = (kind: string, blockOwnerDeletion: boolean) => {
    const object = pod()
    const owner = { apiVersion: 'apps/v1', kind, name: 'o', uid: 'u', blockOwnerDeletion }
    object.metadata.ownerReferences = [owner]
    return object
  }
  const head = 'pods "p" is forbidden: cannot set'
  await assert.rejects(
    run({ object: owned('ReplicaSet', false) }),
    refused(403, `${head} an ownerRef on a resource you can't delete: , <nil>`),
  )
  allowed.add('delete//pods/')
  await run({ object: owned('ReplicaSet', false) })
  const what = "if an ownerReference refers to a resource you can't set finalizers on: , <nil>"
  await assert.rejects(
    run({ object: owned('ReplicaSet', true) }),
    refused(403, `${head} blockOwnerDeletion ${what}`),
  )
  allowed.add('update/apps/replicasets/finalizers')
  await run({ object: owned('ReplicaSet', true) })
  await assert.rejects(
    run({ object: owned('Thing', true) }),
    /cannot find RESTMapping for APIVersion apps\/v1/,
  )
  allowed.add('update/*/*/finalizers')
  await run({ object: owned('Thing', true) })
  allowed.clear()
  const old = owned('ReplicaSet', true)
  await run({ operation: 'UPDATE', object: structuredClone(old), oldObject: old })
})

test('AlwaysDeny denies', async () => {
  const message = 'pods "p" is forbidden: admission control is denying all modifications'
  await assert.rejects(admissionWith('AlwaysDeny').run({ object: pod() }), refused(403, message))
})
