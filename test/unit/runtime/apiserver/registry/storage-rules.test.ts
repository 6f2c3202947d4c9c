/** Classes, drivers, attachments, volumes and claims: what is refused, in upstream's words. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { must } from '../../../../../src/base/assert.ts'
import { strategies } from '../../../../../src/runtime/apiserver/registry/registry.ts'
import { created, object, specOf } from './support.ts'
import { createTable, updateTable } from './tables.ts'

const spec = (fields: object) => ({ spec: fields as Record<string, unknown> })
const SUBDOMAIN =
  "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and " +
  "end with an alphanumeric character (e.g. 'example.com', regex used for validation is " +
  "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"

const topology = (...values: string[]) => ({
  matchLabelExpressions: [{ key: 'topology.kubernetes.io/zone', values }],
})
const classes = {
  key: 'storage.k8s.io/storageclasses',
  kind: 'StorageClass',
  valid: {
    provisioner: 'example.com/disk',
    parameters: { kind: 'fast' },
    allowedTopologies: [topology('a')],
  },
}
createTable({
  ...classes,
  rows: [
    ['nobody to make volumes', { provisioner: '' }, ['provisioner: Required value']],
    [
      'parameters without a key, a policy and a mode that are none',
      { parameters: { '': 'a' }, reclaimPolicy: 'Recycle', volumeBindingMode: 'Later' },
      [
        'parameters: Invalid value: "": field can not be empty.',
        'reclaimPolicy: Unsupported value: "Recycle": supported values: "Delete", "Retain"',
        'volumeBindingMode: Unsupported value: "Later": supported values: "Immediate", "WaitForFirstConsumer"',
      ],
    ],
    [
      'topologies twice',
      { allowedTopologies: [topology('a', 'a'), topology('b', 'c'), topology('c', 'b'), topology()] },
      [
        'allowedTopologies[0].matchLabelExpressions[0].values[1]: Duplicate value: "a"',
        'allowedTopologies[2].matchLabelExpressions: Duplicate value: ""',
        'allowedTopologies[3].matchLabelExpressions[0].values: Required value',
      ],
    ],
  ],
})
updateTable({
  ...classes,
  rows: [
    ['growth allowed', { allowVolumeExpansion: true }, []],
    [
      'everything else',
      {
        provisioner: 'a.b/c',
        parameters: {},
        reclaimPolicy: 'Retain',
        volumeBindingMode: 'WaitForFirstConsumer',
      },
      [
        'parameters: Forbidden: updates to parameters are forbidden.',
        'provisioner: Forbidden: updates to provisioner are forbidden.',
        'reclaimPolicy: Forbidden: updates to reclaimPolicy are forbidden.',
        'volumeBindingMode: Invalid value: "WaitForFirstConsumer": field is immutable',
      ],
    ],
  ],
})

const driver = { key: 'storage.k8s.io/csidrivers', kind: 'CSIDriver', valid: { spec: {} } }
createTable({
  ...driver,
  rows: [
    [
      'what it cannot do',
      spec({
        fsGroupPolicy: 'Always',
        tokenRequests: [
          { audience: 'a', expirationSeconds: 599 },
          { audience: 'a' },
          { audience: 'b', expirationSeconds: 2 ** 33 },
        ],
        volumeLifecycleModes: ['Eternal'],
        nodeAllocatableUpdatePeriodSeconds: 9,
      }),
      [
        'spec.fsGroupPolicy: Unsupported value: "Always": supported values: "File", "None", "ReadWriteOnceWithFSType"',
        'spec.tokenRequests[0].expirationSeconds: Invalid value: 599: may not specify a duration less than 10 minutes',
        'spec.tokenRequests[1].audience: Duplicate value: "a"',
        'spec.tokenRequests[2].expirationSeconds: Invalid value: 8589934592: may not specify a duration larger than 2^32 seconds',
        'spec.volumeLifecycleModes: Unsupported value: "Eternal": supported values: "Persistent", "Ephemeral"',
        'spec.nodeAllocatableUpdatePeriodSeconds: Invalid value: 9: must be greater than or equal to 10 seconds',
      ],
    ],
  ],
})
updateTable({
  ...driver,
  rows: [
    ['another policy', spec({ fsGroupPolicy: 'File' }), []],
    [
      'no attachment and other modes',
      spec({ attachRequired: false, volumeLifecycleModes: ['Ephemeral'] }),
      [
        'spec.attachedRequired: Invalid value: false: field is immutable',
        'spec.volumeLifecycleModes: Invalid value: ["Ephemeral"]: field is immutable',
      ],
    ],
  ],
})

const one = { name: 'a.b', nodeID: 'n', topologyKeys: ['zone'] }
const nodes = { key: 'storage.k8s.io/csinodes', kind: 'CSINode', valid: { spec: { drivers: [one] } } }
createTable({
  ...nodes,
  rows: [
    [
      'drivers that are none',
      spec({ drivers: [{ name: '', nodeID: '', allocatable: { count: -1 } }, one, one] }),
      [
        'spec.drivers[0].name: Required value',
        `spec.drivers[0].name: Invalid value: "": ${SUBDOMAIN}`,
        'spec.drivers[0].nodeID: Required value',
        'spec.drivers[0].allocatable.count: Invalid value: -1: must be greater than or equal to 0',
        'spec.drivers[2].name: Duplicate value: "a.b"',
      ],
    ],
  ],
})
updateTable({
  ...nodes,
  rows: [
    ['room for more', spec({ drivers: [{ ...one, allocatable: { count: 3 } }] }), []],
    [
      'another name of the node',
      spec({ drivers: [{ ...one, nodeID: 'm' }] }),
      [
        'spec.drivers: Invalid value: {"Name":"a.b","NodeID":"m","TopologyKeys":["zone"],"Allocatable":null}: field is immutable',
      ],
    ],
  ],
})

createTable({
  key: 'storage.k8s.io/volumeattachments',
  kind: 'VolumeAttachment',
  valid: { spec: { attacher: 'a.b', nodeName: 'n', source: { persistentVolumeName: 'v' } } },
  rows: [
    [
      'nothing to attach',
      spec({ source: {} }),
      ['spec.source: Required value: must specify exactly one of inlineVolumeSpec and persistentVolumeName'],
    ],
    [
      'two things to attach',
      spec({ source: { persistentVolumeName: 'v', inlineVolumeSpec: {} } }),
      ['spec.source: Forbidden: must specify exactly one of inlineVolumeSpec and persistentVolumeName'],
    ],
    [
      'an attacher that is no driver',
      spec({ attacher: 'a/b' }),
      [`spec.attacher: Invalid value: "a/b": ${SUBDOMAIN}`],
    ],
  ],
})

const claim = {
  key: '/persistentvolumeclaims',
  kind: 'PersistentVolumeClaim',
  valid: { spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } } },
}
const origin = { apiGroup: 'example.com', kind: 'Image', name: 'i' }
createTable({
  ...claim,
  rows: [
    ['an origin of any kind', spec({ dataSourceRef: origin }), []],
    [
      'a class of attributes that is none',
      spec({ volumeAttributesClassName: 'A' }),
      [`spec.volumeAttributesClassName: Invalid value: "A": ${SUBDOMAIN}`],
    ],
    [
      'two origins',
      spec({
        dataSource: { kind: 'PersistentVolumeClaim', name: 'a' },
        dataSourceRef: { kind: 'PersistentVolumeClaim', name: 'b' },
      }),
      ['spec: Invalid value: "spec.dataSource": must match dataSourceRef'],
    ],
    [
      'modes that exclude each other',
      spec({ accessModes: ['ReadWriteOncePod', 'ReadWriteMany', 'Often'] }),
      [
        'spec.accessModes: Unsupported value: "Often": supported values: "ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"',
        'spec.accessModes: Forbidden: may not use ReadWriteOncePod with other access modes',
      ],
    ],
  ],
})

test('the two fields for the origin of a claim say the same', () => {
  const strategy = must(strategies.get(claim.key), claim.key)
  const made = (fields: object) =>
    specOf(created(strategy, object('PersistentVolumeClaim', { spec: { ...claim.valid.spec, ...fields } })))
  const older = { kind: 'PersistentVolumeClaim', name: 'a' }
  assert.deepEqual(made({ dataSource: older })['dataSourceRef'], older)
  assert.deepEqual(made({ dataSourceRef: origin })['dataSource'], origin)
  assert.equal(made({ dataSource: origin })['dataSource'], undefined)
  assert.equal(made({ dataSourceRef: { ...older, namespace: 'other' } })['dataSourceRef'], undefined)
})

const volume = {
  key: '/persistentvolumes',
  kind: 'PersistentVolume',
  valid: {
    spec: {
      accessModes: ['ReadWriteOnce'],
      capacity: { storage: '1Gi' },
      csi: { driver: 'a.b', volumeHandle: 'h' },
      nodeAffinity: {
        required: {
          nodeSelectorTerms: [{ matchExpressions: [{ key: 'zone', operator: 'In', values: ['a'] }] }],
        },
      },
    },
  },
}
createTable({
  ...volume,
  rows: [
    ['no modes', spec({ accessModes: [] }), ['spec.accessModes: Required value']],
    [
      'a class of attributes and no driver',
      spec({ csi: undefined, hostPath: { path: '/a' }, volumeAttributesClassName: '' }),
      [
        'spec.volumeAttributesClassName: Required value: an empty string is disallowed',
        'spec.csi: Required value: has to be specified when using volumeAttributesClassName',
      ],
    ],
  ],
})
const secret = { controllerExpandSecretRef: { name: 's', namespace: 'n' } }
updateTable({
  ...volume,
  rows: [
    ['a secret for its growth', spec({ csi: { ...volume.valid.spec.csi, ...secret } }), []],
    [
      'another handle',
      spec({ csi: { driver: 'a.b', volumeHandle: 'i' } }),
      ['spec.persistentvolumesource: Forbidden: spec.persistentvolumesource is immutable after creation'],
    ],
    [
      'another mode',
      spec({ volumeMode: 'Block' }),
      ['volumeMode: Invalid value: "Block": field is immutable'],
    ],
    [
      'no place',
      spec({ nodeAffinity: undefined }),
      ['nodeAffinity: Invalid value: null: field is immutable'],
    ],
  ],
})
