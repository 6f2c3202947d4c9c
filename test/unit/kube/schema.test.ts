/** Decoding and defaulting along the model. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { parseModel } from '../../../src/kube/model.ts'
import { applyModelDefaults, decodeFailure, decodeObject } from '../../../src/kube/schema.ts'

const root = join(import.meta.dirname, '../../..')
const model = parseModel(readFileSync(join(root, 'build/model/model.json'), 'utf8'))
const POD = 'io.k8s.api.core.v1.Pod'
const DEPLOYMENT = 'io.k8s.api.apps.v1.Deployment'

const decode = (type: string, value: unknown) => decodeObject(model, type, value, 'strict')

test('an object that needs no change is returned as it is', () => {
  const pod = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'a', labels: { a: 'b' }, creationTimestamp: '2026-01-01T00:00:00Z' },
    spec: { containers: [{ name: 'c', resources: { limits: { cpu: '500m' } } }] },
  }
  const decoded = decode(POD, pod)
  assert.equal(decoded.object, pod)
  assert.deepEqual([decoded.unknownFields, decoded.typeErrors], [[], []])
})

test('unknown fields are dropped and named, nulls are dropped, values become canonical', () => {
  const given = {
    spec: {
      foo: 1,
      nodeName: null,
      containers: [
        { name: 'c', bar: {}, resources: { limits: { cpu: 0.5, memory: '1024Mi' } }, args: ['x', null] },
      ],
    },
    metadata: { creationTimestamp: '2026-01-01T02:00:00.5+02:00', labels: { a: null } },
  }
  const before = JSON.stringify(given)
  const { object, unknownFields, typeErrors } = decode(POD, given)
  assert.deepEqual(object, {
    spec: {
      containers: [{ name: 'c', resources: { limits: { cpu: '500m', memory: '1Gi' } }, args: ['x', ''] }],
    },
    metadata: { creationTimestamp: '2026-01-01T00:00:00Z', labels: { a: '' } },
  })
  assert.deepEqual(unknownFields, ['unknown field "spec.foo"', 'unknown field "spec.containers[0].bar"'])
  assert.deepEqual(typeErrors, [])
  assert.equal(JSON.stringify(given), before)
})

test('wrong types are told in the words of Go', () => {
  const cases: [string, object, string][] = [
    [
      DEPLOYMENT,
      { spec: { replicas: 'three' } },
      'json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32',
    ],
    [
      POD,
      { spec: { containers: {} } },
      'json: cannot unmarshal object into Go struct field PodSpec.spec.containers of type []v1.Container',
    ],
    [
      POD,
      { spec: { containers: [{ ports: [{ containerPort: 1.5 }] }] } },
      'json: cannot unmarshal number 1.5 into Go struct field ContainerPort.spec.containers.ports.containerPort of type int32',
    ],
    [
      DEPLOYMENT,
      { spec: { replicas: 3_000_000_000 } },
      'json: cannot unmarshal number 3000000000 into Go struct field DeploymentSpec.spec.replicas of type int32',
    ],
    [
      POD,
      { metadata: { labels: { a: 1 } } },
      'json: cannot unmarshal number into Go struct field ObjectMeta.metadata.labels.a of type string',
    ],
    [
      POD,
      { metadata: { creationTimestamp: 'x' } },
      'parsing time "x" as "2006-01-02T15:04:05Z07:00": cannot parse "x" as "2006"',
    ],
    ['io.k8s.api.core.v1.Secret', { data: { a: 'not base64!' } }, 'illegal base64 data at input byte 3'],
    [
      POD,
      { spec: { containers: [{ livenessProbe: { httpGet: { port: true } } }] } },
      'json: cannot unmarshal bool into Go value of type int32',
    ],
    [POD, [] as object, 'json: cannot unmarshal array into Go value of type v1.Pod'],
  ]
  for (const [type, value, message] of cases) assert.equal(decode(type, value).typeErrors[0], message)
  const quantity = decode(POD, { spec: { overhead: { cpu: 'lots' } } }).typeErrors[0] ?? ''
  assert.match(quantity, /^quantities must match the regular expression/)
  assert.equal(decodeFailure('Pod', 'v1', 'x').message, 'Pod in version "v1" cannot be handled as a Pod: x')
})

test('a key named __proto__ in a map stays data', () => {
  const given = JSON.parse('{"metadata":{"labels":{"__proto__":"x","a":null}}}')
  const { object } = decode(POD, given)
  assert.equal(JSON.stringify(object), '{"metadata":{"labels":{"__proto__":"x","a":""}}}')
})

test('defaults reach every depth and leave what is set', () => {
  const deployment: Record<string, unknown> = {
    spec: {
      replicas: 0,
      template: {
        spec: {
          containers: [{ name: 'c', ports: [{ containerPort: 1 }], livenessProbe: { periodSeconds: 0 } }],
          restartPolicy: '',
        },
      },
    },
  }
  applyModelDefaults(model, DEPLOYMENT, deployment)
  assert.deepEqual(deployment, {
    metadata: {},
    spec: {
      progressDeadlineSeconds: 600,
      replicas: 0,
      revisionHistoryLimit: 10,
      strategy: { type: 'RollingUpdate' },
      template: {
        metadata: {},
        spec: {
          containers: [
            {
              name: 'c',
              ports: [{ containerPort: 1, protocol: 'TCP' }],
              livenessProbe: {
                failureThreshold: 3,
                periodSeconds: 10,
                successThreshold: 1,
                timeoutSeconds: 1,
              },
              resources: {},
              terminationMessagePath: '/dev/termination-log',
              terminationMessagePolicy: 'File',
            },
          ],
          dnsPolicy: 'ClusterFirst',
          restartPolicy: 'Always',
          schedulerName: 'default-scheduler',
          securityContext: {},
          terminationGracePeriodSeconds: 30,
        },
      },
    },
    status: {},
  })
})

test('empty lists and maps of optional fields are left out, as Go writes them', () => {
  const meta = { name: 'x', labels: {}, finalizers: [], ownerReferences: [] }
  const pod = {
    metadata: meta,
    spec: { containers: [], nodeSelector: {}, volumes: [{ name: 'v', emptyDir: {} }] },
  }
  const { object } = decodeObject(model, 'io.k8s.api.core.v1.Pod', pod, 'strict')
  assert.deepEqual(object, {
    metadata: { name: 'x' },
    spec: { containers: [], volumes: [{ name: 'v', emptyDir: {} }] },
  })
  const slice = decodeObject(model, 'io.k8s.api.discovery.v1.EndpointSlice', { ports: [] }, 'strict')
  assert.deepEqual(slice.object, { ports: [] })
})

test('zeros of fields that are no pointers are left out, as Go writes them, and others stay', () => {
  const spec = {
    containers: [
      { name: 'a', image: 'b', stdin: false, workingDir: '', ports: [{ containerPort: 0, hostPort: 0 }] },
    ],
    hostNetwork: false,
    nodeName: '',
    priority: 0,
    automountServiceAccountToken: false,
  }
  const { object } = decodeObject(model, 'io.k8s.api.core.v1.Pod', { spec }, 'strict')
  assert.deepEqual(object['spec'], {
    containers: [{ name: 'a', image: 'b', ports: [{ containerPort: 0 }] }],
    priority: 0,
    automountServiceAccountToken: false,
  })
})
