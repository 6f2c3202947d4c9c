/** Pods: defaults, the words of refusals, what may change, grace, and the one word of STATUS. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { KubeObject } from '../../../../../src/kube/object.ts'
import { pullPolicyFor } from '../../../../../src/runtime/apiserver/registry/core/pod-defaults.ts'
import { pods } from '../../../../../src/runtime/apiserver/registry/core/pods.ts'
import { created, createProblems, object, read, row, specOf, testContext, updated } from './support.ts'

const container = (over: object = {}): object => ({ name: 'app', image: 'nginx:1.27', ...over })
const pod = (spec: object): KubeObject => object('Pod', { spec: { containers: [container()], ...spec } })

test('a pod gets the defaults of upstream', () => {
  const made = created(
    pods,
    pod({
      containers: [
        container({
          image: 'nginx',
          ports: [{ containerPort: 80 }],
          resources: { limits: { cpu: '1', memory: '1Gi' } },
          livenessProbe: { httpGet: { port: 80 } },
        }),
      ],
      volumes: [{ name: 'scratch' }, { name: 'keys', secret: { secretName: 'keys' } }],
    }),
  )
  assert.deepEqual(made['status'], { phase: 'Pending', qosClass: 'Guaranteed' })
  assert.equal(made.metadata.generation, 1)
  assert.deepEqual(made['spec'], {
    containers: [
      {
        name: 'app',
        image: 'nginx',
        imagePullPolicy: 'Always',
        ports: [{ containerPort: 80, protocol: 'TCP' }],
        resources: { limits: { cpu: '1', memory: '1Gi' }, requests: { cpu: '1', memory: '1Gi' } },
        terminationMessagePath: '/dev/termination-log',
        terminationMessagePolicy: 'File',
        livenessProbe: {
          httpGet: { port: 80, path: '/', scheme: 'HTTP' },
          timeoutSeconds: 1,
          periodSeconds: 10,
          successThreshold: 1,
          failureThreshold: 3,
        },
      },
    ],
    volumes: [
      { name: 'scratch', emptyDir: {} },
      { name: 'keys', secret: { secretName: 'keys', defaultMode: 420 } },
    ],
    enableServiceLinks: true,
    dnsPolicy: 'ClusterFirst',
    restartPolicy: 'Always',
    securityContext: {},
    terminationGracePeriodSeconds: 30,
    schedulerName: 'default-scheduler',
  })
  assert.deepEqual(pods.validate?.(made), [])
})

test('the pull policy follows the tag', () => {
  const policies = ['nginx', 'nginx:latest', 'host:5000/nginx', 'nginx:1', 'nginx@sha256:0'].map(
    pullPolicyFor,
  )
  assert.deepEqual(policies, ['Always', 'Always', 'Always', 'IfNotPresent', 'IfNotPresent'])
})

const refusals: readonly [string, object, readonly string[]][] = [
  ['no containers', { containers: [] }, ['spec.containers: Required value']],
  [
    'an empty image',
    { containers: [container({ image: '' })] },
    ['spec.containers[0].image: Required value'],
  ],
  [
    'a container name twice',
    { containers: [container(), container()] },
    ['spec.containers[1].name: Duplicate value: "app"'],
  ],
  [
    'a port name twice',
    {
      containers: [
        container({
          ports: [
            { name: 'http', containerPort: 80 },
            { name: 'http', containerPort: 81 },
          ],
        }),
      ],
    },
    ['spec.containers[0].ports[1].name: Duplicate value: "http"'],
  ],
  [
    'a port out of range',
    { containers: [container({ ports: [{ containerPort: 70000 }] })] },
    [
      'spec.containers[0].ports[0].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive',
    ],
  ],
  [
    'an unknown protocol',
    { containers: [container({ ports: [{ containerPort: 80, protocol: 'tcp' }] })] },
    [
      'spec.containers[0].ports[0].protocol: Unsupported value: "tcp": supported values: "SCTP", "TCP", "UDP"',
    ],
  ],
  [
    'a request above its limit',
    { containers: [container({ resources: { requests: { cpu: '2' }, limits: { cpu: '1' } } })] },
    [
      'spec.containers[0].resources.requests: Invalid value: "2": must be less than or equal to cpu limit of 1',
    ],
  ],
  [
    'a negative quantity',
    { containers: [container({ resources: { requests: { memory: '-1Gi' } } })] },
    [
      'spec.containers[0].resources.requests[memory]: Invalid value: "-1Gi": must be greater than or equal to 0',
    ],
  ],
  [
    'a bad quantity',
    { containers: [container({ resources: { requests: { cpu: 'lots' } } })] },
    [
      'spec.containers[0].resources.requests[cpu]: Invalid value: "lots": quantities must match the regular ' +
        "expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
    ],
  ],
  [
    'a mount of no volume',
    { containers: [container({ volumeMounts: [{ name: 'data', mountPath: '/data' }] })] },
    ['spec.containers[0].volumeMounts[0].name: Not found: "data"'],
  ],
  [
    'an unknown restart policy',
    { restartPolicy: 'Sometimes' },
    ['spec.restartPolicy: Unsupported value: "Sometimes": supported values: "Always", "OnFailure", "Never"'],
  ],
  [
    'a probe without a handler',
    { containers: [container({ readinessProbe: {} })] },
    ['spec.containers[0].readinessProbe: Required value: must specify a handler type'],
  ],
  [
    'two sources of one volume',
    { volumes: [{ name: 'v', emptyDir: {}, hostPath: { path: '/tmp' } }] },
    ['spec.volumes[0].hostPath: Forbidden: may not specify more than 1 volume type'],
  ],
  [
    'a toleration of everything without Exists',
    { tolerations: [{ operator: 'Equal' }] },
    [
      'spec.tolerations[0].operator: Invalid value: "Equal": operator must be Exists when `key` is empty, ' +
        'which means "match all values and all keys"',
    ],
  ],
]

for (const [what, spec, expected] of refusals) {
  test(`a pod with ${what} is refused in upstream's words`, () => {
    assert.deepEqual(createProblems(pods, pod(spec)), expected)
  })
}

test('an update may change images and add tolerations, and nothing else', () => {
  const before = created(pods, pod({}))
  const change = (spec: object) => updated(pods, before, next => Object.assign(specOf(next), spec))
  const allowed = change({
    containers: [{ ...(specOf(before)['containers'] as object[])[0], image: 'nginx:2' }],
    tolerations: [{ key: 'a', operator: 'Exists' }],
  })
  assert.deepEqual(pods.validateUpdate?.(allowed, before), [])
  assert.equal(allowed.metadata.generation, 2)
  const [problem] = read(pods.validateUpdate?.(change({ nodeName: 'other' }), before))
  assert.match(
    problem ?? '',
    /^spec: Forbidden: pod updates may not change fields other than `spec\.containers\[\*\]\.image`,/,
  )
  const [count] = read(pods.validateUpdate?.(change({ containers: [] }), before))
  assert.equal(count, 'spec.containers: Forbidden: pod updates may not add or remove containers')
})

test('grace is the spec’s unless asked otherwise, and none when nothing runs', () => {
  const grace = (spec: object, status: object, requested: number | null) =>
    pods.gracePeriodSeconds?.({ ...pod({ terminationGracePeriodSeconds: 30, ...spec }), status }, requested)
  assert.equal(grace({ nodeName: 'n' }, { phase: 'Running' }, null), 30)
  assert.equal(grace({ nodeName: 'n' }, { phase: 'Running' }, 5), 5)
  assert.equal(grace({}, { phase: 'Pending' }, null), 0)
  assert.equal(grace({ nodeName: 'n' }, { phase: 'Succeeded' }, 30), 0)
})

test('scheduling gates show in a new pod’s conditions', () => {
  const made = created(pods, pod({ schedulingGates: [{ name: 'example.com/wait' }] }))
  assert.equal(row(pods, made)['Status'], 'SchedulingGated')
})

const states: readonly [string, object, object][] = [
  [
    'a crash loop with its last restart',
    {
      phase: 'Running',
      containerStatuses: [
        {
          name: 'app',
          restartCount: 3,
          ready: false,
          state: { waiting: { reason: 'CrashLoopBackOff' } },
          lastState: { terminated: { exitCode: 1, finishedAt: '2026-03-01T11:59:30Z' } },
        },
      ],
    },
    { Ready: '0/1', Status: 'CrashLoopBackOff', Restarts: '3 (30s ago)', Age: '60m' },
  ],
  [
    'an init container that failed',
    {
      phase: 'Pending',
      initContainerStatuses: [
        { name: 'init', restartCount: 0, ready: false, state: { terminated: { exitCode: 2 } } },
      ],
    },
    { Ready: '0/1', Status: 'Init:ExitCode:2', Restarts: '0' },
  ],
  [
    'a ready container',
    {
      phase: 'Running',
      podIP: '10.1.0.7',
      containerStatuses: [
        {
          name: 'app',
          restartCount: 0,
          ready: true,
          state: { running: { startedAt: '2026-03-01T11:00:00Z' } },
        },
      ],
    },
    { Ready: '1/1', Status: 'Running', Restarts: '0', IP: '10.1.0.7', Node: '<none>' },
  ],
  [
    'a finished pod',
    {
      phase: 'Succeeded',
      containerStatuses: [
        {
          name: 'app',
          restartCount: 0,
          ready: false,
          state: { terminated: { exitCode: 0, reason: 'Completed' } },
        },
      ],
    },
    { Ready: '0/1', Status: 'Completed' },
  ],
]

for (const [what, status, expected] of states) {
  test(`the table shows ${what}`, () => {
    const shown = { ...created(pods, pod({ initContainers: [container({ name: 'init' })] })), status }
    const cells = row(pods, shown)
    for (const [name, value] of Object.entries(expected)) assert.equal(cells[name], value, name)
  })
}

test('a pod that is being deleted is Terminating', () => {
  const shown = created(pods, pod({}))
  shown.metadata.deletionTimestamp = '2026-03-01T12:00:30Z'
  shown['status'] = { phase: 'Running' }
  assert.equal(row(pods, shown)['Status'], 'Terminating')
})

test('a status update leaves the owners and the QoS class as they are', () => {
  const before = created(pods, pod({}))
  const next = structuredClone(before)
  next.metadata.ownerReferences = [{ apiVersion: 'v1', kind: 'Node', name: 'n', uid: 'u' }]
  next['status'] = { phase: 'Running' }
  pods.prepareForStatusUpdate?.(next, before, testContext())
  assert.equal(next.metadata.ownerReferences, undefined)
  assert.deepEqual(next['status'], { phase: 'Running', qosClass: 'BestEffort' })
})
