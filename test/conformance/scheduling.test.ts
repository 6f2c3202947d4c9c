/** What Kubernetes' conformance asks of the scheduler, of preemption and of limit ranges, on two simulated nodes. */
import assert from 'node:assert/strict'
import test, { after, before, describe } from 'node:test'
import { must } from '../../src/base/assert.ts'
import { at, itemsOf, named } from '../support/conformance.ts'
import type { Kubectl } from '../support/kubectl.ts'
import { startServers, type TestServers } from '../support/servers.ts'
import { until } from '../support/until.ts'

const WAIT_MS = 120_000
/** Nobody but these tests knows of it, so that they know how much is free. */
const RESOURCE = 'scheduling.k8s.io/foo'
const PER_NODE = 5
let servers: TestServers
let kubectl: Kubectl
before(async () => {
  servers = await startServers({ count: 2 })
  kubectl = must(servers.nodes[0], 'the first node').kubectl
  await kubectl.ok(['wait', '--for=condition=Ready', 'nodes', '--all', '--timeout=60s'])
  for (const { name } of servers.nodes) {
    const amounts = { [RESOURCE]: `${PER_NODE}` }
    const patch = JSON.stringify({ status: { capacity: amounts, allocatable: amounts } })
    await kubectl.ok(['patch', 'node', name, '--subresource=status', '--type=merge', '-p', patch])
  }
})
after(() => servers?.remove())

const create = (object: object, ...args: string[]) =>
  kubectl.try(['create', '-f', '-', ...args], { input: JSON.stringify(object) })
const made = async (object: object, ...args: string[]) => {
  const { code, stderr } = await create(object, ...args)
  assert.equal(code, 0, stderr)
}
const podWith = (name: string, spec: object, container: object = {}) =>
  named('v1', 'Pod', name, {
    metadata: { name, labels: { app: 'scheduling' } },
    spec: {
      terminationGracePeriodSeconds: 0,
      containers: [{ name: 'c', image: 'pause', ...container }],
      ...spec,
    },
  })
const asking = (name: string, count: number, spec: object = {}) =>
  podWith(name, spec, {
    resources: { requests: { [RESOURCE]: `${count}` }, limits: { [RESOURCE]: `${count}` } },
  })
const get = (kind: string, name: string, ...args: string[]) => kubectl.json(['get', kind, name, ...args])
const runs = (name: string, ...args: string[]) =>
  kubectl.ok(['wait', '--for=jsonpath={.status.phase}=Running', `pod/${name}`, '--timeout=60s', ...args])
const clear = () =>
  kubectl.ok(['delete', 'pods,replicasets', '-l', 'app=scheduling', '--timeout=60s', '--ignore-not-found'])
const conditionOf = (pod: unknown, type: string) =>
  ((at(pod, 'status.conditions') ?? []) as { type: string; reason: string; message: string }[]).find(
    each => each.type === type,
  )

/** Waits until the scheduler has given up on the pod; what it says of it. */
async function failure(name: string): Promise<string> {
  const condition = await until(
    `${name} is unschedulable`,
    async () => {
      const found = conditionOf(await get('pod', name), 'PodScheduled')
      return found?.reason === 'Unschedulable' ? found : undefined
    },
    WAIT_MS,
  )
  const events = await kubectl.json(['get', 'events', '--field-selector', `involvedObject.name=${name}`])
  const told = itemsOf(events).filter(event => at(event, 'reason') === 'FailedScheduling')
  assert.ok(told.some(event => at(event, 'message') === condition?.message))
  return condition?.message ?? ''
}

describe('[sig-scheduling] SchedulerPredicates [Serial]', () => {
  test('validates resource limits of pods that are allowed to run', async () => {
    await made(asking('filler-1', PER_NODE - 1))
    await made(asking('filler-2', PER_NODE - 1))
    await Promise.all([runs('filler-1'), runs('filler-2')])
    await made(asking('additional', 2))
    assert.equal(
      await failure('additional'),
      `0/2 nodes are available: 2 Insufficient ${RESOURCE}. no new claims to deallocate, preemption: 0/2 nodes are available: ` +
        '2 No preemption victims found for incoming pod.',
    )
    await kubectl.ok(['delete', 'pod', 'filler-1', '--timeout=60s'])
    await runs('additional')
    await clear()
  })

  test('validates that NodeSelector is respected if matching', async () => {
    await kubectl.ok(['label', 'node', 'n2', 'kubernetes.io/e2e-key=42'])
    await made(podWith('with-labels', { nodeSelector: { 'kubernetes.io/e2e-key': '42' } }))
    await runs('with-labels')
    assert.equal(at(await get('pod', 'with-labels'), 'spec.nodeName'), 'n2')
    await kubectl.ok(['label', 'node', 'n2', 'kubernetes.io/e2e-key-'])
    await clear()
  })

  test('validates that NodeSelector is respected if not matching', async () => {
    await made(podWith('restricted', { nodeSelector: { label: 'nonempty' } }))
    assert.equal(
      await failure('restricted'),
      "0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector. no new claims to deallocate, preemption: " +
        '0/2 nodes are available: 2 Preemption is not helpful for scheduling.',
    )
    await kubectl.ok(['label', 'node', 'n1', 'label=nonempty'])
    await runs('restricted')
    await kubectl.ok(['label', 'node', 'n1', 'label-'])
    await clear()
  })

  test('validates that there exists conflict between pods with same hostPort and protocol but one using 0.0.0.0 hostIP', async () => {
    const nodeSelector = { 'kubernetes.io/hostname': 'n1' }
    const port = (hostIP: string) => ({
      ports: [{ containerPort: 8080, hostPort: 54_322, protocol: 'TCP', ...(hostIP ? { hostIP } : {}) }],
    })
    await made(podWith('pod4', { nodeSelector }, port('')))
    await runs('pod4')
    await made(podWith('pod5', { nodeSelector }, port('127.0.0.1')))
    assert.match(
      await failure('pod5'),
      /^0\/2 nodes are available: 1 node\(s\) didn't have free ports for the requested pod ports, 1 node\(s\) didn't match Pod's node affinity/,
    )
    await clear()
  })

  test('leaves pods of other schedulers, and gated ones, alone', async () => {
    await made(podWith('foreign', { schedulerName: 'somebody-else' }))
    await made(podWith('gated', { schedulingGates: [{ name: 'example.com/wait' }] }))
    await made(podWith('plain', {}))
    await runs('plain')
    assert.equal(conditionOf(await get('pod', 'gated'), 'PodScheduled')?.reason, 'SchedulingGated')
    assert.match(await kubectl.ok(['get', 'pod', 'gated', '--no-headers']), /SchedulingGated/)
    assert.equal(at(await get('pod', 'foreign'), 'spec.nodeName'), undefined)
    const patch = JSON.stringify({ spec: { schedulingGates: [] } })
    await kubectl.ok(['patch', 'pod', 'gated', '--type=merge', '-p', patch])
    await runs('gated')
    assert.equal(conditionOf(await get('pod', 'foreign'), 'PodScheduled'), undefined)
    await clear()
  })
})

describe('[sig-scheduling] SchedulerPreemption [Serial]', () => {
  const priority = (name: string, value: number) =>
    made(named('scheduling.k8s.io/v1', 'PriorityClass', name, { value }))
  const fill = async (...names: string[]) => {
    for (const [index, name] of names.entries()) {
      const nodeSelector = { 'kubernetes.io/hostname': `n${(index % 2) + 1}` }
      const priorityClassName = index === 0 ? 'low' : 'medium'
      await made(asking(name, PER_NODE, { nodeSelector, priorityClassName }))
    }
    await Promise.all(names.map(name => runs(name)))
  }
  before(async () => {
    await priority('low', 1)
    await priority('medium', 100)
    await priority('high', 1_000)
  })

  test('validates basic preemption works', async () => {
    await fill('victim', 'other')
    await made(asking('preemptor', PER_NODE, { priorityClassName: 'high' }))
    await runs('preemptor')
    assert.equal((await kubectl.try(['get', 'pod', 'victim'])).code, 1)
    assert.equal(at(await get('pod', 'other'), 'metadata.deletionTimestamp'), undefined)
    const events = await kubectl.json(['get', 'events', '--field-selector', 'reason=Preempted'])
    const uid = String(at(await get('pod', 'preemptor'), 'metadata.uid'))
    const told = itemsOf(events).map(event => at(event, 'message'))
    assert.deepEqual(told, [`Preempted by pod ${uid} on node n1`])
    await clear()
  })

  test('validates lower priority pod preemption by critical pod', async () => {
    await fill('victim', 'other')
    const critical = asking('critical', PER_NODE, { priorityClassName: 'system-cluster-critical' })
    await made(critical, '-n', 'kube-system')
    await runs('critical', '-n', 'kube-system')
    assert.equal((await kubectl.try(['get', 'pod', 'victim'])).code, 1)
    assert.equal(at(await get('pod', 'other'), 'metadata.deletionTimestamp'), undefined)
    await kubectl.ok(['delete', 'pod', 'critical', '-n', 'kube-system'])
    await clear()
  })

  test('validates pod disruption condition is added to the preempted pod', async () => {
    const nodeSelector = { 'kubernetes.io/hostname': 'n1' }
    const victim = asking('victim', PER_NODE, { nodeSelector, priorityClassName: 'low' })
    const finalizers = ['example.com/test-finalizer']
    await made({ ...victim, metadata: { ...victim.metadata, finalizers } })
    await runs('victim')
    await made(asking('preemptor', PER_NODE, { nodeSelector, priorityClassName: 'high' }))
    await until(
      'the victim is told',
      async () => {
        const pod = await get('pod', 'victim')
        const condition = conditionOf(pod, 'DisruptionTarget')
        const message = 'default-scheduler: preempting to accommodate a higher priority pod'
        return (
          condition?.reason === 'PreemptionByScheduler' &&
          condition.message === message &&
          at(pod, 'metadata.deletionTimestamp') !== undefined
        )
      },
      WAIT_MS,
    )
    assert.equal(at(await get('pod', 'preemptor'), 'status.nominatedNodeName'), 'n1')
    const patch = JSON.stringify({ metadata: { finalizers: null } })
    await kubectl.ok(['patch', 'pod', 'victim', '--type=merge', '-p', patch])
    await runs('preemptor')
    await clear()
  })

  test('PreemptionExecutionPath runs ReplicaSets to verify preemption running path', async () => {
    const nodeSelector = { 'kubernetes.io/hostname': 'n1' }
    const set = (number: number, replicas: number, count: number, priorityClassName: string) => {
      const labels = { name: `pod${number}`, app: 'scheduling' }
      const spec = at(asking('none', count, { nodeSelector, priorityClassName }), 'spec')
      const template = { metadata: { labels }, spec }
      return named('apps/v1', 'ReplicaSet', `rs-pod${number}`, {
        metadata: { name: `rs-pod${number}`, labels },
        spec: { replicas, selector: { matchLabels: labels }, template },
      })
    }
    const ready = (number: number, replicas: number) =>
      kubectl.ok([
        ...['wait', `--for=jsonpath={.status.readyReplicas}=${replicas}`, `rs/rs-pod${number}`],
        '--timeout=60s',
      ])
    await made(set(1, 3, 1, 'low'))
    await made(set(2, 1, 1, 'medium'))
    await ready(1, 3)
    await ready(2, 1)
    await made(set(4, 1, 3, 'high'))
    await ready(4, 1)
    // 5 are there, 3 and 1 are taken by the more important: one of the least important stays.
    await until(
      'the least important has what is left',
      async () =>
        at(await get('rs', 'rs-pod1'), 'status.readyReplicas') === 1 &&
        at(await get('rs', 'rs-pod2'), 'status.readyReplicas') === 1,
      WAIT_MS,
    )
    await clear()
  })

  test('PriorityClass endpoints verify PriorityClass endpoints can be operated with different HTTP methods', async () => {
    const patch = (body: object) =>
      kubectl.try(['patch', 'priorityclass', 'low', '--type=merge', '-p', JSON.stringify(body)])
    assert.ok(itemsOf(await kubectl.json(['get', 'priorityclasses'])).length >= 5)
    assert.equal((await patch({ description: 'patched' })).code, 0)
    assert.equal(at(await get('priorityclass', 'low'), 'description'), 'patched')
    const refused = await patch({ value: 7 })
    assert.match(refused.stderr, /value: Forbidden: may not be changed in an update\./)
    assert.match((await patch({ preemptionPolicy: 'Never' })).stderr, /field is immutable/)
    assert.equal(at(await get('priorityclass', 'low'), 'value'), 1)
  })
})

describe('[sig-scheduling] LimitRange', () => {
  const amounts = (cpu: string, memory: string) => ({ cpu, memory, 'ephemeral-storage': '10Gi' })
  const limitRange = (name: string, labels: object = {}) =>
    named('v1', 'LimitRange', name, {
      metadata: { name, labels },
      spec: {
        limits: [
          {
            type: 'Container',
            min: amounts('50m', '100Mi'),
            max: amounts('500m', '500Mi'),
            default: amounts('500m', '500Mi'),
            defaultRequest: amounts('100m', '200Mi'),
          },
        ],
      },
    })
  const inside = ['-n', 'limits']

  test('should create a LimitRange with defaults and ensure pod has those defaults applied', async () => {
    await kubectl.ok(['create', 'namespace', 'limits'])
    await made(limitRange('limit-range'), ...inside)
    const resources = async (name: string) =>
      (at(await get('pod', name, ...inside), 'spec.containers') as { resources: object }[])[0]?.resources
    await made(podWith('pod-no-resources', {}), ...inside)
    const defaults = { requests: amounts('100m', '200Mi'), limits: amounts('500m', '500Mi') }
    assert.deepEqual(await resources('pod-no-resources'), defaults)
    const partial = { resources: { requests: { memory: '150Mi' }, limits: { cpu: '300m' } } }
    await made(podWith('pod-partial-resources', {}, partial), ...inside)
    assert.deepEqual(await resources('pod-partial-resources'), {
      requests: { ...amounts('300m', '150Mi'), 'ephemeral-storage': '10Gi' },
      limits: amounts('300m', '500Mi'),
    })
    const small = podWith('small', {}, { resources: { requests: { cpu: '10m', memory: '50Mi' } } })
    const big = podWith('big', {}, { resources: { limits: { cpu: '600m' } } })
    assert.match((await create(small, ...inside)).stderr, /minimum cpu usage per Container is 50m/)
    assert.match((await create(big, ...inside)).stderr, /maximum cpu usage per Container is 500m/)
    const limits = [{ type: 'Container', min: { cpu: '5m' } }]
    const patch = JSON.stringify({ spec: { limits } })
    await kubectl.ok(['patch', 'limitrange', 'limit-range', ...inside, '--type=merge', '-p', patch])
    await until('a small pod is let in', async () => (await create(small, ...inside)).code === 0)
    await kubectl.ok(['delete', 'limitrange', 'limit-range', ...inside])
    await until('a big pod is let in', async () => (await create(big, ...inside)).code === 0)
  })

  test('should list, patch and delete a LimitRange by collection', async () => {
    await kubectl.ok(['create', 'namespace', 'limits-too'])
    const selected = ['-l', 'e2e=collection', '-A']
    for (const namespace of ['limits', 'limits-too']) {
      await made(limitRange('listed', { e2e: 'collection' }), '-n', namespace)
    }
    assert.equal(itemsOf(await kubectl.json(['get', 'limitranges', ...selected])).length, 2)
    const min = { cpu: '42m' }
    const patch = JSON.stringify({
      metadata: { labels: { patched: 'yes' } },
      spec: { limits: [{ type: 'Container', min }] },
    })
    await kubectl.ok(['patch', 'limitrange', 'listed', ...inside, '--type=merge', '-p', patch])
    const patched = await get('limitrange', 'listed', ...inside)
    assert.deepEqual((at(patched, 'spec.limits') as { min: object }[])[0]?.min, min)
    await kubectl.ok(['delete', 'limitranges', '-l', 'patched=yes', ...inside])
    const left = itemsOf(await kubectl.json(['get', 'limitranges', ...selected]))
    assert.deepEqual(
      left.map(each => at(each, 'metadata.namespace')),
      ['limits-too'],
    )
  })
})
