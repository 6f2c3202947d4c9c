/** Each plugin with one request and objects in memory: what it fills in and what it refuses. */
import assert from 'node:assert/strict'
import test from 'node:test'
import { systemClock } from '../../../../../src/base/clock.ts'
import { seededRandom } from '../../../../../src/base/random.ts'
import type { KubeObject } from '../../../../../src/kube/object.ts'
import { StatusError } from '../../../../../src/kube/status.ts'
import type { Pod } from '../../../../../src/kube/types.ts'
import {
  type AdmissionParts,
  createAdmission,
} from '../../../../../src/runtime/apiserver/admission/admission.ts'
import type { AdmissionRequest } from '../../../../../src/runtime/apiserver/ports.ts'
import { named, readerOf } from '../object-reader.ts'

type Store = Record<string, KubeObject[]>

const everythingAllowed = {
  authorize: () => ({ allowed: true, reason: '' }),
  rulesFor: () => ({ rules: [], problems: [] }),
  rulesOf: () => ({ rules: [] }),
  stop() {},
}

function setUp(store: Store = {}, over: Partial<AdmissionParts> = {}) {
  const objects = readerOf({
    '/namespaces': [named('Namespace', 'dev')],
    '/serviceaccounts': [named('ServiceAccount', 'default', 'dev')],
    ...store,
  })
  const plugins = createAdmission({
    objects,
    authorizer: everythingAllowed,
    clock: systemClock,
    random: seededRandom(1),
    ...over,
  })
  return async (over: Record<string, unknown>) => {
    const { group = '', kind = '', ...rest } = over
    const request = {
      operation: 'CREATE',
      subresource: '',
      namespace: 'dev',
      name: (over['object'] as KubeObject | undefined)?.metadata.name ?? '',
      user: { username: 'jane', groups: [] },
      dryRun: false,
      warn() {},
      annotate() {},
      object: null,
      oldObject: null,
      ...rest,
      resource: {
        group,
        version: 'v1',
        kind,
        resource: over['resource'],
        namespaced: over['namespaced'] ?? true,
      },
    } as unknown as AdmissionRequest
    for (const plugin of plugins) await plugin.admit?.(request)
    for (const plugin of plugins) await plugin.validate?.(request)
  }
}

const pod = (spec: object = {}): Pod & KubeObject =>
  named('Pod', 'p', 'dev', { spec: { containers: [{ name: 'c', image: 'i' }], ...spec } }) as never

const refusal = (code: number, message: string) => (error: unknown) => {
  assert.ok(error instanceof StatusError, String(error))
  assert.equal(error.message, message)
  assert.equal(error.code, code)
  return true
}

test('a namespace that is missing, going or immortal is guarded', async () => {
  const going = named('Namespace', 'going', '', { status: { phase: 'Terminating' } })
  const run = setUp({ '/namespaces': [going, named('Namespace', 'dev')] })
  const create = (namespace: string) =>
    run({ resource: 'configmaps', namespace, object: named('ConfigMap', 'm') })
  await create('dev')
  await assert.rejects(create('nope'), refusal(404, 'namespaces "nope" not found'))
  const why = 'unable to create new content in namespace going because it is being terminated'
  await assert.rejects(create('going'), (error: StatusError) => {
    assert.equal(error.status.details?.causes?.[0]?.reason, 'NamespaceTerminating')
    return refusal(403, `configmaps "m" is forbidden: ${why}`)(error)
  })
  const remove = { operation: 'DELETE', resource: 'namespaces', namespaced: false }
  const message = 'namespaces "default" is forbidden: this namespace may not be deleted'
  await assert.rejects(run({ ...remove, name: 'default', namespace: '' }), refusal(403, message))
  await run({ ...remove, name: 'dev', namespace: '' })
})

test('a pod gets its account, the token volume, a priority and tolerations', async () => {
  const run = setUp()
  const object = pod()
  await run({ resource: 'pods', object })
  const { spec } = object
  assert.equal(spec?.serviceAccountName, 'default')
  assert.equal(spec?.serviceAccount, 'default')
  assert.equal(spec?.priority, 0)
  assert.equal(spec?.preemptionPolicy, 'PreemptLowerPriority')
  assert.deepEqual(
    spec?.tolerations?.map(item => [item.key, item.effect, item.tolerationSeconds]),
    [
      ['node.kubernetes.io/not-ready', 'NoExecute', 300],
      ['node.kubernetes.io/unreachable', 'NoExecute', 300],
    ],
  )
  const [volume] = spec?.volumes ?? []
  assert.match(volume?.name ?? '', /^kube-api-access-[a-z0-9]{5}$/)
  assert.equal(volume?.projected?.defaultMode, 420)
  assert.equal(volume?.projected?.sources?.[0]?.serviceAccountToken?.expirationSeconds, 3607)
  assert.deepEqual(spec?.containers[0]?.volumeMounts, [
    { name: volume?.name, readOnly: true, mountPath: '/var/run/secrets/kubernetes.io/serviceaccount' },
  ])
  const before = structuredClone(object)
  await run({ resource: 'pods', object })
  assert.deepEqual(object, before, 'a second time changes nothing')
})

test('accounts decide on pull secrets and on the token', async () => {
  const account = named('ServiceAccount', 'quiet', 'dev', {
    automountServiceAccountToken: false,
    imagePullSecrets: [{ name: 's' }],
  })
  const run = setUp({ '/serviceaccounts': [account] })
  const object = pod({ serviceAccountName: 'quiet' })
  await run({ resource: 'pods', object })
  assert.equal(object.spec?.volumes, undefined)
  assert.deepEqual(object.spec?.imagePullSecrets, [{ name: 's' }])
  const missing = 'error looking up service account dev/x: serviceaccount "x" not found'
  const wrong = run({ resource: 'pods', object: pod({ serviceAccountName: 'x' }) })
  await assert.rejects(wrong, refusal(403, `pods "p" is forbidden: ${missing}`))
})

test('the default account of a new namespace is waited for', async () => {
  const accounts: KubeObject[] = []
  const run = setUp({ '/serviceaccounts': accounts })
  const waiting = run({ resource: 'pods', object: pod() })
  accounts.push(named('ServiceAccount', 'default', 'dev'))
  await waiting
})

test('priority comes from the class and not from the pod', async () => {
  const urgent = named('PriorityClass', 'urgent', '', { value: 1000, preemptionPolicy: 'Never' })
  const usual = named('PriorityClass', 'usual', '', { value: 10, globalDefault: true })
  const run = setUp({ 'scheduling.k8s.io/priorityclasses': [urgent, usual] })
  const object = pod({ priorityClassName: 'urgent' })
  await run({ resource: 'pods', object })
  assert.deepEqual([object.spec?.priority, object.spec?.preemptionPolicy], [1000, 'Never'])
  const plain = pod()
  await run({ resource: 'pods', object: plain })
  assert.deepEqual([plain.spec?.priority, plain.spec?.priorityClassName], [10, 'usual'])
  await assert.rejects(
    run({ resource: 'pods', object: pod({ priorityClassName: 'no' }) }),
    /no PriorityClass/,
  )
  await assert.rejects(
    run({ resource: 'pods', object: pod({ priority: 7 }) }),
    /must not be provided in pod spec/,
  )
  const second = named('PriorityClass', 'second', '', { value: 1, globalDefault: true })
  const another = run({
    group: 'scheduling.k8s.io',
    resource: 'priorityclasses',
    namespaced: false,
    object: second,
  })
  await assert.rejects(another, /PriorityClass usual is already marked as default/)
})

test('limit ranges fill in and bound', async () => {
  const range = named('LimitRange', 'r', 'dev', {
    spec: {
      limits: [
        {
          type: 'Container',
          default: { cpu: '500m' },
          defaultRequest: { cpu: '100m' },
          max: { cpu: '1' },
          min: { cpu: '50m' },
        },
        { type: 'Pod', max: { cpu: '1500m' } },
      ],
    },
  })
  const run = setUp({ '/limitranges': [range] })
  const object = pod()
  await run({ resource: 'pods', object })
  assert.deepEqual(object.spec?.containers[0]?.resources, {
    requests: { cpu: '100m' },
    limits: { cpu: '500m' },
  })
  assert.match(
    object.metadata.annotations?.['kubernetes.io/limit-ranger'] ?? '',
    /cpu request for container c/,
  )
  const container = (limit: string) => ({
    name: limit,
    resources: { requests: { cpu: limit }, limits: { cpu: limit } },
  })
  const tooMuch = run({ resource: 'pods', object: pod({ containers: [container('2')] }) })
  const two = 'maximum cpu usage per Container is 1, but limit is 2'
  const whole = 'maximum cpu usage per Pod is 1500m, but limit is 2'
  await assert.rejects(tooMuch, refusal(403, `pods "p" is forbidden: [${two}, ${whole}]`))
  await assert.rejects(
    run({ resource: 'pods', object: pod({ containers: [container('10m')] }) }),
    /minimum cpu/,
  )
})

test('of a claim a kubelet says how far its volume has grown, and nothing else', async () => {
  const run = setUp()
  const user = { username: 'system:node:n1', groups: ['system:nodes'] }
  const claim = named('PersistentVolumeClaim', 'c', 'default', { status: { phase: 'Bound' } })
  const update = (change: object, subresource = 'status') => {
    const object = { ...structuredClone(claim), ...change }
    const common = { resource: 'persistentvolumeclaims', operation: 'UPDATE', subresource, user }
    return run({ ...common, object, oldObject: claim })
  }
  const grown = { capacity: { storage: '2Gi' }, conditions: [], allocatedResourceStatuses: {} }
  await update({ status: { phase: 'Bound', ...grown } })
  const only = /node "n1" is not allowed to update fields other than status\.quantity and status\.conditions/
  await assert.rejects(update({ status: { phase: 'Lost' } }), only)
  await assert.rejects(update({ spec: { volumeName: 'another' } }), only)
  await assert.rejects(update({}, ''), /unexpected persistentvolumeclaims subresource ""/)
})

test('new nodes are tainted, and a kubelet changes only its own', async () => {
  const run = setUp()
  const user = { username: 'system:node:n1', groups: ['system:nodes'] }
  const common = { resource: 'nodes', namespaced: false, namespace: '', user }
  const node = named('Node', 'n1', '', {})
  await run({ ...common, object: node })
  assert.deepEqual(node['spec'], { taints: [{ key: 'node.kubernetes.io/not-ready', effect: 'NoSchedule' }] })
  await assert.rejects(
    run({ ...common, object: named('Node', 'n2') }),
    refusal(403, 'nodes "n2" is forbidden: node "n1" is not allowed to modify node "n2"'),
  )
  const labelled = (labels: Record<string, string>) => {
    const object = structuredClone(node)
    object.metadata.labels = labels
    return { ...common, operation: 'UPDATE', object, oldObject: node }
  }
  await run(labelled({ 'kubernetes.io/hostname': 'n1', own: 'yes' }))
  await assert.rejects(
    run(labelled({ 'node-role.kubernetes.io/control-plane': '' })),
    refusal(
      403,
      'nodes "n1" is forbidden: is not allowed to modify labels: node-role.kubernetes.io/control-plane',
    ),
  )
  const untainted = { ...structuredClone(node), spec: {} }
  await assert.rejects(
    run({ ...common, operation: 'UPDATE', object: untainted, oldObject: node }),
    /not allowed to modify taints/,
  )
  const owned = structuredClone(node)
  owned.metadata.ownerReferences = [{ apiVersion: 'v1', kind: 'Node', name: 'gone', uid: 'none' }]
  const update = { ...common, operation: 'UPDATE' }
  await assert.rejects(
    run({ ...update, object: owned, oldObject: node }),
    refusal(403, 'nodes "n1" is forbidden: node "n1" is not allowed to modify ownerReferences'),
  )
  await run({ ...update, object: structuredClone(owned), oldObject: owned })
  await assert.rejects(run({ resource: 'pods', object: pod(), user }), /can only create mirror pods/)
  const elsewhere = { resource: 'pods', operation: 'DELETE', user, oldObject: pod({ nodeName: 'n2' }) }
  await assert.rejects(run(elsewhere), /can only delete pods with spec.nodeName set to itself/)
  await run({ ...elsewhere, oldObject: pod({ nodeName: 'n1' }) })
})

test('a kubelet shows static pods only as mirrors that it owns and that refer to nothing', async () => {
  const node = named('Node', 'n1')
  node.metadata.uid = 'node-uid'
  const run = setUp({ '/nodes': [node] })
  const user = { username: 'system:node:n1', groups: ['system:nodes'] }
  const owner = { apiVersion: 'v1', kind: 'Node', name: 'n1', uid: 'node-uid', controller: true }
  const create = (owners: object[], spec: object = {}) => {
    const object = pod({ nodeName: 'n1', ...spec })
    object.metadata.annotations = { 'kubernetes.io/config.mirror': 'hash' }
    object.metadata.ownerReferences = owners as never
    return run({ resource: 'pods', object, user })
  }
  const only = 'node "n1" can only create pods with'
  const cases: [object[], object, string][] = [
    [[], {}, `${only} an owner reference set to itself`],
    [[owner, owner], {}, `${only} a single owner reference set to itself`],
    [[{ ...owner, name: 'n2' }], {}, `${only} an owner reference set to itself`],
    [[{ ...owner, controller: false }], {}, `${only} a controller owner reference set to itself`],
    [
      [{ ...owner, blockOwnerDeletion: true }],
      {},
      'node "n1" must not set blockOwnerDeletion on an owner reference',
    ],
    [[{ ...owner, uid: 'other' }], {}, 'node n1 UID mismatch: expected other got node-uid'],
    [[owner], { imagePullSecrets: [{ name: 's' }] }, 'node "n1" can not create pods that reference secrets'],
    [
      [owner],
      { volumes: [{ name: 'v', projected: { sources: [{ configMap: { name: 'c' } }] } }] },
      'node "n1" can not create pods that reference configmaps',
    ],
  ]
  for (const [owners, spec, message] of cases) {
    await assert.rejects(create(owners, spec), refusal(403, `pods "p" is forbidden: ${message}`))
  }
  await create([owner])
})

test('claims and ingresses without a class get the newest default', async () => {
  const storage = (name: string, created: string) => {
    const item = named('StorageClass', name)
    item.metadata.annotations = { 'storageclass.kubernetes.io/is-default-class': 'true' }
    item.metadata.creationTimestamp = created
    return item
  }
  const run = setUp(
    {
      'storage.k8s.io/storageclasses': [
        storage('old', '2024-01-01T00:00:00Z'),
        storage('new', '2025-01-01T00:00:00Z'),
      ],
    },
    { protectStorageInUse: true },
  )
  const claim = named('PersistentVolumeClaim', 'c', 'dev', { spec: {} })
  await run({ resource: 'persistentvolumeclaims', object: claim })
  assert.deepEqual(claim['spec'], { storageClassName: 'new' })
  assert.deepEqual(claim.metadata.finalizers, ['kubernetes.io/pvc-protection'])
  const none = named('PersistentVolumeClaim', 'd', 'dev', { spec: { storageClassName: '' } })
  await run({ resource: 'persistentvolumeclaims', object: none })
  assert.deepEqual(none['spec'], { storageClassName: '' })
})

test('a Binding and a pod that comes with its node get the zone and region of the node, and no other labels', async () => {
  const labels = {
    'topology.kubernetes.io/zone': 'z1',
    'topology.kubernetes.io/region': 'r1',
    'kubernetes.io/hostname': 'n1',
  }
  const node = named('Node', 'n1')
  const run = setUp({ '/nodes': [{ ...node, metadata: { ...node.metadata, labels } }] })
  const got = { 'topology.kubernetes.io/zone': 'z1', 'topology.kubernetes.io/region': 'r1' }
  const binding = named('Binding', 'p', 'dev', { target: { kind: 'Node', name: 'n1' } })
  await run({ resource: 'pods', subresource: 'binding', object: binding })
  assert.deepEqual(binding.metadata.labels, got)
  const placed = pod({ nodeName: 'n1' })
  placed.metadata.labels = { app: 'web', 'topology.kubernetes.io/zone': 'elsewhere' }
  await run({ resource: 'pods', object: placed })
  assert.deepEqual(placed.metadata.labels, { app: 'web', ...got })
  const waiting = pod()
  await run({ resource: 'pods', object: waiting })
  assert.equal(waiting.metadata.labels, undefined)
  const unknown = named('Binding', 'p', 'dev', { target: { kind: 'Node', name: 'n2' } })
  await run({ resource: 'pods', subresource: 'binding', object: unknown })
  assert.equal(unknown.metadata.labels, undefined)
})

test('a runtime class that does not exist refuses the pod', async () => {
  const message = 'pods "p" is forbidden: pod rejected: RuntimeClass "gvisor" not found'
  const run = setUp()({ resource: 'pods', object: pod({ runtimeClassName: 'gvisor' }) })
  await assert.rejects(run, refusal(403, message))
})

test('a namespace says which pod security standard holds in it', async () => {
  const guarded = (level: string) => {
    const namespace = named('Namespace', 'dev')
    namespace.metadata.labels = { 'pod-security.kubernetes.io/enforce': level }
    return setUp({ '/namespaces': [namespace] })
  }
  const intruder = () => pod({ hostNetwork: true, volumes: [{ name: 'h', hostPath: { path: '/' } }] })
  const why =
    'violates PodSecurity "baseline:latest": host namespaces (hostNetwork=true), hostPath volumes (volume "h")'
  const refused = guarded('baseline')({ resource: 'pods', object: intruder() })
  await assert.rejects(refused, refusal(403, `pods "p" is forbidden: ${why}`))
  await guarded('privileged')({ resource: 'pods', object: intruder() })
  await guarded('baseline')({ resource: 'pods', object: pod() })
  const strict = guarded('restricted')
  await assert.rejects(strict({ resource: 'pods', object: pod() }), /runAsNonRoot != true/)
  const securityContext = { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } }
  const good = {
    securityContext: { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } },
    containers: [{ name: 'c', image: 'i', securityContext }],
  }
  await strict({ resource: 'pods', object: pod(good) })
})

test('devices are looked on at from marked namespaces only', async () => {
  const requests = [{ name: 'r', exactly: { deviceClassName: 'c', adminAccess: true } }]
  const spec = { devices: { requests } }
  const ask = { group: 'resource.k8s.io', kind: 'ResourceClaim', resource: 'resourceclaims' }
  const object = named('ResourceClaim', 'looking', 'dev', { spec })
  const why =
    /spec\.devices\.requests\[0\]\.exactly\.adminAccess: Forbidden: admin access to devices requires the/
  await assert.rejects(setUp()({ ...ask, object }), why)
  const marked = named('Namespace', 'dev')
  marked.metadata.labels = { 'resource.kubernetes.io/admin-access': 'true' }
  await setUp({ '/namespaces': [marked] })({ ...ask, object })
  const template = named('ResourceClaimTemplate', 'looking', 'dev', { spec: { spec } })
  const asked = {
    group: 'resource.k8s.io',
    kind: 'ResourceClaimTemplate',
    resource: 'resourceclaimtemplates',
  }
  await assert.rejects(setUp()({ ...asked, object: template }), /spec\.spec\.devices/)
})

test('nobody grants a look at devices by status where the namespace is not marked, unless it was granted before', async () => {
  const claim = (...granted: boolean[]) => {
    const results = granted.map(adminAccess => ({
      request: 'r',
      driver: 'd',
      pool: 'p',
      device: 'x',
      adminAccess,
    }))
    return named('ResourceClaim', 'c', 'dev', { status: { allocation: { devices: { results } } } })
  }
  const ask = { group: 'resource.k8s.io', kind: 'ResourceClaim', resource: 'resourceclaims' }
  const update = { ...ask, operation: 'UPDATE', subresource: 'status', oldObject: claim() }
  const why = /status\.allocation\.devices\.results\[1\]\.adminAccess: Forbidden: admin access to devices/
  await assert.rejects(setUp()({ ...update, object: claim(false, true) }), why)
  await setUp()({ ...update, object: claim(false, false) })
  await setUp()({ ...update, oldObject: claim(true), object: claim(true) })
  const marked = named('Namespace', 'dev')
  marked.metadata.labels = { 'resource.kubernetes.io/admin-access': 'true' }
  await setUp({ '/namespaces': [marked] })({ ...update, object: claim(false, true) })
})

test('a node makes slices of its own devices only', async () => {
  const user = { username: 'system:node:n1', groups: ['system:nodes'] }
  const slice = (nodeName: string) => ({
    ...{ group: 'resource.k8s.io', kind: 'ResourceSlice', resource: 'resourceslices', user },
    object: named('ResourceSlice', 's', '', { spec: { nodeName, driver: 'd' } }),
  })
  await setUp()(slice('n1'))
  await assert.rejects(setUp()(slice('n2')), /can only create\/delete ResourceSlice with the same NodeName/)
})

test('what a pod as a whole is given changes only on nodes that declare that they can', async () => {
  const feature = 'InPlacePodLevelResourcesVerticalScaling'
  const able = { ...named('Node', 'able'), status: { declaredFeatures: [feature] } }
  const run = setUp({ '/nodes': [able, named('Node', 'old')] })
  const asks = (nodeName: string | undefined, cpu: string) =>
    pod({ resources: { requests: { cpu } }, ...(nodeName === undefined ? {} : { nodeName }) })
  const resize = (nodeName: string | undefined, subresource: string) =>
    run({
      ...{ operation: 'UPDATE', resource: 'pods', subresource },
      object: asks(nodeName, '2'),
      oldObject: asks(nodeName, '1'),
    })
  await resize('able', 'resize')
  await resize(undefined, 'resize')
  await resize('old', 'status')
  const why = `pod update requires features ${feature} which are not available on node "old"`
  await assert.rejects(resize('old', 'resize'), refusal(403, `pods "p" is forbidden: ${why}`))
  const unknown = 'pods "p" is forbidden: node "gone" not found'
  await assert.rejects(resize('gone', ''), refusal(403, unknown))
  const same = pod({ nodeName: 'old', resources: { requests: { cpu: '1' } } })
  await run({ operation: 'UPDATE', resource: 'pods', object: same, oldObject: asks('old', '1000m') })
})
