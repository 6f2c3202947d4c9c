/** Deployments and their relatives: selectors, counts, generations, columns. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { must } from '../../../../../src/base/assert.ts'
import type { KubeObject } from '../../../../../src/kube/object.ts'
import { strategies } from '../../../../../src/runtime/apiserver/registry/registry.ts'
import { created, createProblems, object, read, row, specOf, updated } from './support.ts'

const strategyOf = (key: string) => must(strategies.get(key), key)
const deployments = strategyOf('apps/deployments')
const jobs = strategyOf('batch/jobs')

const template = (over: object = {}): object => ({
  metadata: { labels: { app: 'web' } },
  spec: { containers: [{ name: 'app', image: 'nginx' }], ...over },
})
const workload = (kind: string, spec: object = {}): KubeObject =>
  object(kind, { spec: { selector: { matchLabels: { app: 'web' } }, template: template(), ...spec } })

const refusals: readonly [string, string, object, readonly string[]][] = [
  [
    'a missing selector',
    'apps/deployments',
    { selector: undefined },
    [
      'spec.selector: Required value',
      'spec.template.metadata.labels: Invalid value: {"app":"web"}: `selector` does not match template `labels`',
    ],
  ],
  [
    'a selector that misses the template',
    'apps/replicasets',
    { selector: { matchLabels: { app: 'other' } } },
    [
      'spec.template.metadata.labels: Invalid value: {"app":"web"}: `selector` does not match template `labels`',
    ],
  ],
  [
    'a selector that is none, whatever the template is',
    'apps/deployments',
    { selector: { matchExpressions: [{ key: 'app', operator: 'Like' }] }, template: {} },
    [
      'spec.selector.matchExpressions[0].operator: Invalid value: "Like": not a valid selector operator',
      'spec.selector: Invalid value: {"matchExpressions":[{"key":"app","operator":"Like"}]}: invalid label selector',
    ],
  ],
  [
    'an empty selector',
    'apps/deployments',
    { selector: {} },
    ['spec.selector: Invalid value: {}: empty selector is invalid for deployment'],
  ],
  [
    'negative replicas',
    'apps/deployments',
    { replicas: -1 },
    ['spec.replicas: Invalid value: -1: must be greater than or equal to 0'],
  ],
  [
    'a bad restart policy',
    'apps/deployments',
    { template: template({ restartPolicy: 'Never' }) },
    ['spec.template.spec.restartPolicy: Unsupported value: "Never": supported values: "Always"'],
  ],
  [
    'rolling update settings beside Recreate',
    'apps/deployments',
    { strategy: { type: 'Recreate', rollingUpdate: { maxSurge: 1 } } },
    ["spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` is 'Recreate'"],
  ],
  [
    'no room to roll',
    'apps/deployments',
    { strategy: { rollingUpdate: { maxSurge: 0, maxUnavailable: 0 } } },
    ['spec.strategy.rollingUpdate.maxUnavailable: Invalid value: 0: may not be 0 when `maxSurge` is 0'],
  ],
  [
    'a bad label value',
    'apps/daemonsets',
    { template: { ...template(), metadata: { labels: { app: 'web', tier: '-' } } } },
    [
      'spec.template.labels: Invalid value: "-": a valid label must be an empty string or consist of alphanumeric ' +
        "characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or " +
        "'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')",
    ],
  ],
]

for (const [what, key, spec, expected] of refusals) {
  test(`${key} with ${what} is refused in upstream's words`, () => {
    assert.deepEqual(createProblems(strategyOf(key), workload('Deployment', spec)), expected)
  })
}

test('a deployment gets the defaults of upstream', () => {
  const {
    template: _template,
    selector: _selector,
    ...rest
  } = specOf(created(deployments, workload('Deployment')))
  assert.deepEqual(rest, {
    replicas: 1,
    strategy: { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: '25%', maxSurge: '25%' } },
    revisionHistoryLimit: 10,
    progressDeadlineSeconds: 600,
  })
})

test('the selector of a deployment is immutable', () => {
  const before = created(deployments, workload('Deployment'))
  const next = updated(deployments, before, changed => {
    specOf(changed)['selector'] = { matchLabels: { app: 'other' } }
  })
  assert.deepEqual(read(deployments.validateUpdate?.(next, before)), [
    'spec.selector: Invalid value: {"matchLabels":{"app":"other"}}: field is immutable',
  ])
})

test('the generation counts changes of the spec, not of labels or status', () => {
  const before = created(deployments, workload('Deployment'))
  const labelled = updated(deployments, before, next => {
    next.metadata.labels = { a: 'b' }
    next['status'] = { replicas: 9 }
  })
  assert.equal(labelled.metadata.generation, 1)
  assert.equal(labelled['status'], undefined)
  const scaled = updated(deployments, before, next => {
    specOf(next)['replicas'] = 3
  })
  assert.equal(scaled.metadata.generation, 2)
})

test('the table of deployments shows what kubectl shows', () => {
  const shown = created(deployments, workload('Deployment', { replicas: 3 }))
  shown['status'] = { readyReplicas: 2, updatedReplicas: 3, availableReplicas: 1 }
  assert.deepEqual(row(deployments, shown), {
    Name: 'web',
    Ready: '2/3',
    'Up-to-date': 3,
    Available: 1,
    Age: '60m',
    Containers: 'app',
    Images: 'nginx',
    Selector: 'app=web',
  })
})

test('a job without a selector finds its pods by its uid', () => {
  const job = object('Job', { spec: { template: template({ restartPolicy: 'Never' }) } })
  const made = created(jobs, job)
  assert.deepEqual(specOf(made)['selector'], {
    matchLabels: { 'batch.kubernetes.io/controller-uid': 'uid-1' },
  })
  assert.deepEqual(jobs.validate?.(made), [])
  const always = object('Job', { spec: { template: template() } })
  assert.deepEqual(createProblems(jobs, always), [
    'spec.template.spec.restartPolicy: Required value: valid values: "OnFailure", "Never"',
  ])
})

test('a stateful set’s pods may mount its claims, and most of its spec stays', () => {
  const sets = strategyOf('apps/statefulsets')
  const containers = [{ name: 'app', image: 'a', volumeMounts: [{ name: 'data', mountPath: '/data' }] }]
  const made = created(
    sets,
    workload('StatefulSet', {
      template: template({ containers }),
      volumeClaimTemplates: [{ metadata: { name: 'data' }, spec: { accessModes: ['ReadWriteOnce'] } }],
    }),
  )
  assert.deepEqual(read(sets.validate?.(made)), [])
  const next = updated(sets, made, changed => {
    specOf(changed)['serviceName'] = 'other'
  })
  assert.match(
    read(sets.validateUpdate?.(next, made))[0] ?? '',
    /^spec: Forbidden: updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template'/,
  )
})

test('a job whose policies do not fit its mode is refused', () => {
  const spec = (over: object) => ({ spec: { template: template({ restartPolicy: 'OnFailure' }), ...over } })
  const onPodConditions = [{ type: 'DisruptionTarget' }]
  const podFailurePolicy = { rules: [{ action: 'Ignore', onPodConditions }] }
  assert.deepEqual(createProblems(jobs, object('Job', spec({ podFailurePolicy, backoffLimitPerIndex: 1 }))), [
    'spec.backoffLimitPerIndex: Invalid value: 1: requires indexed completion mode',
    'spec.template.spec.restartPolicy: Invalid value: "OnFailure": only "Never" is supported when podFailurePolicy is specified',
  ])
  const never = { template: template({ restartPolicy: 'Never' }), podFailurePolicy }
  const made = specOf(created(jobs, object('Job', { spec: never }))) as {
    podFailurePolicy: { rules: { onPodConditions: { status: string }[] }[] }
    podReplacementPolicy: string
  }
  assert.equal(made.podFailurePolicy.rules[0]?.onPodConditions[0]?.status, 'True')
  assert.equal(made.podReplacementPolicy, 'Failed')
})
