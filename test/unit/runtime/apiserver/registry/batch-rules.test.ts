/** Jobs and cron jobs: policies, modes and what may change, in upstream's words. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { must } from '../../../../../src/base/assert.ts'
import { strategies } from '../../../../../src/runtime/apiserver/registry/registry.ts'
import { created, object, read, specOf, updated } from './support.ts'
import { createTable, updateTable } from './tables.ts'

const template = { spec: { restartPolicy: 'Never', containers: [{ name: 'a', image: 'b' }] } }
const spec = (fields: object) => ({ spec: fields as Record<string, unknown> })
const job = { key: 'batch/jobs', kind: 'Job', valid: { spec: { template } } }
const failure = (...rules: object[]) => spec({ podFailurePolicy: { rules } })
const success = (...rules: object[]) =>
  spec({ completionMode: 'Indexed', completions: 5, successPolicy: { rules } })

createTable({
  ...job,
  rows: [
    [
      'rules for failures',
      failure({ action: 'FailJob', onExitCodes: { containerName: 'a', operator: 'In', values: [1, 42] } }),
      [],
    ],
    [
      'rules for failures that are none',
      failure(
        { action: '' },
        { action: 'FailIndex', onPodConditions: [{ type: 'Ready', status: 'Maybe' }] },
        {
          action: 'Panic',
          onPodConditions: [{ type: 'Ready' }],
          onExitCodes: { containerName: 'z', operator: 'In', values: [3, 0, 3] },
        },
        { action: 'Count', onExitCodes: { operator: '', values: [] } },
      ),
      [
        'spec.podFailurePolicy.rules[0].action: Required value: valid values: ["Count" "FailIndex" "FailJob" "Ignore"]',
        'spec.podFailurePolicy.rules[0]: Invalid value: specifying one of OnExitCodes and OnPodConditions is required',
        'spec.podFailurePolicy.rules[1].action: Invalid value: "FailIndex": requires the backoffLimitPerIndex to be set',
        'spec.podFailurePolicy.rules[1].onPodConditions[0].status: Unsupported value: "Maybe": supported values: "False", "True", "Unknown"',
        'spec.podFailurePolicy.rules[2].action: Unsupported value: "Panic": supported values: "Count", "FailIndex", "FailJob", "Ignore"',
        'spec.podFailurePolicy.rules[2].onExitCodes.containerName: Invalid value: "z": must be one of the container or initContainer names in the pod template',
        'spec.podFailurePolicy.rules[2].onExitCodes.values[1]: Invalid value: 0: must not be 0 for the In operator',
        'spec.podFailurePolicy.rules[2].onExitCodes.values[2]: Duplicate value: 3',
        'spec.podFailurePolicy.rules[2].onExitCodes.values: Invalid value: [3,0,3]: must be ordered',
        'spec.podFailurePolicy.rules[2]: Invalid value: specifying both OnExitCodes and OnPodConditions is not supported',
        'spec.podFailurePolicy.rules[3].onExitCodes.operator: Required value: valid values: ["In" "NotIn"]',
        'spec.podFailurePolicy.rules[3].onExitCodes.values: Invalid value: []: at least one value is required',
      ],
    ],
    ['rules for success', success({ succeededIndexes: '0,2-4', succeededCount: 3 }), []],
    [
      'rules for success that are none',
      success(
        {},
        { succeededIndexes: '0-2,1' },
        { succeededIndexes: '1-2-3' },
        { succeededIndexes: 'a' },
        { succeededIndexes: '5' },
        { succeededIndexes: '0,1', succeededCount: 3 },
        { succeededCount: 6 },
      ),
      [
        'spec.successPolicy.rules[0]: Required value: at least one of succeededCount or succeededIndexes must be specified',
        'spec.successPolicy.rules[1].succeededIndexes: Invalid value: "0-2,1": error parsing succeededIndexes: non-increasing order, previous: 2, current: 1',
        'spec.successPolicy.rules[2].succeededIndexes: Invalid value: "1-2-3": error parsing succeededIndexes: the fragment "1-2-3" violates the requirement that an index interval can have at most two parts separated by \'-\'',
        'spec.successPolicy.rules[3].succeededIndexes: Invalid value: "a": error parsing succeededIndexes: cannot convert string to integer for index: "a"',
        'spec.successPolicy.rules[4].succeededIndexes: Invalid value: "5": error parsing succeededIndexes: too large index: "5"',
        'spec.successPolicy.rules[5].succeededCount: Invalid value: 3: must be less than or equal to 2 (the number of indexes in the specified succeededIndexes field)',
        'spec.successPolicy.rules[6].succeededCount: Invalid value: 6: must be less than or equal to 5 (the number of specified completions)',
      ],
    ],
    [
      'success without indexes',
      spec({ successPolicy: { rules: [{ succeededCount: 1 }] } }),
      [
        'spec.successPolicy: Invalid value: {"Rules":[{"SucceededIndexes":null,"SucceededCount":1}]}: requires indexed completion mode',
      ],
    ],
    [
      'a manager that is none',
      spec({ managedBy: 'me' }),
      ['spec.managedBy: Invalid value: "me": must be a domain-prefixed path (such as "acme.io/foo")'],
    ],
    [
      'very many indexes with a limit each',
      spec({
        completionMode: 'Indexed',
        completions: 100_001,
        parallelism: 10_001,
        backoffLimitPerIndex: 1,
      }),
      [
        'spec.maxFailedIndexes: Required value: must be specified when completions is above 100000',
        'spec.parallelism: Invalid value: 10001: must be less than or equal to 10000 when completions are above 100000 and used with backoff limit per index',
      ],
    ],
  ],
})

createTable({
  ...job,
  metadata: { name: 'a'.repeat(62) },
  rows: [
    [
      'a name that its pods cannot have',
      spec({ completionMode: 'Indexed', completions: 2 }),
      [
        `metadata.name: Invalid value: "${'a'.repeat(62)}": will not able to create pod with invalid DNS label: ${'a'.repeat(62)}-1`,
      ],
    ],
  ],
})

updateTable({
  ...job,
  valid: { spec: { template, completionMode: 'Indexed', completions: 3, parallelism: 3 } },
  rows: [
    ['more of both', spec({ completions: 4, parallelism: 4 }), []],
    [
      'more completions alone, and another manager',
      spec({ completions: 4, managedBy: 'a.b/c' }),
      [
        'spec.completions: Invalid value: 4: can only be modified in tandem with spec.parallelism',
        'spec.managedBy: Invalid value: "a.b/c": field is immutable',
      ],
    ],
  ],
})

test('a job that waits may still be told where its pods go, but not what they run', () => {
  const jobs = must(strategies.get(job.key), job.key)
  const before = created(jobs, object('Job', { spec: { template, suspend: true } }))
  const change = (fields: object) => {
    const next = updated(jobs, before, changed => {
      Object.assign((specOf(changed)['template'] as { spec: object }).spec, fields)
    })
    return read(jobs.validateUpdate?.(next, before)).map(line => line.replace(/\{.*\}/, '…'))
  }
  assert.deepEqual(change({ nodeSelector: { disk: 'fast' }, tolerations: [{ operator: 'Exists' }] }), [])
  assert.deepEqual(change({ containers: [{ name: 'a', image: 'other' }] }), [
    'spec.template: Invalid value: …: field is immutable',
  ])
})

createTable({
  key: 'batch/cronjobs',
  kind: 'CronJob',
  valid: { spec: { schedule: '*/5 0-6 1 jan mon-fri', jobTemplate: { spec: { template } } } },
  rows: [
    [
      'a selector of its own',
      spec({ jobTemplate: { spec: { template, selector: {}, manualSelector: true } } }),
      [
        'spec.jobTemplate.spec.selector: Invalid value: {}: `selector` will be auto-generated',
        'spec.jobTemplate.spec.manualSelector: Unsupported value: true: supported values: "nil", "false"',
      ],
    ],
    [
      'a minute that no hour has',
      spec({ schedule: '60 * * * *' }),
      ['spec.schedule: Invalid value: "60 * * * *": end of range (60) above maximum (59): 60'],
    ],
  ],
})
