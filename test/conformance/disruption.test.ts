/** What Kubernetes' conformance expects of disruption budgets, and what kubectl drains, cordons, scales and waits for. */
import assert from 'node:assert/strict'
import test, { after, before, describe } from 'node:test'
import { must } from '../../src/base/assert.ts'
import { at, itemsOf, named, nameOf } from '../support/conformance.ts'
import type { Kubectl } from '../support/kubectl.ts'
import { startServers, type TestServers } from '../support/servers.ts'
import { until } from '../support/until.ts'

const WAIT_MS = 120_000
const DRAIN = ['--ignore-daemonsets', '--delete-emptydir-data', '--force']
let servers: TestServers
let kubectl: Kubectl
before(async () => {
  servers = await startServers({ count: 2 })
  kubectl = must(servers.nodes[0], 'the first node').kubectl
  await kubectl.ok(['wait', '--for=condition=Ready', 'nodes', '--all', '--timeout=60s'])
  await kubectl.ok(['create', 'deployment', 'web', '--image=web', '--replicas=4'])
  await kubectl.ok(['rollout', 'status', 'deployment/web', '--timeout=60s'])
})
after(() => servers?.remove())

const apply = (object: object) => kubectl.ok(['apply', '-f', '-'], { input: JSON.stringify(object) })
const budget = (name: string, spec: object) =>
  apply(
    named('policy/v1', 'PodDisruptionBudget', name, {
      spec: { selector: { matchLabels: { app: 'web' } }, ...spec },
    }),
  )
const untilAllowed = (name: string, count: number) =>
  until(
    `${count} disruptions are allowed`,
    async () => at(await kubectl.json(['get', 'pdb', name]), 'status.disruptionsAllowed') === count,
    WAIT_MS,
  )
const pods = async () => itemsOf(await kubectl.json(['get', 'pods', '-l', 'app=web']))
const isAlive = (pod: unknown) => at(pod, 'metadata.deletionTimestamp') === undefined
const podsOn = async (node: string) =>
  (await pods()).filter(pod => at(pod, 'spec.nodeName') === node && isAlive(pod)).length

describe('[sig-apps] DisruptionController', () => {
  test('should create a PodDisruptionBudget', async () => {
    await budget('made', { minAvailable: '1%' })
    await untilAllowed('made', 3)

    const { status } = (await kubectl.json(['get', 'pdb', 'made'])) as { status: object }
    assert.equal(at(status, 'expectedPods'), 4)
    const listed = await kubectl.ok(['get', 'pdb', '-A', '--no-headers'])
    assert.match(listed, /default\s+made\s+1%\s+N\/A\s+3\s/)
  })

  test('should update/patch PodDisruptionBudget status', async () => {
    const patch = JSON.stringify({ status: { disruptionsAllowed: 0 } })
    await kubectl.ok(['patch', 'pdb', 'made', '--subresource=status', '--type=merge', '-p', patch])
    await untilAllowed('made', 3)
    await kubectl.ok(['delete', 'pdb', 'made'])
  })

  test('should block an eviction until the PDB is updated to allow it', async () => {
    await budget('strict', { minAvailable: 4 })
    await untilAllowed('strict', 0)
    const [pod] = await pods()
    const name = nameOf(pod)
    const eviction = JSON.stringify(named('policy/v1', 'Eviction', name))
    const path = `/api/v1/namespaces/default/pods/${name}/eviction`
    const refused = await kubectl.try(['create', '--raw', path, '-f', '-'], { input: eviction })
    assert.notEqual(refused.code, 0)
    assert.match(refused.stderr, /Cannot evict pod as it would violate the pod's disruption budget/)
    await kubectl.ok(['patch', 'pdb', 'strict', '--type=merge', '-p', '{"spec":{"minAvailable":3}}'])
    await untilAllowed('strict', 1)
    await kubectl.ok(['create', '--raw', path, '-f', '-'], { input: eviction })
    await kubectl.ok(['wait', '--for=delete', `pod/${name}`, '--timeout=60s'])
    await kubectl.ok(['rollout', 'status', 'deployment/web', '--timeout=60s'])
  })

  test('should observe PodDisruptionBudget status updated', async () => {
    await budget('observed', { minAvailable: 1 })
    await kubectl.ok(['wait', '--for=condition=DisruptionAllowed', 'pdb/observed', '--timeout=60s'])
    const { status } = (await kubectl.json(['get', 'pdb', 'observed'])) as { status: object }
    assert.deepEqual(
      { ...status, conditions: undefined },
      {
        conditions: undefined,
        currentHealthy: 4,
        desiredHealthy: 1,
        disruptionsAllowed: 3,
        expectedPods: 4,
        observedGeneration: 1,
      },
    )
    await kubectl.ok(['delete', 'pdb', 'observed'])
  })

  test('Listing PodDisruptionBudgets for all namespaces should list and delete a collection of PodDisruptionBudgets', async () => {
    const label = ['-l', 'collection=of-budgets']
    await kubectl.ok(['create', 'namespace', 'budgets'])
    for (const namespace of ['default', 'budgets']) {
      for (const name of ['one', 'two']) {
        const created = named('policy/v1', 'PodDisruptionBudget', name, { spec: { minAvailable: 1 } })
        const metadata = { name, namespace, labels: { collection: 'of-budgets' } }
        await apply({ ...created, metadata })
      }
    }
    assert.equal(itemsOf(await kubectl.json(['get', 'pdb', '-A', ...label])).length, 4)
    await kubectl.ok(['delete', 'pdb', ...label, '-n', 'budgets'])
    const left = itemsOf(await kubectl.json(['get', 'pdb', '-A', ...label]))
    assert.deepEqual([...new Set(left.map(each => at(each, 'metadata.namespace')))], ['default'])
    await kubectl.ok(['delete', 'pdb', ...label])
  })
})

describe('kubectl', () => {
  test('drain that a budget blocks ends soon after its own timeout', async () => {
    await kubectl.ok(['patch', 'pdb', 'strict', '--type=merge', '-p', '{"spec":{"minAvailable":4}}'])
    await untilAllowed('strict', 0)
    const tried = await kubectl.try(['drain', 'n1', ...DRAIN, '--timeout=2s', '-v=6'])
    assert.notEqual(tried.code, 0)
    assert.match(tried.stderr, /global timeout reached: 2s/)
    // The client library would try again ten times before kubectl looks at the time.
    assert.doesNotMatch(tried.stderr, /Got a Retry-After response/)
    await kubectl.ok(['patch', 'pdb', 'strict', '--type=merge', '-p', '{"spec":{"minAvailable":3}}'])
    await untilAllowed('strict', 1)
    await kubectl.ok(['uncordon', 'n1'])
  })

  test('drain cordons the node, waits for the budget, and leaves the wanted pods running', async () => {
    await kubectl.ok(['cordon', 'n2'])
    await kubectl.ok(['uncordon', 'n2'])
    const draining = kubectl.try(['drain', 'n1', ...DRAIN, '--timeout=90s'])
    let done = false
    void draining.then(() => {
      done = true
    })
    while (!done) {
      const ready = (await pods()).filter(
        pod =>
          isAlive(pod) &&
          ((at(pod, 'status.conditions') ?? []) as { type: string; status: string }[]).some(
            each => each.type === 'Ready' && each.status === 'True',
          ),
      )
      assert.ok(ready.length >= 3, `${ready.length} of the 3 wanted pods are ready`)
    }
    const { code, stdout, stderr } = await draining
    assert.equal(code, 0, stdout + stderr)
    assert.equal(await podsOn('n1'), 0)
    await kubectl.ok(['rollout', 'status', 'deployment/web', '--timeout=60s'])
    assert.equal(await podsOn('n2'), 4)
  })

  test('autoscale makes an autoscaler that keeps its bounds, and wait sees its conditions', async () => {
    await kubectl.ok(['uncordon', 'n1'])
    await kubectl.ok(['autoscale', 'deployment', 'web', '--min=5', '--max=6', '--cpu=80%'])
    await kubectl.ok(['wait', '--for=jsonpath={.spec.replicas}=5', 'deployment/web', '--timeout=60s'])
    await kubectl.ok(['wait', '--for=condition=AbleToScale', 'hpa/web', '--timeout=60s'])
    const { items } = (await kubectl.json(['get', 'hpa'])) as { items: unknown[] }
    assert.equal(at(items[0], 'spec.maxReplicas'), 6)
    const described = await kubectl.ok(['describe', 'hpa', 'web'])
    assert.match(described, /New size: 5; reason: Current number of replicas below Spec.MinReplicas/)
  })
})
