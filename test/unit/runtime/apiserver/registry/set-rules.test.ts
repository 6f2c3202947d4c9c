/** Sets, classes, budgets, bindings and signing requests: what is refused, in upstream's words. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { must } from '../../../../../src/base/assert.ts'
import { strategies } from '../../../../../src/runtime/apiserver/registry/registry.ts'
import { object, read } from './support.ts'
import { createTable } from './tables.ts'

const spec = (fields: object) => ({ spec: fields as Record<string, unknown> })
const labels = { app: 'web' }
const template = { metadata: { labels }, spec: { containers: [{ name: 'a', image: 'b' }] } }
const workload = { selector: { matchLabels: labels }, template }
const LABEL =
  "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with " +
  "an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"

createTable({
  key: 'apps/daemonsets',
  kind: 'DaemonSet',
  valid: { spec: workload },
  rows: [
    [
      'an unknown way to update',
      spec({ updateStrategy: { type: 'Slowly' } }),
      [
        'spec.updateStrategy: Unsupported value: {"Type":"Slowly","RollingUpdate":null}: supported values: "RollingUpdate", "OnDelete"',
      ],
    ],
    [
      'no room to update',
      spec({ updateStrategy: { rollingUpdate: { maxUnavailable: 0 } } }),
      ['spec.updateStrategy.rollingUpdate.maxUnavailable: Required value: cannot be 0 when maxSurge is 0'],
    ],
    [
      'room of both kinds',
      spec({ updateStrategy: { rollingUpdate: { maxUnavailable: 1, maxSurge: '10%' } } }),
      [
        'spec.updateStrategy.rollingUpdate.maxSurge: Invalid value: "10%": may not be set when maxUnavailable is non-zero',
      ],
    ],
  ],
})

const claim = { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } }
createTable({
  key: 'apps/statefulsets',
  kind: 'StatefulSet',
  valid: { spec: { ...workload, volumeClaimTemplates: [{ metadata: { name: 'data' }, spec: claim }] } },
  rows: [
    [
      'policies that are none',
      spec({
        podManagementPolicy: 'Any',
        persistentVolumeClaimRetentionPolicy: { whenDeleted: 'Keep' },
        ordinals: { start: -1 },
      }),
      [
        "spec.podManagementPolicy: Invalid value: \"Any\": must be 'OrderedReady' or 'Parallel'",
        'spec.persistentVolumeClaimRetentionPolicy.whenDeleted: Unsupported value: "Keep": supported values: "Retain", "Delete"',
        'spec.ordinals.start: Invalid value: -1: must be greater than or equal to 0',
      ],
    ],
    [
      'steps that no update takes',
      spec({ updateStrategy: { type: 'OnDelete', rollingUpdate: { partition: 1 } } }),
      [
        'spec.updateStrategy.rollingUpdate: Invalid value: {"Partition":1,"MaxUnavailable":null}: only allowed for updateStrategy \'RollingUpdate\'',
      ],
    ],
    [
      'steps that are none',
      spec({ updateStrategy: { rollingUpdate: { partition: -1, maxUnavailable: 0 } } }),
      [
        'spec.updateStrategy.rollingUpdate.partition: Invalid value: -1: must be greater than or equal to 0',
        'spec.updateStrategy.rollingUpdate.maxUnavailable: Invalid value: 0: cannot be 0',
      ],
    ],
    [
      'claims that are none',
      spec({ volumeClaimTemplates: [{ metadata: { name: 'data' }, spec: { accessModes: ['Often'] } }] }),
      [
        'spec.volumeClaimTemplates[0].spec.accessModes: Unsupported value: "Often": supported values: "ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"',
        'spec.volumeClaimTemplates[0].spec.resources[storage]: Required value',
      ],
    ],
  ],
})

test('the status of a stateful set has no more in a part than in the whole', () => {
  const strategy = must(strategies.get('apps/statefulsets'), 'statefulsets')
  const set = (status: object) => object('StatefulSet', { status })
  const next = set({
    replicas: 1,
    readyReplicas: 2,
    availableReplicas: 3,
    currentReplicas: -1,
    collisionCount: 0,
  })
  assert.deepEqual(read(strategy.validateStatusUpdate?.(next, set({ replicas: 1, collisionCount: 1 }))), [
    'status.currentReplicas: Invalid value: -1: must be greater than or equal to 0',
    'status.readyReplicas: Invalid value: 2: cannot be greater than status.replicas',
    'status.availableReplicas: Invalid value: 3: cannot be greater than status.replicas',
    'status.availableReplicas: Invalid value: 3: cannot be greater than status.readyReplicas',
    'status.collisionCount: Invalid value: 0: cannot be decremented',
  ])
})

const ephemeral = (volumeClaimTemplate: object) => ({
  spec: {
    containers: [{ name: 'a', image: 'b' }],
    volumes: [{ name: 'v', ephemeral: { volumeClaimTemplate } }],
  },
})
createTable({
  key: '/pods',
  kind: 'Pod',
  valid: ephemeral({ metadata: { labels }, spec: claim }),
  rows: [
    [
      'a claim with a name of its own and no size',
      ephemeral({ metadata: { name: 'a' }, spec: { accessModes: ['ReadWriteOnce'] } }),
      [
        'spec.volumes[0].ephemeral.volumeClaimTemplate.metadata.name: Forbidden: cannot be set',
        'spec.volumes[0].ephemeral.volumeClaimTemplate.spec.resources[storage]: Required value',
      ],
    ],
  ],
})

createTable({
  key: 'node.k8s.io/runtimeclasses',
  kind: 'RuntimeClass',
  metadata: { namespace: undefined },
  valid: { handler: 'a', overhead: { podFixed: { cpu: '10m' } } },
  rows: [
    [
      'overhead and places that are none',
      {
        handler: 'A',
        overhead: { podFixed: { cpu: '-1' } },
        scheduling: { nodeSelector: { a: '-' }, tolerations: [{ operator: 'Equal' }] },
      },
      [
        `handler: Invalid value: "A": ${LABEL}`,
        'overhead.limits[cpu]: Invalid value: "-1": must be greater than or equal to 0',
        "scheduling.nodeSelector: Invalid value: \"-\": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', " +
          "and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')",
        'scheduling.tolerations[0].operator: Invalid value: "Equal": operator must be Exists when `key` is empty, which means "match all values and all keys"',
      ],
    ],
  ],
})

createTable({
  key: 'scheduling.k8s.io/priorityclasses',
  kind: 'PriorityClass',
  metadata: { name: 'system-node-critical', namespace: undefined },
  valid: { value: 2_000_001_000 },
  rows: [
    [
      "another value than the system's",
      { value: 1 },
      [
        "metadata.name: Forbidden: priority class names with 'system-' prefix are reserved for system use only. error: " +
          'value of system-node-critical PriorityClass must be 2000001000',
      ],
    ],
  ],
})

test('the status of a disruption budget has counts and conditions', () => {
  const strategy = must(strategies.get('policy/poddisruptionbudgets'), 'budgets')
  const conditions = [{ type: 'A', status: 'Yes', reason: '', observedGeneration: -1 }]
  const next = object('PodDisruptionBudget', { status: { conditions, currentHealthy: -1 } })
  assert.deepEqual(read(strategy.validateStatusUpdate?.(next, next)), [
    'status.conditions[0].status: Unsupported value: "Yes": supported values: "False", "True", "Unknown"',
    'status.conditions[0].observedGeneration: Invalid value: -1: must be greater than or equal to zero',
    'status.conditions[0].lastTransitionTime: Required value: must be set',
    'status.conditions[0].reason: Required value: must be set',
    'status.currentHealthy: Invalid value: -1: must be greater than or equal to 0',
  ])
})

const GROUP = 'rbac.authorization.k8s.io'
createTable({
  key: `${GROUP}/rolebindings`,
  kind: 'RoleBinding',
  valid: { roleRef: { kind: 'Role', name: 'a' }, subjects: [{ kind: 'User', name: 'a' }] },
  rows: [
    [
      'nobody',
      {
        subjects: [
          { kind: 'Group', name: '' },
          { kind: 'Robot', name: 'a', apiGroup: GROUP },
        ],
      },
      [
        'subjects[0].name: Required value',
        'subjects[0].name: Invalid value: "": group name cannot be empty',
        'subjects[1].kind: Unsupported value: "Robot": supported values: "ServiceAccount", "User", "Group"',
      ],
    ],
  ],
})

const request = Buffer.from('-----BEGIN CERTIFICATE REQUEST-----\n').toString('base64')
createTable({
  key: 'certificates.k8s.io/certificatesigningrequests',
  kind: 'CertificateSigningRequest',
  metadata: { namespace: undefined },
  valid: { spec: { request, usages: ['client auth'], signerName: 'example.com/signer' } },
  rows: [
    [
      'no use and no signer',
      spec({ usages: [], signerName: '' }),
      ['spec.usages: Required value: usages must be provided', 'spec.signerName: Required value'],
    ],
    [
      'a use twice, and a signer without a domain',
      spec({ usages: ['signing', 'signing'], signerName: 'a/b' }),
      [
        'spec.usages[1]: Duplicate value: "signing"',
        'spec.signerName: Invalid value: "a": should be a domain with at least two segments separated by dots',
      ],
    ],
    [
      'a signer that is none',
      spec({ signerName: 'example.com' }),
      [
        'spec.signerName: Invalid value: "example.com": must be a fully qualified domain and path of the form \'example.com/signer-name\'',
      ],
    ],
  ],
})
