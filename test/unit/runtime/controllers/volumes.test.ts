/** The plans of the controllers of volumes and claims. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type {
  Node,
  PersistentVolume,
  PersistentVolumeClaim,
  Pod,
  StorageClass,
} from '../../../../src/kube/types.ts'
import { planEphemeralClaims } from '../../../../src/runtime/controllers/ephemeral-volume/plan.ts'
import { planProvision, planRemoval } from '../../../../src/runtime/controllers/hostpath-provisioner/plan.ts'
import { claimFor, volumeFor } from '../../../../src/runtime/controllers/persistent-volume/binding.ts'
import {
  type ClaimWorld,
  planClaim,
} from '../../../../src/runtime/controllers/persistent-volume/plan-claim.ts'
import { planVolume, unbound } from '../../../../src/runtime/controllers/persistent-volume/plan-volume.ts'
import { planExpand } from '../../../../src/runtime/controllers/volume-expand/plan.ts'
import { planProtection, usesClaim } from '../../../../src/runtime/controllers/volume-protection/plan.ts'

const BOUND = { 'pv.kubernetes.io/bind-completed': 'yes' }
const BY_CONTROLLER = { 'pv.kubernetes.io/bound-by-controller': 'yes' }

const claim = (
  spec: PersistentVolumeClaim['spec'] = {},
  metadata: object = {},
  status: PersistentVolumeClaim['status'] = { phase: 'Pending' },
): PersistentVolumeClaim => ({
  apiVersion: 'v1',
  kind: 'PersistentVolumeClaim',
  metadata: { name: 'c', namespace: 'n', uid: 'c-uid', ...metadata },
  spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } }, ...spec },
  status,
})

const volume = (spec: PersistentVolume['spec'] = {}, metadata: object = {}): PersistentVolume => ({
  apiVersion: 'v1',
  kind: 'PersistentVolume',
  metadata: { name: 'v', ...metadata },
  spec: { accessModes: ['ReadWriteOnce'], capacity: { storage: '1Gi' }, ...spec },
  status: { phase: 'Available' },
})

const storageClass = (name: string, more: Partial<StorageClass> = {}): StorageClass => ({
  apiVersion: 'storage.k8s.io/v1',
  kind: 'StorageClass',
  metadata: { name },
  provisioner: 'mk8s.io/hostpath',
  ...more,
})

const reference = { namespace: 'n', name: 'c', uid: 'c-uid' }
const world = (more: Partial<ClaimWorld> = {}): ClaimWorld => ({
  ...{ volumes: [], classes: [], defaultClass: undefined, waitingPods: [], ...more },
})
const saidOf = (plan: ReturnType<typeof planClaim>) =>
  'event' in plan && plan.event !== undefined ? `${plan.event.reason}: ${plan.event.message}` : ''

describe('a claim', () => {
  const waiting = storageClass('w', { volumeBindingMode: 'WaitForFirstConsumer' })
  test('of a class that waits is not bound before a pod has a node', () => {
    const open = claim({ storageClassName: 'w' })
    const free = volume({ storageClassName: 'w' })
    const plan = planClaim(open, world({ classes: [waiting], volumes: [free] }))
    const told = 'WaitForFirstConsumer: waiting for first consumer to be created before binding'
    assert.equal(saidOf(plan), told)
    const pods = world({ classes: [waiting], waitingPods: ['p'] })
    assert.equal(saidOf(planClaim(open, pods)), 'WaitForPodScheduled: waiting for pod p to be scheduled')
    const selected = claim(
      { storageClassName: 'w' },
      { annotations: { 'volume.kubernetes.io/selected-node': 'x' } },
    )
    assert.equal(planClaim(selected, world({ classes: [waiting] })).kind, 'provision')
  })

  test('without a class gets the default one, and without any says that nothing is there for it', () => {
    assert.deepEqual(planClaim(claim(), world({ defaultClass: waiting })), { kind: 'give-class', name: 'w' })
    const none = claim({ storageClassName: '' })
    const plan = planClaim(none, world())
    const told = 'FailedBinding: no persistent volumes available for this claim and no storage class is set'
    assert.equal(saidOf(plan), told)
  })

  test('of a class that nobody provisions for, or that is not there, says so', () => {
    const manual = storageClass('m', { provisioner: 'kubernetes.io/no-provisioner' })
    const open = claim({ storageClassName: 'm' })
    assert.equal(
      saidOf(planClaim(open, world({ classes: [manual] }))),
      'ProvisioningFailed: no volume plugin matched name: kubernetes.io/no-provisioner',
    )
    assert.equal(
      saidOf(planClaim(open, world())),
      'ProvisioningFailed: storageclass.storage.k8s.io "m" not found',
    )
  })

  test('that names its volume gets that one or says why not', () => {
    const named = claim({ volumeName: 'v', storageClassName: '' })
    assert.equal(planClaim(named, world({ volumes: [volume()] })).kind, 'bind')
    const small = volume({ capacity: { storage: '1Mi' } })
    const told = 'VolumeMismatch: Cannot bind to requested volume "v": requested PV is too small'
    assert.equal(saidOf(planClaim(named, world({ volumes: [small] }))), told)
    const taken = volume({ claimRef: { ...reference, name: 'other', uid: 'o' } })
    const other = 'FailedBinding: volume "v" already bound to a different claim.'
    assert.equal(saidOf(planClaim(named, world({ volumes: [taken] }))), other)
  })

  test('that was bound is lost with its volume', () => {
    const bound = claim({ volumeName: 'v' }, { annotations: BOUND })
    assert.equal(planClaim(bound, world()).kind, 'lost')
    const own = volume({ claimRef: reference })
    assert.equal(planClaim(bound, world({ volumes: [own] })).kind, 'bind')
    const foreign = volume({ claimRef: { ...reference, uid: 'another' } })
    const plan = planClaim(bound, world({ volumes: [foreign] }))
    assert.match(saidOf(plan), /^ClaimMisbound: Two claims are bound/)
  })

  test('and its volume say of each other what the controller did and what the user did', () => {
    const taken = volumeFor(volume(), claim())
    assert.deepEqual(taken.metadata.annotations, BY_CONTROLLER)
    assert.equal(taken.spec?.claimRef?.uid, 'c-uid')
    assert.equal(volumeFor(taken, claim()), taken)
    const asked = volumeFor(volume({ claimRef: { namespace: 'n', name: 'c' } }), claim())
    assert.deepEqual(asked.metadata.annotations, {})
    assert.deepEqual(claimFor(claim(), taken).metadata.annotations, { ...BOUND, ...BY_CONTROLLER })
    assert.deepEqual(claimFor(claim({ volumeName: 'v' }), taken).metadata.annotations, BOUND)
  })
})

describe('a volume', () => {
  const own = volume({ claimRef: reference })
  const PROVISIONED = { 'pv.kubernetes.io/provisioned-by': 'x.example.com' }
  test('is available, bound or released as its claim is', () => {
    assert.deepEqual(planVolume(volume(), null), { kind: 'phase', phase: 'Available' })
    const named = volume({ claimRef: { namespace: 'n', name: 'c' } })
    assert.deepEqual(planVolume(named, null), { kind: 'phase', phase: 'Available' })
    assert.deepEqual(planVolume(own, claim({ volumeName: 'v' })), { kind: 'phase', phase: 'Bound' })
    assert.deepEqual(planVolume(own, claim()), { kind: 'ask-claim' })
    assert.deepEqual(planVolume(own, null), { kind: 'phase', phase: 'Released' })
  })

  test('that nobody here can delete or wipe has failed', () => {
    const planWith = (policy: string, metadata = {}) =>
      planVolume(volume({ claimRef: reference, persistentVolumeReclaimPolicy: policy }, metadata), null)
    const deletion = planWith('Delete')
    assert.equal(deletion.kind === 'phase' && deletion.phase, 'Failed')
    assert.match(saidOf(deletion as never), /^VolumeFailedDelete: error getting deleter volume plugin/)
    assert.match(saidOf(planWith('Recycle') as never), /^VolumeFailedRecycle: No recycler plugin found/)
    const left = planWith('Delete', { annotations: PROVISIONED })
    assert.deepEqual(left, { kind: 'phase', phase: 'Released' })
  })

  test('whose claim took another one is free again, with the name that a user gave it', () => {
    const elsewhere = claim({ volumeName: 'other' })
    assert.deepEqual(planVolume(own, elsewhere), { kind: 'unbind' })
    assert.deepEqual(unbound(own).spec?.claimRef, { namespace: 'n', name: 'c' })
    const mine = volume({ claimRef: reference }, { annotations: BY_CONTROLLER })
    assert.equal(unbound(mine).spec?.claimRef, undefined)
    assert.deepEqual(unbound(mine).metadata.annotations, {})
  })
})

describe('hostpath-storage', () => {
  const node: Node = {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: {
      name: 'node-1',
      labels: { 'kubernetes.io/hostname': 'host-1' },
      annotations: { 'mk8s.io/hostpath-directory': '/srv/volumes' },
    },
  }
  const annotations = {
    'volume.kubernetes.io/storage-provisioner': 'mk8s.io/hostpath',
    'volume.kubernetes.io/selected-node': 'node-1',
  }
  const found = storageClass('h', { volumeBindingMode: 'WaitForFirstConsumer', reclaimPolicy: 'Delete' })
  const given = { storageClass: found, nodes: [node], hasVolume: () => false }

  test('makes a directory on the selected node, for the claim only and reachable from there only', () => {
    const plan = planProvision(claim({ storageClassName: 'h' }, { annotations }), given)
    assert.ok(plan.kind === 'create')
    const { spec, metadata } = plan.volume
    assert.equal(metadata.name, 'pvc-c-uid')
    assert.equal(spec?.hostPath?.path, '/srv/volumes/n-c-pvc-c-uid')
    assert.equal(spec?.claimRef?.uid, 'c-uid')
    const [term] = spec?.nodeAffinity?.required?.nodeSelectorTerms ?? []
    const isHere = { key: 'kubernetes.io/hostname', operator: 'In', values: ['host-1'] }
    assert.deepEqual(term?.matchExpressions, [isHere])
  })

  test('waits for the scheduler, gives the choice back when the node is none, and refuses what it cannot do', () => {
    const { 'volume.kubernetes.io/selected-node': _, ...unselected } = annotations
    const open = claim({ storageClassName: 'h' }, { annotations: unselected })
    assert.equal(planProvision(open, given).kind, 'nothing')
    const plan = planProvision(claim({ storageClassName: 'h' }, { annotations }), { ...given, nodes: [] })
    assert.ok(plan.kind === 'reschedule')
    assert.deepEqual(plan.claim.metadata.annotations, unselected)
    const block = planProvision(claim({ volumeMode: 'Block' }, { annotations }), given)
    assert.equal(block.kind, 'fail')
    const classed = planProvision(claim({ volumeAttributesClassName: 'gold' }, { annotations }), given)
    assert.ok(classed.kind === 'fail')
    assert.match(classed.message, /VolumeAttributesClass, and the claim asks for "gold"/)
  })

  test('takes a node of the topologies that the class allows where no scheduler chooses one', () => {
    const { 'volume.kubernetes.io/selected-node': _, ...unselected } = annotations
    const open = claim({ storageClassName: 'h' }, { annotations: unselected })
    const inZone = (name: string, zone: string): Node => ({
      ...node,
      metadata: { ...node.metadata, name, labels: { 'kubernetes.io/hostname': name, zone } },
    })
    const nodes = [inZone('one', 'a'), inZone('two', 'b')]
    const from = (...values: string[]) => {
      const allowedTopologies = [{ matchLabelExpressions: [{ key: 'zone', values }] }]
      const at = storageClass('h', { volumeBindingMode: 'Immediate', allowedTopologies })
      return planProvision(open, { ...given, nodes, storageClass: at })
    }
    const plan = from('b', 'c')
    assert.ok(plan.kind === 'create')
    const [term] = plan.volume.spec?.nodeAffinity?.required?.nodeSelectorTerms ?? []
    assert.deepEqual(term?.matchExpressions?.[0]?.values, ['two'])
    assert.equal(from('c').kind, 'fail')
  })

  test('has the node remove the directory once the volume is released, and keeps what is to be retained', () => {
    const made = planProvision(claim({ storageClassName: 'h' }, { annotations }), given)
    assert.ok(made.kind === 'create')
    const released = { ...made.volume, status: { phase: 'Released' } }
    const directory = 'n-c-pvc-c-uid'
    assert.deepEqual(planRemoval(released, [node]), { kind: 'remove', node: 'node-1', directory })
    assert.deepEqual(planRemoval(released, []), { kind: 'remove', node: undefined, directory })
    assert.equal(planRemoval({ ...made.volume, status: { phase: 'Bound' } }, [node]).kind, 'nothing')
    const kept = { ...released, spec: { ...released.spec, persistentVolumeReclaimPolicy: 'Retain' } }
    assert.equal(planRemoval(kept, [node]).kind, 'nothing')
    const deleted = { ...kept, metadata: { ...kept.metadata, deletionTimestamp: '2026-01-01T00:00:00Z' } }
    assert.equal(planRemoval(deleted, [node]).kind, 'let-go')
  })

  test('grows with its claim, on both sides', () => {
    const status = { phase: 'Bound', capacity: { storage: '1Gi' } }
    const asking = claim({ resources: { requests: { storage: '2Gi' } } }, {}, status)
    const ours = { annotations: { 'pv.kubernetes.io/provisioned-by': 'mk8s.io/hostpath' } }
    const plan = planExpand(asking, volume({ claimRef: reference }, ours))
    assert.ok(plan.kind === 'grow')
    assert.equal(plan.volume?.spec?.capacity?.['storage'], '2Gi')
    assert.equal(plan.claim.status?.capacity?.['storage'], '2Gi')
    assert.equal(planExpand(asking, volume({ claimRef: reference })).kind, 'external')
    assert.equal(planExpand(claim({}, {}, status), volume({ claimRef: reference }, ours)).kind, 'nothing')
  })
})

describe('pods and claims', () => {
  const pod = (spec: Partial<NonNullable<Pod['spec']>>): Pod => ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'p', namespace: 'n', uid: 'p-uid' },
    spec: { containers: [], ...spec },
  })

  test('a claim is kept while a pod with a node uses it', () => {
    const volumes = [{ name: 'd', persistentVolumeClaim: { claimName: 'c' } }]
    assert.equal(usesClaim(pod({ volumes }), 'c'), false)
    assert.equal(usesClaim(pod({ volumes, nodeName: 'x' }), 'c'), true)
    const finalizers = ['kubernetes.io/pvc-protection']
    const leaving = claim({}, { finalizers, deletionTimestamp: '2026-01-01T00:00:00Z' })
    assert.equal(planProtection(leaving, 'kubernetes.io/pvc-protection', true), 'nothing')
    assert.equal(planProtection(leaving, 'kubernetes.io/pvc-protection', false), 'remove')
    assert.equal(planProtection(claim(), 'kubernetes.io/pvc-protection', false), 'add')
  })

  test('an ephemeral volume gets a claim of the pod, and no other one of that name', () => {
    const template = { metadata: { labels: { a: 'b' } }, spec: { accessModes: ['ReadWriteOnce'] } }
    const volumes = [{ name: 'd', ephemeral: { volumeClaimTemplate: template } }]
    const { create } = planEphemeralClaims(pod({ volumes }), () => undefined)
    assert.equal(create[0]?.metadata.name, 'p-d')
    assert.equal(create[0]?.metadata.ownerReferences?.[0]?.uid, 'p-uid')
    assert.deepEqual(create[0]?.metadata.labels, { a: 'b' })
    const foreign = planEphemeralClaims(pod({ volumes }), () => claim())
    assert.deepEqual([foreign.create.length, foreign.foreign.length], [0, 1])
  })
})
