/** What becomes of an add-on's objects and parts, and whether it is ready: decided on data alone. */
import assert from 'node:assert/strict'
import test from 'node:test'
import type { KubeObject } from '../../../../src/kube/object.ts'
import type { Node, Pod } from '../../../../src/kube/types.ts'
import type { Addon } from '../../../../src/runtime/addons/addon-object.ts'
import { conditionsOf } from '../../../../src/runtime/addons/addon-status.ts'
import {
  dependents,
  findAddon,
  readAddonWord,
  withDependencies,
} from '../../../../src/runtime/addons/catalog.ts'
import { fullName, missingImages, unfitNodes } from '../../../../src/runtime/addons/check-nodes.ts'
import { parseDefinition } from '../../../../src/runtime/addons/definition.ts'
import { labelledAddresses } from '../../../../src/runtime/addons/host-access/host-access.ts'
import { failingPart, firstFailing } from '../../../../src/runtime/addons/judge-addon.ts'
import { inOrder, planPrune, planRemoval, unionOf } from '../../../../src/runtime/addons/plan-objects.ts'
import { planParts } from '../../../../src/runtime/addons/plan-parts.ts'
import { judge, podTrouble } from '../../../../src/runtime/addons/readiness.ts'

const named = (kind: string, name: string, namespace?: string) => ({
  ...{ apiVersion: kind === 'Deployment' ? 'apps/v1' : 'v1', kind, name },
  ...(namespace === undefined ? {} : { namespace }),
})

test('definitions and namespaces come first, webhooks last', () => {
  const kinds = [
    'Deployment',
    'ValidatingWebhookConfiguration',
    'ConfigMap',
    'Namespace',
    'CustomResourceDefinition',
  ]
  assert.deepEqual(
    inOrder(kinds.map(kind => ({ kind }))).map(({ kind }) => kind),
    ['Namespace', 'CustomResourceDefinition', 'ConfigMap', 'Deployment', 'ValidatingWebhookConfiguration'],
  )
})

test('what left the manifests is pruned, last made first, and another version of a kind is the same object', () => {
  const earlier = [
    named('Namespace', 'web'),
    named('ConfigMap', 'old', 'web'),
    named('Deployment', 'web', 'web'),
  ]
  const next = [{ ...named('Deployment', 'web', 'web'), apiVersion: 'apps/v2' }]
  assert.deepEqual(
    planPrune(earlier, next).map(({ name }) => name),
    ['old', 'web'],
  )
  assert.equal(unionOf(earlier, next).length, 3)
})

test('what is kept keeps its namespace, and nothing is kept in a purge', () => {
  const objects = [
    ...[named('Namespace', 'web'), named('PersistentVolumeClaim', 'data', 'web')],
    ...[named('ConfigMap', 'settings', 'web'), named('Deployment', 'web', 'web')],
  ]
  const keep = [{ kind: 'PersistentVolumeClaim' }]
  const kindsOf = (names: readonly { kind: string }[]) => names.map(({ kind }) => kind)
  const plan = planRemoval(objects, keep, { purge: false })
  assert.deepEqual(kindsOf(plan.remove), ['Deployment', 'ConfigMap'])
  assert.deepEqual(kindsOf(plan.kept), ['Namespace', 'PersistentVolumeClaim'])
  const purge = planRemoval(objects, keep, { purge: true })
  assert.deepEqual(kindsOf(purge.remove), ['Deployment', 'PersistentVolumeClaim', 'ConfigMap', 'Namespace'])
  assert.equal(planRemoval(objects, [], { purge: false }).kept.length, 0)
})

test('a workload is ready once all its pods are, of its newest generation', () => {
  const deployment = (status: object) =>
    ({
      kind: 'Deployment',
      metadata: { generation: 2 },
      spec: { replicas: 2 },
      status,
    }) as unknown as KubeObject
  const told = { observedGeneration: 2, updatedReplicas: 2 }
  assert.deepEqual(judge(deployment({ ...told, readyReplicas: 2 })), { ready: true })
  assert.deepEqual(judge(deployment({ ...told, readyReplicas: 1 })), {
    ...{ ready: false, reason: '1 of 2 pods are ready' },
  })
  assert.equal(judge(deployment({ ...told, readyReplicas: 2, observedGeneration: 1 })).ready, false)
})

test('a pod tells why: what a container waits for, or why no node takes it', () => {
  const pod = (status: object) => ({ metadata: { namespace: 'web', name: 'a' }, status }) as unknown as Pod
  const waiting = { state: { waiting: { reason: 'ImagePullBackOff', message: 'no such host' } } }
  assert.equal(
    podTrouble([pod({ containerStatuses: [waiting] })]),
    'pod web/a: ImagePullBackOff: no such host',
  )
  const unscheduled = { type: 'PodScheduled', status: 'False', reason: 'Unschedulable', message: '0/1 nodes' }
  assert.equal(podTrouble([pod({ conditions: [unscheduled] })]), 'pod web/a: Unschedulable: 0/1 nodes')
  const creating = { state: { waiting: { reason: 'ContainerCreating' } } }
  assert.equal(podTrouble([pod({ containerStatuses: [creating] })]), null)
})

test('an object that is missing keeps an add-on from being ready', () => {
  const failing = firstFailing([{ name: named('ConfigMap', 'settings', 'web'), object: null }])
  assert.equal(failing?.object, 'ConfigMap web/settings')
  assert.equal(failing?.reason, 'it is missing')
})

const node = (name: string, ready: 'True' | 'Unknown', more: object = {}) =>
  ({
    metadata: { name },
    status: { conditions: [{ type: 'Ready', status: ready }], ...more },
  }) as unknown as Node

test('a part has to run on every node that is Ready, with these parameters', () => {
  const nodes = [node('n1', 'True'), node('n2', 'Unknown')]
  const report = { name: 'n1', part: 'web', ready: true, message: '', parameters: 'p2' }
  assert.equal(failingPart(['web'], nodes, [report], 'p2'), null)
  assert.equal(failingPart(['web'], nodes, [report], 'p3')?.object, 'part web on node n1')
  assert.equal(
    failingPart(['web'], nodes, [{ ...report, ready: false, message: 'port taken' }], 'p2')?.reason,
    'port taken',
  )
})

const addon = (name: string, spec: object, status: object = {}) =>
  ({ apiVersion: '', kind: 'Addon', metadata: { name }, spec, status }) as Addon
const part = (name: string, isDefault = false) => ({ name, isDefault, start: () => assert.fail() })

test('a part runs while its add-on is enabled, and a default one until somebody disables it', () => {
  const parts = [part('dns', true), part('web')]
  const runOf = (name: string, addons: readonly Addon[]) => planParts(parts, addons, 'n1').get(name)
  assert.deepEqual(runOf('dns', [])?.run, {})
  assert.equal(runOf('web', [])?.run, null)
  const told = { parts: ['web'], parameters: { size: 1 } }
  assert.deepEqual(runOf('web', [addon('site', { enabled: true }, told)]), {
    ...{ addon: 'site', run: { size: 1 }, purge: false, isTold: false },
  })
  assert.deepEqual(runOf('web', [addon('site', { enabled: false, purge: true }, told)]), {
    ...{ addon: 'site', run: null, purge: true, isTold: false },
  })
  assert.equal(runOf('dns', [addon('dns', { enabled: false })])?.run, null)
})

const entry = (name: string, more = '', repository = 'core') => {
  const text = `name: ${name}\nversion: "1.0.0"\ndescription: x\n${more}`
  return { repository, source: { definition: parseDefinition(text), files: {} } }
}

test('an add-on is found by name, alias and repository, and what it needs comes first', () => {
  const catalog = [
    ...[entry('web', 'dependencies: [base]\naliases: [www]'), entry('base', 'dependencies: [dns]')],
    ...[entry('dns'), entry('web', '', 'team'), entry('loop', 'dependencies: [loop]')],
    entry('lame', 'dependencies: [nobody]'),
  ]
  const find = (word: string) => findAddon(catalog, readAddonWord(word))
  assert.equal(find('www').source.definition.name, 'web')
  assert.equal(find('team/web:x').repository, 'team')
  assert.deepEqual(
    withDependencies(catalog, find('web')).map(({ source }) => source.definition.name),
    ['dns', 'base', 'web'],
  )
  assert.throws(() => find('wbe'), { code: 'addon/unknown', hint: 'mk8s enable web' })
  assert.throws(() => withDependencies(catalog, find('loop')), { code: 'addon/missing' })
  assert.throws(() => withDependencies(catalog, find('lame')), {
    why: 'it needs nobody, which is in no repository',
  })
  assert.deepEqual(dependents(catalog, 'dns', [addon('base', { enabled: true })]), ['base'])
  assert.deepEqual(dependents(catalog, 'dns', [addon('base', { enabled: false })]), [])
})

test('an image is missing on the nodes that do not tell of it, however it is written', () => {
  const nodes = [
    node('n1', 'True', { images: [{ names: ['docker.io/library/busybox:latest'] }] }),
    node('n2', 'True'),
  ]
  assert.deepEqual(missingImages(['busybox'], nodes), [{ image: 'busybox', node: 'n2' }])
  assert.equal(fullName('localhost:32000/a'), 'localhost:32000/a:latest')
  assert.equal(fullName('team/a@sha256:0'), 'docker.io/team/a@sha256:0')
})

test('platforms and runtimes keep an add-on away only where no node will do', () => {
  const definition = entry('web', 'platforms: [linux/arm64]\nruntimes: [oci]').source.definition
  const info = (architecture: string) => ({
    nodeInfo: { operatingSystem: 'linux', architecture, containerRuntimeVersion: 'runc://1.1.5' },
  })
  const [amd, arm] = [node('n1', 'True', info('amd64')), node('n2', 'True', info('arm64'))]
  assert.deepEqual(unfitNodes(definition, [amd]), ['web needs linux/arm64, and node n1 is linux/amd64'])
  assert.deepEqual(unfitNodes(definition, [amd, arm]), [])
})

test('a condition that stays keeps its time', () => {
  const [first] = conditionsOf({ phase: 'Ready' }, 1, 'T1')
  assert.equal(first?.lastTransitionTime, 'T1')
  const conditions = conditionsOf({ phase: 'Ready' }, 1, 'T1')
  assert.equal(conditionsOf({ phase: 'Ready', conditions }, 2, 'T2')[0]?.lastTransitionTime, 'T1')
  const failing = conditionsOf({ phase: 'Progressing', failing: 'Pod a', message: 'no', conditions }, 2, 'T2')
  assert.deepEqual(
    failing.map(({ status, lastTransitionTime, message }) => [status, lastTransitionTime, message]),
    [
      ['False', 'T2', 'Pod a: no'],
      ['True', 'T2', 'Pod a: no'],
    ],
  )
})

test('the addresses of host-access are known by their label', () => {
  const output =
    '1: lo    inet 127.0.0.1/8 scope host lo\\       valid_lft forever\n' +
    '1: lo    inet 10.0.1.1/32 scope global lo:mk8s\\       valid_lft forever\n'
  assert.deepEqual(labelledAddresses(output), ['10.0.1.1'])
})
