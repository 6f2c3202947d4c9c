/** Where pods with claims may run, and in which words it is said that they may not. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { seededRandom } from '../../../../src/base/random.ts'
import type {
  CSIDriver,
  CSINode,
  CSIStorageCapacity,
  Node,
  PersistentVolume,
  PersistentVolumeClaim,
  Pod,
  StorageClass,
} from '../../../../src/kube/types.ts'
import { NodeInfo } from '../../../../src/runtime/scheduler/node-info.ts'
import { schedule } from '../../../../src/runtime/scheduler/schedule.ts'
import { chooseVolumes, prepareVolumes } from '../../../../src/runtime/scheduler/volume-filters.ts'
import { NO_VOLUMES, type VolumeView } from '../../../../src/runtime/scheduler/volume-view.ts'

const BOUND = { 'pv.kubernetes.io/bind-completed': 'yes' }
const ZONE = 'topology.kubernetes.io/zone'

let uid = 0
const podWith = (...claims: string[]): Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'p', namespace: 'n', uid: `pod-${uid++}` },
  spec: {
    containers: [],
    volumes: claims.map(claimName => ({ name: claimName, persistentVolumeClaim: { claimName } })),
  },
})

const node = (name: string, labels: Record<string, string> = {}, annotations = {}): Node => ({
  apiVersion: 'v1',
  kind: 'Node',
  metadata: { name, labels: { 'kubernetes.io/hostname': name, ...labels }, annotations },
  status: { allocatable: { cpu: '2', memory: '4Gi', pods: '10' } },
})

const claim = (name: string, spec: object = {}, metadata: object = {}, phase = 'Pending') =>
  ({
    apiVersion: 'v1',
    kind: 'PersistentVolumeClaim',
    metadata: { name, namespace: 'n', uid: `uid-${name}`, ...metadata },
    spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } }, ...spec },
    status: { phase },
  }) satisfies PersistentVolumeClaim
const bound = (name: string, volumeName: string, spec: object = {}) =>
  claim(name, { volumeName, ...spec }, { annotations: BOUND }, 'Bound')

const onlyOn = (host: string) => ({
  nodeAffinity: {
    required: {
      nodeSelectorTerms: [
        { matchExpressions: [{ key: 'kubernetes.io/hostname', operator: 'In', values: [host] }] },
      ],
    },
  },
})
const volume = (name: string, spec: object = {}, labels = {}): PersistentVolume => ({
  apiVersion: 'v1',
  kind: 'PersistentVolume',
  metadata: { name, labels },
  spec: { accessModes: ['ReadWriteOnce'], capacity: { storage: '1Gi' }, ...spec },
  status: { phase: 'Available' },
})

const storageClass = (name: string, provisioner: string, more: object = {}): StorageClass => ({
  apiVersion: 'storage.k8s.io/v1',
  kind: 'StorageClass',
  metadata: { name },
  ...{ provisioner, volumeBindingMode: 'WaitForFirstConsumer', ...more },
})
const MANUAL = storageClass('manual', 'kubernetes.io/no-provisioner')
const DRIVER = storageClass('driver', 'csi.example.com')

function view(parts: {
  claims?: readonly PersistentVolumeClaim[]
  volumes?: readonly PersistentVolume[]
  csiNode?: CSINode
  taken?: string
  classes?: readonly StorageClass[]
}): VolumeView {
  const { claims = [], volumes = [], classes = [MANUAL, DRIVER] } = parts
  return {
    ...NO_VOLUMES,
    claim: (_namespace, name) => claims.find(({ metadata }) => metadata.name === name),
    volume: name => volumes.find(({ metadata }) => metadata.name === name),
    volumes: () => volumes,
    storageClass: name => classes.find(({ metadata }) => metadata.name === name),
    csiNode: () => parts.csiNode,
    isTaken: ({ metadata }) => metadata.name === parts.taken,
  }
}

const place = (pod: Pod, volumes: VolumeView, ...nodes: (Node | NodeInfo)[]) => {
  const infos = nodes.map(each => (each instanceof NodeInfo ? each : new NodeInfo(each)))
  const result = schedule(pod, infos, seededRandom(1), [], { volumes })
  return result.kind === 'node' ? result.name : result.message
}
const alone = (pod: Pod, volumes: VolumeView) => place(pod, volumes, node('a'))
const NOT_HELPFUL =
  'no new claims to deallocate, preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling.'
const NONE = `0/1 nodes are available: `

test('a pod whose claims are no good yet is told so, whichever nodes there are', () => {
  const cases: readonly [string, PersistentVolumeClaim[]][] = [
    ['persistentvolumeclaim "c" not found', []],
    ['pod has unbound immediate PersistentVolumeClaims', [claim('c', { storageClassName: 'gone' })]],
    [
      'persistentvolumeclaim "c" is being deleted',
      [claim('c', {}, { deletionTimestamp: '2026-01-01T00:00:00Z' })],
    ],
    [
      'persistentvolumeclaim "c" bound to non-existent persistentvolume "v"',
      [{ ...bound('c', 'v'), status: { phase: 'Lost' } }],
    ],
  ]
  for (const [why, claims] of cases) {
    assert.equal(alone(podWith('c'), view({ claims })), `${NONE}${why}. ${NOT_HELPFUL}`)
  }
  const ephemeral: Pod = {
    ...podWith(),
    spec: { containers: [], volumes: [{ name: 'e', ephemeral: {} }] },
  }
  const waits = 'waiting for ephemeral volume controller to create the persistentvolumeclaim "p-e"'
  assert.equal(alone(ephemeral, view({})), `${NONE}${waits}. ${NOT_HELPFUL}`)
})

test('a pod runs where its bound volumes are', () => {
  const claims = [bound('c', 'v')]
  const here = view({ claims, volumes: [volume('v', onlyOn('b'))] })
  assert.equal(place(podWith('c'), here, node('a'), node('b')), 'b')
  const why = '1 node(s) had volume node affinity conflict'
  assert.equal(alone(podWith('c'), here), `${NONE}${why}. ${NOT_HELPFUL}`)
  const gone = '1 node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)'
  assert.equal(alone(podWith('c'), view({ claims })), `${NONE}${gone}. ${NOT_HELPFUL}`)
})

test('an open claim takes a free volume of the node, each another one, and none that is given away', () => {
  const claims = [claim('c', { storageClassName: 'manual' }), claim('d', { storageClassName: 'manual' })]
  const mine = (name: string, host: string) => volume(name, { storageClassName: 'manual', ...onlyOn(host) })
  const volumes = [mine('v1', 'a'), mine('v2', 'b'), mine('v3', 'b')]
  const pod = podWith('c', 'd')
  assert.equal(place(pod, view({ claims, volumes }), node('a'), node('b')), 'b')
  const prepared = prepareVolumes(pod, [], view({ claims, volumes }))
  assert.ok(prepared)
  const choice = chooseVolumes(prepared, node('b'))
  assert.ok('bindings' in choice)
  assert.deepEqual(choice.bindings.map(({ volume }) => volume.metadata.name).sort(), ['v2', 'v3'])
  const taken = place(pod, view({ claims, volumes, taken: 'v2' }), node('b'))
  assert.match(taken, /1 node\(s\) didn't find available persistent volumes to bind\./)
})

test('an open claim of a class with a provisioner may go wherever its topology and an earlier choice allow', () => {
  const open = [claim('c', { storageClassName: 'driver' })]
  assert.equal(alone(podWith('c'), view({ claims: open })), 'a')
  const chosen = [
    claim(
      'c',
      { storageClassName: 'driver' },
      { annotations: { 'volume.kubernetes.io/selected-node': 'b' } },
    ),
  ]
  assert.equal(place(podWith('c'), view({ claims: chosen }), node('a'), node('b')), 'b')
  const zoned = storageClass('driver', 'csi.example.com', {
    allowedTopologies: [{ matchLabelExpressions: [{ key: ZONE, values: ['z2'] }] }],
  })
  const there = view({ claims: open, classes: [zoned] })
  assert.equal(place(podWith('c'), there, node('a', { [ZONE]: 'z1' }), node('b', { [ZONE]: 'z2' })), 'b')
})

test('directories are made only on nodes that keep some', () => {
  const classes = [storageClass('hostpath', 'mk8s.io/hostpath')]
  const volumes = view({ claims: [claim('c', { storageClassName: 'hostpath' })], classes })
  const keeper = node('b', {}, { 'mk8s.io/hostpath-directory': '/srv' })
  assert.equal(place(podWith('c'), volumes, node('a'), keeper), 'b')
})

test('a ReadWriteOncePod claim has one pod at a time', () => {
  const claims = [bound('c', 'v', { accessModes: ['ReadWriteOncePod'] })]
  const volumes = view({ claims, volumes: [volume('v')] })
  const busy = new NodeInfo(node('a'), [podWith('c')])
  const why = '2 node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod access mode'
  const said = place(podWith('c'), volumes, busy, node('b'))
  assert.ok(said.startsWith(`0/2 nodes are available: ${why}.`), said)
  assert.equal(place(podWith('c'), volumes, node('a')), 'a')
})

test('a volume of a zone is of no use in another one', () => {
  const volumes = [volume('v', {}, { [ZONE]: 'z1__z3' })]
  const zoned = view({ claims: [bound('c', 'v')], volumes })
  assert.equal(place(podWith('c'), zoned, node('a', { [ZONE]: 'z2' }), node('b', { [ZONE]: 'z3' })), 'b')
  assert.match(
    place(podWith('c'), zoned, node('a', { [ZONE]: 'z2' })),
    /1 node\(s\) had no available volume zone/,
  )
  assert.equal(place(podWith('c'), zoned, node('c')), 'c')
})

test('a node takes as many volumes of a driver as the driver says', () => {
  const csi = (handle: string) => ({ csi: { driver: 'csi.example.com', volumeHandle: handle } })
  const claims = [bound('c', 'v1'), bound('d', 'v2')]
  const volumes = [volume('v1', csi('h1')), volume('v2', csi('h2'))]
  const limited = (count: number): CSINode => ({
    apiVersion: 'storage.k8s.io/v1',
    kind: 'CSINode',
    metadata: { name: 'a' },
    spec: { drivers: [{ name: 'csi.example.com', nodeID: 'a', allocatable: { count } }] },
  })
  const busy = () => new NodeInfo(node('a'), [podWith('c')])
  assert.equal(place(podWith('d'), view({ claims, volumes, csiNode: limited(2) }), busy()), 'a')
  const full = view({ claims, volumes, csiNode: limited(1) })
  assert.match(place(podWith('d'), full, busy()), /1 node\(s\) exceed max volume count/)
  assert.equal(place(podWith('c'), full, busy()), 'a')
})

test('a driver that says how much room it has where is asked for no more than that', () => {
  const driver: CSIDriver = {
    ...{ apiVersion: 'storage.k8s.io/v1', kind: 'CSIDriver', metadata: { name: 'csi.example.com' } },
    spec: { storageCapacity: true },
  }
  const room = (capacity: string, rack: string, maximumVolumeSize?: string): CSIStorageCapacity => ({
    ...{ apiVersion: 'storage.k8s.io/v1', kind: 'CSIStorageCapacity', metadata: { name: rack } },
    ...{ storageClassName: 'driver', capacity, nodeTopology: { matchLabels: { rack } } },
    ...(maximumVolumeSize === undefined ? {} : { maximumVolumeSize }),
  })
  const nodes = ['r1', 'r2', 'r3'].map(rack => node(rack, { rack }))
  const on = (...capacities: CSIStorageCapacity[]) => ({
    ...view({ claims: [claim('c', { storageClassName: 'driver' })] }),
    csiDriver: () => driver,
    capacities: () => capacities,
  })
  const some = [room('500Mi', 'r1'), room('2Gi', 'r2'), room('9Gi', 'r3', '512Mi')]
  assert.equal(place(podWith('c'), on(...some), ...nodes), 'r2')
  assert.match(place(podWith('c'), on(), ...nodes), /3 node\(s\) did not have enough free storage/)
  const quiet = { ...on(), csiDriver: () => undefined }
  assert.equal(place(podWith('c'), quiet, node('r1', { rack: 'r1' })), 'r1')
})
