/** What clients are told about objects of built-in kinds, and that they get it as a header. */
import assert from 'node:assert/strict'
import test from 'node:test'
import type { KubeObject } from '../../../../../../src/kube/object.ts'
import { strategies } from '../../../../../../src/runtime/apiserver/registry/registry.ts'
import { makeServer } from '../../harness.ts'

function warned(key: string, fields: object, previous: object | null = null): readonly string[] {
  const object = (given: object) => ({ metadata: { name: 'web' }, ...given }) as KubeObject
  const warnings = strategies.get(key)?.warnings
  assert.ok(warnings, key)
  return warnings(object(fields), previous === null ? null : object(previous))
}
const pod = (spec: object, annotations: Record<string, string> = {}) =>
  warned('/pods', { metadata: { name: 'web', annotations }, spec: { containers: [], ...spec } })
const container = (fields: object) => pod({ containers: [{ name: 'c', ...fields }] })

test('labels of nodes that nobody sets any more are named in selectors, affinities and spreading', () => {
  const expressions = [{ key: 'beta.kubernetes.io/arch', operator: 'Exists' }]
  const term = { matchExpressions: expressions }
  const node = 'spec.affinity.nodeAffinity'
  assert.deepEqual(
    pod({
      nodeSelector: { 'beta.kubernetes.io/os': 'linux', 'kubernetes.io/os': 'linux' },
      affinity: {
        nodeAffinity: {
          requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [term] },
          preferredDuringSchedulingIgnoredDuringExecution: [{ weight: 1, preference: term }],
        },
        podAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [{ topologyKey: 'x' }] },
      },
      topologySpreadConstraints: [{ topologyKey: 'failure-domain.beta.kubernetes.io/zone' }],
    }),
    [
      'spec.nodeSelector[beta.kubernetes.io/os]: deprecated since v1.14; use "kubernetes.io/os" instead',
      `${node}.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchExpressions[0].key: ` +
        'beta.kubernetes.io/arch is deprecated since v1.14; use "kubernetes.io/arch" instead',
      `${node}.preferredDuringSchedulingIgnoredDuringExecution[0].preference.matchExpressions[0].key: ` +
        'beta.kubernetes.io/arch is deprecated since v1.14; use "kubernetes.io/arch" instead',
      'spec.topologySpreadConstraints[0].topologyKey: failure-domain.beta.kubernetes.io/zone is deprecated ' +
        'since v1.17; use "topology.kubernetes.io/zone" instead',
      'spec.topologySpreadConstraints[0].labelSelector: a null labelSelector results in matching no pod',
      'spec.affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].labelSelector: ' +
        'a null labelSelector results in matching no pod',
    ],
  )
})

test('an environment variable that hides another is named, one that goes on from it is not', () => {
  const env = ['a', '$(A) b', '$(A)', 'c'].map(value => ({ name: 'A', value }))
  assert.deepEqual(
    container({ env }),
    [2, 3].map(
      at =>
        `spec.containers[0].env[${at}]: hides previous definition of "A", which may be dropped when using apply`,
    ),
  )
})

test('ports that are the same, overlap or are ambiguous are named', () => {
  const ports = [
    { containerPort: 80, protocol: 'TCP' },
    { containerPort: 80, protocol: 'TCP' },
    { containerPort: 80, protocol: 'TCP', hostPort: 80, hostIP: '10.0.0.1' },
    { containerPort: 80, protocol: 'UDP', hostIP: '10.0.0.1' },
  ]
  const at = 'spec.containers[0].ports'
  assert.deepEqual(container({ ports }), [
    `${at}[1]: duplicate port definition with ${at}[0]`,
    `${at}[2]: overlapping port definition with ${at}[0]`,
    `${at}[2]: overlapping port definition with ${at}[1]`,
    `${at}[3]: hostIP set without hostPort: {Name: HostPort:0 ContainerPort:80 Protocol:UDP HostIP:10.0.0.1}`,
  ])
})

test('fractions of bytes, repeated names and old volumes are named', () => {
  const resources = { requests: { memory: '1m', cpu: '1m' }, limits: { 'ephemeral-storage': '1.5' } }
  const fraction = (value: string) => `fractional byte value "${value}" is invalid, must be an integer`
  assert.deepEqual(container({ resources }), [
    `spec.containers[0].resources.requests[memory]: ${fraction('1m')}`,
    `spec.containers[0].resources.limits[ephemeral-storage]: ${fraction('1500m')}`,
  ])
  const alias = { ip: '10.0.0.1', hostnames: ['a'] }
  assert.deepEqual(
    pod({
      volumes: [{ name: 'v', gitRepo: { repository: 'x' } }],
      hostAliases: [alias, alias],
      imagePullSecrets: [{ name: 'a' }, { name: 'a' }, {}],
      terminationGracePeriodSeconds: -1,
      dnsConfig: { nameservers: ['2001:DB8::1'] },
    }),
    [
      'spec.volumes[0].gitRepo: deprecated in v1.11, and disabled by default in v1.33+',
      'spec.hostAliases[1].ip: duplicate ip "10.0.0.1"',
      'spec.imagePullSecrets[1].name: duplicate name "a"',
      'spec.imagePullSecrets[2].name: invalid empty name ""',
      'spec.terminationGracePeriodSeconds: must be >= 0; negative values are invalid and will be treated as 1',
      'spec.dnsConfig.nameservers[0]: IPv6 address "2001:DB8::1" should be in RFC 5952 canonical format ' +
        '("2001:db8::1")',
    ],
  )
})

test('a change of a workload is looked at when its spec has changed, a change of a pod never', () => {
  const template = { spec: { nodeSelector: { 'beta.kubernetes.io/os': 'linux' }, containers: [] } }
  const at = (generation: number) => ({ metadata: { name: 'a.b', generation }, spec: { template } })
  const selector =
    'spec.template.spec.nodeSelector[beta.kubernetes.io/os]: deprecated since v1.14; use "kubernetes.io/os" instead'
  const [name, ...rest] = warned('apps/deployments', at(1))
  assert.match(
    name ?? '',
    /^metadata.name: this is used in Pod names and hostnames, which can result in surp/,
  )
  assert.match(name ?? '', /a DNS label is recommended: \[a lowercase RFC 1123 label must/)
  assert.deepEqual(rest, [selector])
  assert.deepEqual(warned('apps/deployments', at(2), at(1)), [selector])
  assert.deepEqual(warned('apps/deployments', at(1), at(1)), [])
  assert.deepEqual(warned('/pods', template, template), [])
})

test('services, claims, volumes, ingresses, classes and accounts have their own', () => {
  const said = (key: string, fields: object) => warned(key, fields).map(text => text.slice(0, 52))
  const annotated = (key: string) => ({ metadata: { name: 'a', annotations: { [key]: 'x' } } })
  const headless = { type: 'ClusterIP', clusterIP: 'None', externalIPs: ['192.0.2.1'] }
  assert.deepEqual(warned('/services', { spec: headless }), [
    'spec.externalIPs is ignored for headless services',
  ])
  assert.deepEqual(
    said('/services', { spec: { externalIPs: ['192.0.2.1'], trafficDistribution: 'PreferClose' } }),
    [
      'spec.externalIPs is deprecated and may no longer be ',
      'spec.trafficDistribution: "PreferClose" is deprecate',
    ],
  )
  assert.deepEqual(warned('networking.k8s.io/ingresses', annotated('kubernetes.io/ingress.class')), [
    'annotation "kubernetes.io/ingress.class" is deprecated, please use \'spec.ingressClassName\' instead',
  ])
  const old = annotated('volume.beta.kubernetes.io/storage-class')
  assert.deepEqual(warned('/persistentvolumeclaims', old), [
    'metadata.annotations[volume.beta.kubernetes.io/storage-class]: deprecated since v1.8; ' +
      'use "storageClassName" attribute instead',
  ])
  assert.equal(warned('/persistentvolumes', { spec: { persistentVolumeReclaimPolicy: 'Recycle' } }).length, 1)
  const scheduling = { nodeSelector: { 'beta.kubernetes.io/os': 'linux' } }
  assert.equal(warned('node.k8s.io/runtimeclasses', { scheduling }).length, 1)
  assert.equal(warned('/serviceaccounts', annotated('kubernetes.io/enforce-mountable-secrets')).length, 1)
})

test('the client gets them as headers, and the object is made', async () => {
  const server = makeServer({})
  const reply = await server.call('POST', '/api/v1/namespaces/default/services', {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'web' },
    spec: { ports: [{ port: 80 }], externalIPs: ['192.0.2.1'] },
  })
  assert.equal(reply.status, 201)
  assert.match(reply.headers?.['warning'] ?? '', /^299 - "spec.externalIPs is deprecated/)
})
