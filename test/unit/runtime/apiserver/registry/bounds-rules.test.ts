/** Autoscalers and quotas: what is refused, in upstream's words, and what is filled in. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { must } from '../../../../../src/base/assert.ts'
import { strategies } from '../../../../../src/runtime/apiserver/registry/registry.ts'
import { created, object, specOf } from './support.ts'
import { createTable, updateTable } from './tables.ts'

const scaleTargetRef = { kind: 'Deployment', name: 'web', apiVersion: 'apps/v1' }
const metrics = (...list: object[]) => ({ spec: { metrics: list } })
const autoscaler = {
  key: 'autoscaling/horizontalpodautoscalers',
  kind: 'HorizontalPodAutoscaler',
  valid: { spec: { scaleTargetRef, maxReplicas: 3 } },
}
const average = { type: 'AverageValue', averageValue: '5' }

test('a half of the behavior of an autoscaler brings the other with it', () => {
  const strategy = must(strategies.get(autoscaler.key), autoscaler.key)
  const behavior = { scaleDown: { stabilizationWindowSeconds: 60 } }
  const made = created(
    strategy,
    object('HorizontalPodAutoscaler', { spec: { ...autoscaler.valid.spec, behavior } }),
  )
  const percent = { type: 'Percent', value: 100, periodSeconds: 15 }
  assert.deepEqual(specOf(made)['behavior'], {
    scaleUp: {
      stabilizationWindowSeconds: 0,
      selectPolicy: 'Max',
      policies: [{ type: 'Pods', value: 4, periodSeconds: 15 }, percent],
    },
    scaleDown: { stabilizationWindowSeconds: 60, selectPolicy: 'Max', policies: [percent] },
  })
  assert.deepEqual(specOf(made)['metrics'], [
    { type: 'Resource', resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization: 80 } } },
  ])
})

createTable({
  ...autoscaler,
  rows: [
    [
      'bounds that are none, and no target',
      { spec: { minReplicas: 0, maxReplicas: -1, scaleTargetRef: {} } },
      [
        'spec.minReplicas: Invalid value: 0: must be greater than or equal to 1',
        'spec.maxReplicas: Invalid value: -1: must be greater than 0',
        'spec.maxReplicas: Invalid value: -1: must be greater than or equal to `minReplicas`',
        'spec.scaleTargetRef.kind: Required value',
        'spec.scaleTargetRef.name: Required value',
        'spec.metrics: Forbidden: must specify at least one Object or External metric to support scaling to zero replicas',
      ],
    ],
    [
      'metrics of every kind',
      metrics(
        { type: 'Pods', pods: { metric: { name: 'a' }, target: average } },
        { type: 'External', external: { metric: { name: 'a' }, target: average } },
        {
          type: 'Object',
          object: { metric: { name: 'a' }, describedObject: scaleTargetRef, target: average },
        },
        { type: 'ContainerResource', containerResource: { name: 'cpu', container: 'c', target: average } },
      ),
      [],
    ],
    [
      'metrics without a source, or with another',
      metrics(
        { type: 'Pods' },
        { type: 'Disk' },
        { type: 'Pods', resource: { name: 'cpu', target: average } },
      ),
      [
        'spec.metrics[0].pods: Required value: must populate information for the given metric source',
        'spec.metrics[1].type: Unsupported value: "Disk": supported values: "ContainerResource", "External", "Object", "Pods", "Resource"',
        'spec.metrics[1].type: Unsupported value: "Disk": supported values: "ContainerResource", "External", "Object", "Pods", "Resource"',
        'spec.metrics[2].pods: Required value: must populate information for the given metric source',
      ],
    ],
    [
      'targets that are none',
      metrics(
        { type: 'Resource', resource: { name: '', target: { type: 'Utilization', averageUtilization: 0 } } },
        { type: 'Pods', pods: { metric: { name: '' }, target: { type: 'Much', averageValue: '0' } } },
        { type: 'External', external: { metric: { name: 'a' }, target: { ...average, value: '1' } } },
        { type: 'Resource', resource: { name: 'cpu', target: { ...average, averageUtilization: 5 } } },
        { type: 'ContainerResource', containerResource: { name: 'gpu', container: 'C', target: average } },
      ),
      [
        'spec.metrics[0].resource.name: Required value: must specify a resource name',
        'spec.metrics[0].resource.target.averageUtilization: Invalid value: 0: must be greater than 0',
        'spec.metrics[1].pods.metric.name: Required value: must specify a metric name',
        'spec.metrics[1].pods.target.type: Invalid value: "Much": must be either Utilization, Value, or AverageValue',
        'spec.metrics[1].pods.target.averageValue: Invalid value: "0": must be positive',
        'spec.metrics[2].external.target.value: Forbidden: may not set both a target value for metric and a per-pod target',
        'spec.metrics[3].resource.target.averageValue: Forbidden: may not set both a target raw value and a target utilization',
        'spec.metrics[4].containerResource.name: Invalid value: "gpu": must be a standard resource type or fully qualified',
        'spec.metrics[4].containerResource.name: Invalid value: "gpu": must be a standard resource for containers',
        'spec.metrics[4].containerResource.container: Invalid value: "C": a lowercase RFC 1123 label must consist of lower ' +
          "case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  " +
          "or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')",
      ],
    ],
    [
      'behavior that is none',
      {
        spec: {
          behavior: {
            scaleUp: { stabilizationWindowSeconds: 3601, selectPolicy: 'Most', policies: [] },
            scaleDown: {
              stabilizationWindowSeconds: -1,
              tolerance: '-1',
              policies: [{ type: 'Nodes', value: 0, periodSeconds: 1801 }],
            },
          },
        },
      },
      [
        'spec.behavior.scaleUp.stabilizationWindowSeconds: Invalid value: 3601: must be less than or equal to 3600',
        'spec.behavior.scaleUp.selectPolicy: Unsupported value: "Most": supported values: "Disabled", "Max", "Min"',
        'spec.behavior.scaleUp.policies: Required value: must specify at least one Policy',
        'spec.behavior.scaleDown.stabilizationWindowSeconds: Invalid value: -1: must be greater than or equal to zero',
        'spec.behavior.scaleDown.policies[0].type: Unsupported value: "Nodes": supported values: "Percent", "Pods"',
        'spec.behavior.scaleDown.policies[0].value: Invalid value: 0: must be greater than zero',
        'spec.behavior.scaleDown.policies[0].periodSeconds: Invalid value: 1801: must be less than or equal to 1800',
        'spec.behavior.scaleDown.tolerance: Invalid value: "-1": must be greater than or equal to 0',
      ],
    ],
  ],
})

const quota = {
  key: '/resourcequotas',
  kind: 'ResourceQuota',
  valid: { spec: { hard: { pods: '10', 'requests.cpu': '1500m', 'count/widgets.example.com': '3' } } },
}
const selector = (...matchExpressions: object[]) => ({ spec: { scopeSelector: { matchExpressions } } })
createTable({
  ...quota,
  rows: [
    [
      'scopes of every kind',
      {
        spec: {
          scopes: ['NotTerminating', 'NotBestEffort'],
          scopeSelector: {
            matchExpressions: [
              { scopeName: 'PriorityClass', operator: 'In', values: ['high'] },
              { scopeName: 'CrossNamespacePodAffinity', operator: 'Exists' },
            ],
          },
        },
      },
      [],
    ],
    [
      'names and amounts that are none',
      { spec: { hard: { storage: '1', goats: '1', pods: '1500m', 'example.com/gpu': '-1' } } },
      [
        'spec.hard[storage]: Invalid value: "storage": must be a standard resource for quota',
        'spec.hard[goats]: Invalid value: "goats": must be a standard resource type or fully qualified',
        'spec.hard[goats]: Invalid value: "goats": must be a standard resource for quota',
        'spec.hard[pods]: Invalid value: "1500m": must be an integer',
        'spec.hard[example.com/gpu]: Invalid value: "-1": must be greater than or equal to 0',
      ],
    ],
    [
      'scopes that contradict each other, or what is counted',
      { spec: { hard: { 'limits.cpu': '1' }, scopes: ['BestEffort', 'NotBestEffort', 'Nice'] } },
      [
        'spec.scopes: Invalid value: ["BestEffort","NotBestEffort","Nice"]: unsupported scope applied to resource',
        'spec.scopes: Invalid value: ["BestEffort","NotBestEffort","Nice"]: unsupported scope',
        'spec.scopes: Invalid value: ["BestEffort","NotBestEffort","Nice"]: conflicting scopes',
      ],
    ],
    [
      'a selector of scopes that is none',
      selector(
        { scopeName: 'Nice', operator: 'Exists' },
        { scopeName: 'Terminating', operator: 'In', values: ['a'] },
        { scopeName: 'PriorityClass', operator: 'In' },
        { scopeName: 'PriorityClass', operator: 'Exists', values: ['a'] },
        { scopeName: 'PriorityClass', operator: 'Like' },
      ),
      [
        'spec.scopeSelector.matchExpressions.scopeName: Invalid value: "Nice": unsupported scope',
        'spec.scopeSelector.matchExpressions.operator: Invalid value: "In": must be \'Exists\' when scope is any of ' +
          'ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, ' +
          'ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity',
        "spec.scopeSelector.matchExpressions.values: Required value: must be at least one value when `operator` is 'In' or 'NotIn' for scope selector",
        "spec.scopeSelector.matchExpressions.values: Invalid value: [\"a\"]: must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector",
        'spec.scopeSelector.matchExpressions.operator: Invalid value: "Like": not a valid selector operator',
      ],
    ],
  ],
})
updateTable({
  ...quota,
  rows: [
    ['another amount', { spec: { hard: { pods: '3' } } }, []],
    [
      'scopes that it had not',
      { spec: { scopes: ['NotTerminating'] } },
      ['spec.scopes: Invalid value: ["NotTerminating"]: field is immutable'],
    ],
  ],
})
