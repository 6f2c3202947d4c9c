import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { CSIDriver, Node, PersistentVolume, VolumeAttachment } from '../../../../src/kube/types.ts'
import {
  planAttachments,
  planVolumesAttached,
} from '../../../../src/runtime/controllers/attach-detach/plan.ts'

const volume = (mode = 'ReadWriteOnce'): PersistentVolume => ({
  apiVersion: 'v1',
  kind: 'PersistentVolume',
  metadata: { name: 'v' },
  spec: { accessModes: [mode], csi: { driver: 'd', volumeHandle: 'h' } },
})
const node = (name: string, volumesInUse: string[] = [], taint?: string): Node => ({
  apiVersion: 'v1',
  kind: 'Node',
  metadata: { name },
  spec: taint === undefined ? {} : { taints: [{ key: taint, effect: 'NoExecute' }] },
  status: { volumesInUse },
})
const attachment = (nodeName: string): VolumeAttachment => ({
  apiVersion: 'storage.k8s.io/v1',
  kind: 'VolumeAttachment',
  metadata: { name: `on-${nodeName}` },
  spec: { attacher: 'd', nodeName, source: { persistentVolumeName: 'v' } },
})
const withoutAttaching: CSIDriver = {
  apiVersion: 'storage.k8s.io/v1',
  kind: 'CSIDriver',
  metadata: { name: 'd' },
  spec: { attachRequired: false },
}

function plan(
  wanted: readonly string[],
  present: readonly VolumeAttachment[] = [],
  nodes: readonly Node[] = [],
  { mode, isOverdue = false }: { mode?: string; isOverdue?: boolean } = {},
) {
  const nodeOf = (name: string) => nodes.find(({ metadata }) => metadata.name === name)
  const { create, remove, waiting } = planAttachments(volume(mode), undefined, {
    ...{ nodes: wanted, attachments: present, nodeOf, isOverdue: () => isOverdue },
  })
  const nodeNames = (all: readonly VolumeAttachment[]) => all.map(({ spec }) => spec.nodeName)
  return { create: nodeNames(create), remove: nodeNames(remove), waiting }
}

test('a volume for one node is attached to one, and the next one waits until that has let go', () => {
  assert.deepEqual(plan(['a', 'a']), { create: ['a'], remove: [], waiting: [] })
  assert.deepEqual(plan(['b'], [attachment('a')]), { create: [], remove: ['a'], waiting: ['b'] })
  assert.deepEqual(plan(['a', 'b'], [], [], { mode: 'ReadWriteMany' }), {
    create: ['a', 'b'],
    remove: [],
    waiting: [],
  })
})

test('a node that has the volume mounted keeps it, unless it is said to be out of service', () => {
  const used = ['kubernetes.io/csi/d^h']
  assert.deepEqual(plan([], [attachment('a')], [node('a', used)]).remove, [])
  assert.deepEqual(plan([], [attachment('a')], [node('a')]).remove, ['a'])
  assert.deepEqual(plan([], [attachment('a')]).remove, ['a'])
  const lost = node('a', used, 'node.kubernetes.io/out-of-service')
  assert.deepEqual(plan([], [attachment('a')], [lost]).remove, ['a'])
})

test('a node that is not Ready loses a volume that nobody wants there, once it has had its time to unmount it', () => {
  const used = node('a', ['kubernetes.io/csi/d^h'])
  const withReady = (status: string): Node => ({
    ...used,
    status: { ...used.status, conditions: [{ type: 'Ready', status }] },
  })
  const removed = (status: string, isOverdue: boolean) =>
    plan([], [attachment('a')], [withReady(status)], { isOverdue }).remove
  assert.deepEqual(removed('Unknown', false), [])
  assert.deepEqual(removed('Unknown', true), ['a'])
  assert.deepEqual(removed('True', true), [])
})

test('a node is told what is attached to it, as soon as it is and no longer', () => {
  const attached = { ...attachment('a'), status: { attached: true } }
  const said = (present: VolumeAttachment, volumesAttached: { name: string; devicePath: string }[] = []) =>
    planVolumesAttached({ ...node('a'), status: { volumesAttached } }, [present], () => volume())
  const entry = { name: 'kubernetes.io/csi/d^h', devicePath: '' }
  assert.equal(said(attachment('a')), null)
  assert.deepEqual(said(attached), [entry])
  assert.equal(said(attached, [entry]), null)
  assert.deepEqual(said(attachment('a'), [entry]), [])
})

test('drivers that attach nothing are left alone', () => {
  const world = { nodes: ['a'], attachments: [], nodeOf: () => undefined, isOverdue: () => false }
  assert.deepEqual(planAttachments(volume(), withoutAttaching, world).create, [])
})
