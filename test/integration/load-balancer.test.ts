/** The add-on loadbalancer over three nodes on one link, as network namespaces, and a neighbour who asks. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { after, before } from 'node:test'
import { type Clock, systemClock } from '../../src/base/clock.ts'
import { createLog } from '../../src/base/log.ts'
import { systemRandom } from '../../src/base/random.ts'
import { KubeClient } from '../../src/client/kube-client.ts'
import { EVENTS, NODES, SERVICES } from '../../src/client/resources.ts'
import type { Transport } from '../../src/client/transport.ts'
import { runProgram } from '../../src/host/programs.ts'
import type { Event, Service } from '../../src/kube/types.ts'
import { ADDON_DEFINITION, ADDONS } from '../../src/runtime/addons/addon-object.ts'
import { builtInAddons } from '../../src/runtime/addons/built-in.ts'
import { ADDRESS_POOLS, type AddressPool } from '../../src/runtime/addons/loadbalancer/address-pool.ts'
import { createAddressAllocator } from '../../src/runtime/addons/loadbalancer/allocator.ts'
import { loadBalancerPart } from '../../src/runtime/addons/loadbalancer/announcer.ts'
import type { RunningPart } from '../../src/runtime/addons/part.ts'
import { inOrder } from '../../src/runtime/addons/plan-objects.ts'
import { renderManifests } from '../../src/runtime/addons/render-manifests.ts'
import { whyNoNamespace } from '../support/containerd.ts'
import { addNode, type InProcessCluster, startInProcessCluster } from '../support/in-process-cluster.ts'
import { buildLink, ip } from '../support/link.ts'
import { until } from '../support/until.ts'

const ADDRESSES = ['192.0.2.200-192.0.2.202', '2001:db8::200/126']
const NAMES = ['n1', 'n2', 'n3']
const skip = whyNoNamespace() ?? false
const prefix = `mk8s-lb${process.pid}`
const space = (name: string) => `${prefix}-${name}`
const inside = (name: string) => [`--net=/run/netns/${space(name)}`]

interface LinkedNode {
  readonly part: RunningPart
  readonly isLost: () => boolean
  /** As SIGSTOP does it: nothing of it runs any more, and its kernel goes on. */
  freeze(): void
}

/** Longer than what three servers need to elect another leader and ask again for what was under way. */
const ELECTION_MS = 1_200
const MOVED_MS_MAX = 3_000
/** What a machine that does other things besides may add. */
const BUSY_MS = 1_500

let cluster: InProcessCluster
/** Settled while the cluster has a leader. */
let leading: Promise<void> = Promise.resolve()
/** What waited when its node stood still is never sent. */
const whileLed = (transport: Transport, isLost: () => boolean): Transport => ({
  ...transport,
  async request(asked) {
    await leading
    return isLost() ? never() : transport.request(asked)
  },
})
const never = () => new Promise<never>(() => {})
const nodes = new Map<string, LinkedNode>()
const directory = mkdtempSync(join(tmpdir(), 'mk8s-lb-'))
const log = createLog({ level: 'error', now: Date.now, write: line => void process.stderr.write(line) })
const common = { random: systemRandom, log }

async function startNode(name: string, index: number): Promise<LinkedNode> {
  let isFrozen = false
  const clock: Clock = {
    ...systemClock,
    after: (delayMs, callback) => systemClock.after(delayMs, () => !isFrozen && callback()),
  }
  const user = { username: `system:node:${name}`, groups: ['system:nodes', 'system:authenticated'] }
  const part = loadBalancerPart((program, args, options) =>
    isFrozen ? never() : runProgram('nsenter', [...inside(name), program, ...args], options),
  )
  const context = {
    client: new KubeClient(whileLed(cluster.transportFor(user), () => isFrozen)),
    ...{ nodeName: name, nodeAddress: `192.0.2.${index + 1}`, isServer: true, runtime: 'oci' as const },
    cluster: { clusterDomain: 'cluster.local', serviceCidr: '10.152.183.0/24', podCidr: '10.1.0.0/16' },
    ...{ directory: join(directory, name), clock, ...common },
  }
  return {
    part: await part.start(context, { interfaces: [] }, new AbortController().signal),
    isLost: () => isFrozen,
    freeze() {
      isFrozen = true
    },
  }
}

const holders = (address: string) =>
  NAMES.filter(name => ip('-n', space(name), '-o', 'addr', 'show', 'dev', 'eth0').includes(` ${address}/`))

/** One owner, or the empty text. */
const ownerOf = (address: string) => (holders(address).length === 1 ? (holders(address)[0] ?? '') : '')

async function answers(address: string): Promise<boolean> {
  const words = ['busybox', 'ping', '-c', '1', '-W', '1', address]
  const ran = await runProgram('nsenter', [...inside('asker'), ...words], { accept: 'any' })
  return ran.exitCode === 0
}

async function ask(name: string, spec: object = {}, annotations: Record<string, string> = {}) {
  await cluster.client.create(SERVICES, {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, namespace: 'default', annotations },
    spec: { type: 'LoadBalancer', selector: { app: name }, ports: [{ port: 80 }], ...spec },
  })
}

async function given(name: string): Promise<string> {
  const service = await cluster.client.get<Service>(SERVICES, { namespace: 'default', name })
  const ingress = service.status?.loadBalancer?.ingress ?? []
  assert.ok(ingress.every(({ ipMode }) => ipMode === 'VIP'))
  return ingress.map(({ ip }) => ip).join()
}

const untilGiven = (name: string, address: string) =>
  until(`${address} is given to ${name}`, async () => (await given(name)) === address)

const eventsOf = async (name: string) =>
  (await cluster.client.list<Event>(EVENTS, { namespace: 'default' })).items.filter(
    ({ involvedObject }) => involvedObject.name === name,
  )

const allocator = () =>
  createAddressAllocator({
    addonTransport: cluster.transportFor({ username: 'mk8s:addons', groups: ['system:masters'] }),
    transport: cluster.transportFor({ username: 'mk8s:load-balancer', groups: ['system:authenticated'] }),
    ...{ ...common, clock: systemClock, term: 1 },
  })
let allocating: ReturnType<typeof allocator>

before(async () => {
  if (skip) return
  buildLink([...NAMES, 'asker'], space)
  for (const [index, name] of [...NAMES, 'asker'].entries()) {
    ip('-n', space(name), 'addr', 'add', `2001:db8::${index + 1}/64`, 'dev', 'eth0', 'nodad')
  }
  cluster = await startInProcessCluster()
  const { client } = cluster
  await client.apply(
    {
      group: 'apiextensions.k8s.io',
      version: 'v1',
      resource: 'customresourcedefinitions',
      namespaced: false,
    },
    ADDON_DEFINITION,
    { fieldManager: 'test' },
  )
  const kinds: Record<string, [string, boolean]> = {
    Namespace: ['namespaces', false],
    CustomResourceDefinition: ['customresourcedefinitions', false],
    AddressPool: ['addresspools', false],
    ClusterRole: ['clusterroles', false],
    ClusterRoleBinding: ['clusterrolebindings', false],
    Role: ['roles', true],
    RoleBinding: ['rolebindings', true],
  }
  const source = builtInAddons().get('loadbalancer')
  assert.ok(source)
  const facts = { clusterDomain: '', serviceCidr: '', podCidr: '', dnsAddress: '' }
  const parameters = { addresses: ADDRESSES, 'auto-assign': true, interfaces: [] }
  for (const object of inOrder(renderManifests({ ...source, parameters, facts }))) {
    const [group = '', version = 'v1'] = object.apiVersion.includes('/') ? object.apiVersion.split('/') : ['']
    const [resource, namespaced] = kinds[object.kind] ?? ['', false]
    const ref = { group, version, resource, namespaced }
    await until(`${object.kind} is taken`, async () => {
      await client.apply(ref, object, { fieldManager: 'test' })
      return true
    })
  }
  for (const [index, name] of NAMES.entries()) {
    await addNode(client, name)
    nodes.set(name, await startNode(name, index))
  }
  allocating = allocator()
  await allocating.start(new AbortController().signal)
  const addon = { apiVersion: 'addons.mk8s.io/v1', kind: 'Addon', metadata: { name: 'loadbalancer' } }
  await until('add-ons are known', async () => {
    await client.create(ADDONS, { ...addon, spec: { enabled: true } })
    return true
  })
})

after(async () => {
  if (skip) return
  for (const { part } of nodes.values()) await part.stop()
  await allocating.stop()
  await cluster.stop()
  for (const name of ['link', ...NAMES, 'asker']) ip('netns', 'delete', space(name))
  rmSync(directory, { recursive: true, force: true })
})

test('services get addresses of the pool, never two the same, until it has no more', { skip }, async () => {
  await ask('a')
  await untilGiven('a', '192.0.2.200')
  await ask('wants', {}, { 'metallb.universe.tf/loadBalancerIPs': '192.0.2.202' })
  await untilGiven('wants', '192.0.2.202')
  await ask('b')
  await untilGiven('b', '192.0.2.201')
  await ask('late')
  await until('the event', async () =>
    (await eventsOf('late')).some(({ reason }) => reason === 'AllocationFailed'),
  )
  const failed = (await eventsOf('late')).find(({ reason }) => reason === 'AllocationFailed')
  assert.equal(failed?.message, 'Failed to allocate IP for "default/late": no available IPs')
  await ask('foreign', { loadBalancerClass: 'example.com/other' })
  const name = 'b'
  await cluster.client.delete(SERVICES, { namespace: 'default', name })
  await untilGiven('late', '192.0.2.201')
  assert.equal(await given('foreign'), '')
  const patch = { spec: { type: 'ClusterIP' } }
  await cluster.client.patch(SERVICES, { namespace: 'default', name: 'late', type: 'merge', patch })
  await untilGiven('late', '')
  await until('the pool tells how many are in use', async () => {
    const pool = await cluster.client.get<AddressPool>(ADDRESS_POOLS, { name: 'default' })
    return pool.status?.assigned === 2
  })
})

test('one node answers for each address, and another one once it is lost together with the leader', {
  skip,
}, async t => {
  const address = '192.0.2.200'
  // A node that believes to be alone keeps it for ever: the right one has it once all have seen that others live.
  const shown = (name: string) =>
    name !== '' && ip('-n', space(name), '-o', 'addr', 'show', 'dev', 'eth0', 'dynamic').includes(address)
  await until('the one that has it has it for a while', () => shown(ownerOf(address)))
  const first = ownerOf(address)
  await until('it answers', () => answers(address))
  // Its network is cut and its daemon stands still.
  const node = nodes.get(first)
  assert.ok(node)
  const index = NAMES.indexOf(first)
  ip('-n', space('link'), 'link', 'set', `p${index}`, 'down')
  node.freeze()
  const lostMs = performance.now()
  // It led the cluster, too: until there is another leader, nobody is answered.
  const election = Promise.withResolvers<void>()
  leading = election.promise
  systemClock.after(ELECTION_MS, () => election.resolve())
  const others = () => holders(address).filter(name => name !== first)
  await until('another one has it', () => others().length === 1)
  await until('it answers again', () => answers(address))
  const movedMs = Math.round(performance.now() - lostMs)
  t.diagnostic(`the address answers again after ${movedMs} ms`)
  assert.ok(movedMs < MOVED_MS_MAX + BUSY_MS, `${movedMs} ms`)
  await until('the kernel of the first one took it off by itself', () => ownerOf(address) !== '')
  assert.notEqual(ownerOf(address), first)
})

test('an address goes at once with a daemon that ends in order', { skip }, async () => {
  const address = '192.0.2.202'
  const living = () => (nodes.get(ownerOf(address))?.isLost() === false ? ownerOf(address) : null)
  const first = await until('one node that lives has it', living)
  await nodes.get(first)?.part.stop()
  await until('another one has it', () => ownerOf(address) !== '' && ownerOf(address) !== first)
  await until('it answers', () => answers(address))
})

test('an excluded node announces nothing', { skip }, async () => {
  const address = '192.0.2.202'
  const first = ownerOf(address)
  const labels = { 'node.kubernetes.io/exclude-from-external-load-balancers': '' }
  await cluster.client.patch(NODES, { name: first, type: 'merge', patch: { metadata: { labels } } })
  await until('it has let go', () => !holders(address).includes(first))
})
