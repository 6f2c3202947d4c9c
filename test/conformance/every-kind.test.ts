/** kubectl's get and describe, once for every kind: the columns show, the details print, nothing fails. */
import assert from 'node:assert/strict'
import test, { after, before, describe } from 'node:test'
import { named, type Suite, startSuite, waiting } from '../support/conformance.ts'

const HOME = 'every-kind'
const one = (apiVersion: string, kind: string, rest: object = {}) => ({
  ...named(apiVersion, kind, 'one'),
  ...rest,
})
const app = { app: 'one' }
const workload = { selector: { matchLabels: app }, template: waiting(app), replicas: 0 }
const finite = { spec: { restartPolicy: 'Never', containers: [{ name: 'c', image: 'localhost/sleep' }] } }
const ADMISSION = 'admissionregistration.k8s.io/v1'
const FLOWS = 'flowcontrol.apiserver.k8s.io/v1'
const RBAC = 'rbac.authorization.k8s.io/v1'
const STORAGE = 'storage.k8s.io/v1'
const NETWORK = 'networking.k8s.io/v1'
const DEVICES = 'resource.k8s.io/v1'
const rule = { apiGroups: ['apps'], apiVersions: ['v1'], resources: ['nothing'], operations: ['CREATE'] }
const webhook = {
  name: 'a.example.com',
  clientConfig: { url: 'https://127.0.0.1:1/' },
  sideEffects: 'None',
  admissionReviewVersions: ['v1'],
  rules: [rule],
}
const claimSpec = { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Mi' } } }
const expression = { expression: 'true' }
const request = { exactly: { deviceClassName: 'one' }, name: 'r' }

/** One of each kind that does not come with the cluster, in a form that starts nothing. */
const objects: readonly object[] = [
  one('v1', 'ConfigMap', { data: { a: 'b' } }),
  one('v1', 'Secret', { stringData: { a: 'b' } }),
  one('v1', 'LimitRange', { spec: { limits: [{ type: 'Container', max: { cpu: '64' } }] } }),
  one('v1', 'ResourceQuota', { spec: { hard: { configmaps: '10' } } }),
  one('v1', 'PersistentVolumeClaim', { spec: { ...claimSpec, storageClassName: 'one' } }),
  one('v1', 'PersistentVolume', {
    spec: {
      capacity: { storage: '1Mi' },
      accessModes: ['ReadWriteOnce'],
      hostPath: { path: '/nowhere' },
      storageClassName: 'other',
    },
  }),
  one('v1', 'Pod', { spec: { ...waiting(app).spec, nodeSelector: { no: 'where' } } }),
  one('v1', 'PodTemplate', { template: waiting(app) }),
  one('v1', 'ReplicationController', { spec: { ...workload, selector: app } }),
  one('v1', 'Service', { spec: { selector: app, ports: [{ port: 80 }] } }),
  one('v1', 'Event', { involvedObject: { kind: 'Pod', name: 'one', namespace: HOME }, reason: 'R' }),
  one('apps/v1', 'ControllerRevision', { data: { a: 'b' }, revision: 1 }),
  one('apps/v1', 'DaemonSet', {
    spec: {
      selector: { matchLabels: app },
      template: { ...waiting(app), spec: { ...waiting(app).spec, nodeSelector: { no: 'where' } } },
    },
  }),
  one('apps/v1', 'Deployment', { spec: workload }),
  one('apps/v1', 'StatefulSet', { spec: { ...workload, serviceName: 'one' } }),
  one('autoscaling/v2', 'HorizontalPodAutoscaler', {
    spec: { scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'one' }, maxReplicas: 2 },
  }),
  one('batch/v1', 'Job', { spec: { suspend: true, template: finite } }),
  one('batch/v1', 'CronJob', {
    spec: { schedule: '0 0 1 1 *', suspend: true, jobTemplate: { spec: { template: finite } } },
  }),
  one('coordination.k8s.io/v1', 'Lease', { spec: { holderIdentity: 'a', leaseDurationSeconds: 10 } }),
  one('discovery.k8s.io/v1', 'EndpointSlice', {
    addressType: 'IPv4',
    endpoints: [{ addresses: ['10.9.9.9'] }],
    ports: [{ port: 80 }],
  }),
  one(NETWORK, 'IngressClass', { spec: { controller: 'example.com/one' } }),
  one(NETWORK, 'Ingress', {
    spec: { defaultBackend: { service: { name: 'one', port: { number: 80 } } } },
  }),
  {
    ...one(NETWORK, 'IPAddress', {
      spec: { parentRef: { resource: 'services', namespace: HOME, name: 'one' } },
    }),
    metadata: { name: '10.9.9.9' },
  },
  one(NETWORK, 'NetworkPolicy', { spec: { podSelector: {} } }),
  one('policy/v1', 'PodDisruptionBudget', { spec: { minAvailable: 1, selector: { matchLabels: app } } }),
  one(RBAC, 'Role', { rules: [{ apiGroups: [''], resources: ['pods'], verbs: ['get'] }] }),
  one(RBAC, 'RoleBinding', {
    roleRef: { apiGroup: RBAC.split('/')[0], kind: 'Role', name: 'one' },
    subjects: [{ kind: 'User', name: 'a', apiGroup: RBAC.split('/')[0] }],
  }),
  one('scheduling.k8s.io/v1', 'PriorityClass', { value: 5 }),
  one('node.k8s.io/v1', 'RuntimeClass', { handler: 'one' }),
  one(STORAGE, 'StorageClass', { provisioner: 'example.com/one' }),
  one(STORAGE, 'CSIDriver', { spec: {} }),
  one(STORAGE, 'CSINode', { spec: { drivers: [] } }),
  one(STORAGE, 'CSIStorageCapacity', { storageClassName: 'one', nodeTopology: {} }),
  one(STORAGE, 'VolumeAttachment', {
    spec: { attacher: 'example.com', nodeName: 'a', source: { persistentVolumeName: 'one' } },
  }),
  one(STORAGE, 'VolumeAttributesClass', { driverName: 'example.com', parameters: { a: 'b' } }),
  one(ADMISSION, 'MutatingWebhookConfiguration', { webhooks: [webhook] }),
  one(ADMISSION, 'ValidatingWebhookConfiguration', { webhooks: [webhook] }),
  one(ADMISSION, 'ValidatingAdmissionPolicy', {
    spec: { matchConstraints: { resourceRules: [rule] }, validations: [expression] },
  }),
  one(ADMISSION, 'ValidatingAdmissionPolicyBinding', {
    spec: { policyName: 'one', validationActions: ['Warn'] },
  }),
  one(ADMISSION, 'MutatingAdmissionPolicy', {
    spec: {
      matchConstraints: { resourceRules: [rule] },
      reinvocationPolicy: 'Never',
      mutations: [{ patchType: 'ApplyConfiguration', applyConfiguration: { expression: 'Object{}' } }],
    },
  }),
  one(ADMISSION, 'MutatingAdmissionPolicyBinding', { spec: { policyName: 'one' } }),
  one(DEVICES, 'DeviceClass', { spec: {} }),
  one(DEVICES, 'ResourceClaim', { spec: { devices: { requests: [request] } } }),
  one(DEVICES, 'ResourceClaimTemplate', { spec: { spec: { devices: { requests: [request] } } } }),
  one(DEVICES, 'ResourceSlice', {
    spec: { driver: 'example.com', nodeName: 'a', pool: { name: 'p', generation: 1, resourceSliceCount: 1 } },
  }),
  one(FLOWS, 'FlowSchema', {
    spec: {
      priorityLevelConfiguration: { name: 'one' },
      rules: [
        {
          subjects: [{ kind: 'User', user: { name: 'nobody' } }],
          nonResourceRules: [{ verbs: ['get'], nonResourceURLs: ['/nothing'] }],
        },
      ],
    },
  }),
  one(FLOWS, 'PriorityLevelConfiguration', {
    spec: { type: 'Limited', limited: { limitResponse: { type: 'Reject' } } },
  }),
]

/** Kinds of which this cluster has none: only a client of their own makes one, or what runs has not been measured. */
const EMPTY = [
  'certificatesigningrequests.certificates.k8s.io',
  'customresourcedefinitions.apiextensions.k8s.io',
  'nodes.metrics.k8s.io',
  'pods.metrics.k8s.io',
]

describe('every kind', () => {
  let suite: Suite
  let kinds: readonly string[]

  before(async () => {
    suite = await startSuite()
    await suite.kubectl.ok(['create', 'namespace', HOME])
    const list = { apiVersion: 'v1', kind: 'List', items: objects }
    await suite.kubectl.ok(['-n', HOME, 'create', '--validate=strict', '-f', '-'], {
      input: JSON.stringify(list),
    })
    const found = await suite.kubectl.ok(['api-resources', '--verbs=list,get', '-o', 'name'])
    kinds = found.trim().split('\n')
  })
  after(() => suite?.cluster.remove())

  test('is listed with columns of its own by kubectl get -o wide', async () => {
    assert.ok(kinds.length > 55, kinds.join(' '))
    const problems: string[] = []
    const look = async (kind: string) => {
      const { code, stdout, stderr } = await suite.kubectl.try(['get', kind, '-n', HOME, '-o', 'wide'])
      const isEmpty = stderr.startsWith('No resources found')
      if (code !== 0 || (stderr !== '' && !isEmpty && !stderr.startsWith('Warning: ')))
        problems.push(`${kind}: ${stderr}`)
      else if (isEmpty && !EMPTY.includes(kind)) problems.push(`${kind}: ${isEmpty ? 'empty' : stdout}`)
      else if (/<invalid>|undefined|\[object|NaN/.test(stdout)) problems.push(`${kind}: ${stdout}`)
    }
    for (let from = 0; from < kinds.length; from += 4)
      await Promise.all(kinds.slice(from, from + 4).map(look))
    assert.deepEqual(problems, [])
  })

  test('the components of the control plane say that they are healthy', async () => {
    const shown = await suite.kubectl.ok(['get', 'cs', '--no-headers'])
    const rows = shown
      .trim()
      .split('\n')
      .map(line => line.trim().split(/\s+/))
    const names = ['controller-manager', 'scheduler', 'etcd-0']
    assert.deepEqual(
      rows,
      names.map(name => [name, 'Healthy', 'ok']),
    )
    const wrong = await suite.kubectl.try(['get', 'cs', 'nobody'])
    assert.match(wrong.stderr, /componentstatuses "nobody" not found/)
  })

  test('is told of by kubectl describe', async () => {
    const problems: string[] = []
    const look = async (kind: string) => {
      const { code, stdout, stderr } = await suite.kubectl.try(['describe', kind, '-n', HOME])
      if (code !== 0) problems.push(`${kind}: ${stderr}`)
      else if (!EMPTY.includes(kind) && !/^Name:\s+\S/m.test(stdout))
        problems.push(`${kind}: ${stdout}${stderr}`)
    }
    for (let from = 0; from < kinds.length; from += 4)
      await Promise.all(kinds.slice(from, from + 4).map(look))
    assert.deepEqual(problems, [])
  })
})
