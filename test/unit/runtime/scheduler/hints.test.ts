/** Which pods that found no node are worth another try after which event. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Node, Pod } from '../../../../src/kube/types.ts'
import {
  helpsAfterCome,
  helpsAfterGone,
  helpsAfterNode,
  helpsAfterVolumes,
  onlyTakesFewer,
} from '../../../../src/runtime/scheduler/hints.ts'
import type { Plugin } from '../../../../src/runtime/scheduler/profile.ts'
import { NAMESPACES_BY_NAME } from '../../../../src/runtime/scheduler/world.ts'

const pod = (spec: object = {}, labels: Record<string, string> = {}): Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'p', uid: 'u', namespace: 'd', labels },
  spec: { containers: [], ...spec },
})
const asking = (cpu: string, more: object = {}): Pod =>
  pod({ containers: [{ name: 'c', resources: { requests: { cpu } } }], ...more })
const node = (cpu: string, over: object = {}, labels: Record<string, string> = {}): Node => ({
  apiVersion: 'v1',
  kind: 'Node',
  metadata: { name: 'n', labels },
  spec: over,
  status: { allocatable: { cpu, pods: '10' } },
})
const waiting = (wanted: Pod, ...plugins: Plugin[]) => ({ pod: wanted, plugins: new Set(plugins) })

test('a node helps that is new and would do, or has become what was missing', () => {
  const tainted = { taints: [{ key: 'k', effect: 'NoSchedule' }] }
  const big = waiting(asking('2'), 'NodeResourcesFit')
  assert.ok(helpsAfterNode(big, node('4'), null))
  assert.ok(!helpsAfterNode(big, node('1'), null), 'too small')
  assert.ok(!helpsAfterNode(big, node('4', tainted), null), 'a taint in the way')
  assert.ok(helpsAfterNode(big, node('4'), node('3')), 'it has grown')
  assert.ok(!helpsAfterNode(big, node('4', {}, { x: 'y' }), node('4')), 'a label is no room')
  const repelled = waiting(pod(), 'TaintToleration')
  assert.ok(helpsAfterNode(repelled, node('1'), node('1', tainted)))
  assert.ok(!helpsAfterNode(repelled, node('2'), node('1')), 'nobody objected to this one')
  const picky = waiting(pod({ nodeSelector: { disk: 'ssd' } }), 'NodeAffinity')
  assert.ok(helpsAfterNode(picky, node('1', {}, { disk: 'ssd' }), node('1')))
  assert.ok(!helpsAfterNode(picky, node('1', {}, { disk: 'hdd' }), node('1')))
  assert.ok(!helpsAfterNode(big, null, node('4')), 'a node that is gone')
  assert.ok(helpsAfterNode(waiting(pod(), 'PodTopologySpread'), null, node('4')), 'and its domain')
})

test('a node that only takes fewer pods than before helps nobody', () => {
  const tainted = { taints: [{ key: 'k', effect: 'NoSchedule' }] }
  assert.ok(onlyTakesFewer(node('1', { ...tainted, unschedulable: true }), node('1')))
  assert.ok(!onlyTakesFewer(node('1'), node('1', tainted)))
  assert.ok(!onlyTakesFewer(node('1'), node('1', { unschedulable: true })))
  assert.ok(!onlyTakesFewer(node('2', tainted), node('1')))
  assert.ok(!onlyTakesFewer(node('1', tainted, { x: 'y' }), node('1')))
})

const term = { topologyKey: 'zone', labelSelector: { matchLabels: { app: 'db' } } }
const required = { requiredDuringSchedulingIgnoredDuringExecution: [term] }
const db = pod({}, { app: 'db' })
const web = pod({}, { app: 'web' })

test('a pod that goes helps those that lack its room, its port, or must not be beside it', () => {
  const helps = (one: ReturnType<typeof waiting>, gone: Pod) => helpsAfterGone(one, gone, NAMESPACES_BY_NAME)
  const port = pod({ containers: [{ name: 'c', ports: [{ containerPort: 1, hostPort: 80 }] }] })
  assert.ok(helps(waiting(asking('1'), 'NodeResourcesFit'), web))
  assert.ok(helps(waiting(port, 'NodePorts'), port))
  assert.ok(!helps(waiting(port, 'NodePorts'), web))
  assert.ok(!helps(waiting(pod(), 'NodeAffinity', 'TaintToleration'), web))
  const apart = pod({ affinity: { podAntiAffinity: required } })
  assert.ok(helps(waiting(apart, 'InterPodAffinity'), db))
  assert.ok(helps(waiting(db, 'InterPodAffinity'), apart))
  assert.ok(!helps(waiting(apart, 'InterPodAffinity'), web))
})

test('a pod that comes helps those that want its company or count it', () => {
  const helps = (one: ReturnType<typeof waiting>, come: Pod) => helpsAfterCome(one, come, NAMESPACES_BY_NAME)
  const near = waiting(pod({ affinity: { podAffinity: required } }), 'InterPodAffinity')
  assert.ok(helps(near, db))
  assert.ok(!helps(near, web))
  const constraint = { maxSkew: 1, topologyKey: 'zone', whenUnsatisfiable: 'DoNotSchedule' }
  const labelSelector = { matchLabels: { app: 'db' } }
  const level = pod({ topologySpreadConstraints: [{ ...constraint, labelSelector }] })
  assert.ok(helps(waiting(level, 'PodTopologySpread'), db))
  assert.ok(!helps(waiting(level, 'PodTopologySpread'), web))
  assert.ok(!helps(waiting(asking('1'), 'NodeResourcesFit'), db))
})

test('volumes help only pods with claims', () => {
  const claiming = pod({ volumes: [{ name: 'v', persistentVolumeClaim: { claimName: 'c' } }] })
  assert.ok(helpsAfterVolumes(waiting(claiming, 'VolumeBinding')))
  assert.ok(!helpsAfterVolumes(waiting(claiming, 'NodeResourcesFit')))
  assert.ok(!helpsAfterVolumes(waiting(pod(), 'VolumeBinding')))
})

test('a node helps that has come to declare what a pod needs', () => {
  const rule = { action: 'RestartAllContainers', exitCodes: { operator: 'In', values: [1] } }
  const needy = waiting(
    pod({ containers: [{ name: 'c', restartPolicyRules: [rule] }] }),
    'NodeDeclaredFeatures',
  )
  const old = node('4')
  const upgraded = {
    ...old,
    status: { ...old.status, declaredFeatures: ['RestartAllContainersOnContainerExits'] },
  }
  assert.ok(!onlyTakesFewer(upgraded, old))
  assert.ok(helpsAfterNode(needy, upgraded, old))
  assert.ok(!helpsAfterNode(needy, old, null))
})
