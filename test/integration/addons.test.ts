/** Add-ons in a cluster of three servers: everything twice, upgrades, repairs, a leader that dies in the middle. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import test, { after, before } from 'node:test'
import {
  addonRepository,
  baseAddon,
  chartAddon,
  imagelessAddon,
  webAddon,
} from '../support/addon-repository.ts'
import { temporaryDirectory } from '../support/cluster.ts'
import { startServers, type TestNode, type TestServers } from '../support/servers.ts'
import { until } from '../support/until.ts'

let servers: TestServers
let node: TestNode
const directory = temporaryDirectory()
const repository = addonRepository(join(directory, 'repository'))
const [key, publicKey] = [join(directory, 'team.key'), join(directory, 'team.pub')]

before(async () => {
  execFileSync('openssl', ['genpkey', '-algorithm', 'ed25519', '-out', key])
  execFileSync('openssl', ['pkey', '-in', key, '-pubout', '-out', publicKey])
  mkdirSync(repository.directory)
  servers = await startServers({ count: 3 })
  node = servers.nodes[0] as TestNode
})

after(() => servers?.remove())

const mk8s = async (...args: string[]) => {
  const { code, stdout, stderr } = await node.mk8s(args)
  return { code, text: `${stdout}${stderr}` }
}

async function mustRun(...args: string[]): Promise<string> {
  const { code, text } = await mk8s(...args)
  assert.equal(code, 0, text)
  return text
}

interface Status {
  readonly addons: readonly { readonly name: string; readonly enabled: boolean }[]
  readonly datastore: { readonly members: readonly { readonly name: string; readonly leader: boolean }[] }
}

const status = async (): Promise<Status> =>
  JSON.parse((await node.mk8s(['status', '--format', 'json'])).stdout)

// biome-ignore lint/suspicious/noExplicitAny: whatever kubectl says
const json = async (...args: string[]) => (await node.kubectl.json(args)) as any
const isThere = async (...args: string[]) => (await node.kubectl.try(['get', ...args])).code === 0

async function publish(files: Readonly<Record<string, string>>): Promise<void> {
  repository.write(files)
  await mustRun('addons', 'repo', 'index', repository.directory, '--private-key', key)
}

test('what is on in every cluster is shown as enabled', async () => {
  const { addons } = await status()
  assert.deepEqual(
    addons.filter(({ enabled }) => enabled).map(({ name }) => name),
    ['dns', 'hostpath-storage', 'metrics-server', 'rbac'],
  )
  assert.match(await mustRun('addons', 'list'), /^rbac +core +enabled +1\.0\.0/m)
  assert.equal((await mk8s('status', '--addon', 'host-access')).text.trim(), 'disabled')
})

test('a built-in add-on can be enabled and disabled twice, and its class comes back when it is deleted', async () => {
  assert.match(await mustRun('enable', 'storage', '--set', 'reclaim-policy=Retain'), /changed and ready/)
  assert.match(await mustRun('enable', 'storage'), /already enabled/)
  const before = await json('get', 'storageclass', 'hostpath-storage')
  assert.equal(before.reclaimPolicy, 'Retain')
  await node.kubectl.ok(['delete', 'storageclass', 'hostpath-storage'])
  await until('the class is back', () => isThere('storageclass', 'hostpath-storage'))
  assert.match(await mustRun('disable', 'hostpath-storage'), /is disabled/)
  assert.equal(await isThere('storageclass', 'hostpath-storage'), false)
  assert.match(await mustRun('disable', 'hostpath-storage'), /already disabled/)
  await mustRun('enable', 'hostpath-storage')
  assert.equal((await json('get', 'storageclass', 'hostpath-storage')).reclaimPolicy, 'Retain')
})

test('the DNS asks other servers, the metrics API goes and comes, RBAC stays', async () => {
  await mustRun('enable', 'dns:192.0.2.1,192.0.2.2')
  const map = await json('get', 'configmap', '-n', 'kube-system', 'mk8s-dns')
  assert.equal(map.data.upstreamNameservers, '192.0.2.1,192.0.2.2')
  await mustRun('enable', 'dns', '--set', 'forwarders=')
  assert.equal(await isThere('configmap', '-n', 'kube-system', 'mk8s-dns'), false)
  const metrics = async () => (await node.kubectl.try(['get', '--raw', '/apis/metrics.k8s.io/v1beta1'])).code
  await mustRun('disable', 'metrics-server')
  await until('the metrics API is gone', async () => (await metrics()) !== 0)
  await mustRun('enable', 'metrics-server')
  await until('the metrics API is back', async () => (await metrics()) === 0)
  assert.match(await mustRun('enable', 'rbac'), /always on/)
  assert.equal((await mk8s('disable', 'rbac')).code, 6)
})

test('definitions of networks stay while multus is disabled, until they are purged; where pods have no network of their own they cannot have more', async () => {
  const definitions = 'network-attachment-definitions.k8s.cni.cncf.io'
  const pod = (name: string) => ({
    ...{ apiVersion: 'v1', kind: 'Pod' },
    metadata: { name, annotations: { 'k8s.v1.cni.cncf.io/networks': 'inner' } },
    spec: {
      terminationGracePeriodSeconds: 0,
      containers: [{ name: 'c', image: 'sh', command: ['sleep', '3600'] }],
    },
  })
  await mustRun('enable', 'multus')
  assert.match(await mustRun('enable', 'multus'), /already enabled/)
  const definition = {
    ...{ apiVersion: 'k8s.cni.cncf.io/v1', kind: 'NetworkAttachmentDefinition', metadata: { name: 'inner' } },
    spec: { config: '{"cniVersion": "1.0.0", "type": "bridge"}' },
  }
  await node.kubectl.ok(['apply', '-f', '-'], { input: JSON.stringify(definition) })
  await node.kubectl.ok(['apply', '-f', '-'], { input: JSON.stringify(pod('several')) })
  const about = [
    'get',
    'events',
    '--field-selector=involvedObject.name=several',
    '-o',
    'jsonpath={..message}',
  ]
  const said = /cannot be attached to networks: pods of the runtime \w+ have no network of their own/
  await until('an event', async () => said.test((await node.kubectl.try(about)).stdout))
  await mustRun('disable', 'multus')
  await mustRun('disable', 'multus')
  assert.equal(await isThere('net-attach-def', 'inner'), true)
  assert.equal(await isThere('clusterrole', 'mk8s:multus-node'), false)
  // Nobody reads its annotation now.
  await node.kubectl.ok(['wait', '--for=condition=Ready', 'pod/several', '--timeout=120s'])
  await node.kubectl.ok(['delete', 'pod', 'several', '--now'])
  await mustRun('disable', 'multus', '--purge')
  await until('no definitions', async () => !(await isThere('crd', definitions)))
})

/** With what they are enabled here, a parameter that is wrong, and one of their objects. */
const BUILT_IN = {
  dashboard: ['dashboard', 'admin=perhaps', 'clusterrole mk8s:dashboard-viewer'],
  ingress: ['ingress --set http-port=18086 --set https-port=18449', 'http-port=0', 'ingressclass public'],
} as const

for (const [name, [wanted, wrong, object]] of Object.entries(BUILT_IN)) {
  test(`${name}: enabled twice, with a wrong parameter, without one of its objects, disabled twice`, async () => {
    const bad = await mk8s('enable', name, '--set', wrong)
    assert.equal(bad.code, 2, bad.text)
    assert.match(await mustRun('enable', ...wanted.split(' ')), /enabled and ready/)
    assert.match(await mustRun('enable', ...wanted.split(' ')), /already enabled/)
    const { uid } = (await json('get', ...object.split(' '))).metadata
    await node.kubectl.ok(['delete', ...object.split(' ')])
    await until('it is back', async () => {
      const { code, stdout } = await node.kubectl.try(['get', ...object.split(' '), '-o', 'json'])
      return code === 0 && JSON.parse(stdout).metadata.uid !== uid
    })
    assert.equal((await json('get', 'addon', name)).status.corrections, undefined)
    assert.match(await mustRun('disable', name), /is disabled/)
    assert.match(await mustRun('disable', name), /already disabled/)
  })
}

test('what is wrong is said before anything is written', async () => {
  const unknown = await mk8s('enable', 'storge')
  assert.equal(unknown.code, 1)
  assert.match(unknown.text, /was not found in any repository[\s\S]*mk8s enable storage/)
  const bad = await mk8s('enable', 'storage', '--set', 'reclaim-policy=Never')
  assert.equal(bad.code, 2)
  assert.match(bad.text, /reclaim-policy: "Never" has to be one of Delete, Retain/)
  assert.equal((await json('get', 'addon', 'hostpath-storage')).spec.parameters['reclaim-policy'], 'Retain')
})

test('a repository is taken only with a signature that fits', async () => {
  await publish({ ...baseAddon, ...webAddon('1.0.0'), ...imagelessAddon, ...chartAddon })
  const unsigned = await mk8s('addons', 'repo', 'add', 'team', repository.directory)
  assert.equal(unsigned.code, 6)
  repository.write({ 'base/role.yaml': `${baseAddon['base/role.yaml']}# changed\n` })
  const changed = await mk8s('addons', 'repo', 'add', 'team', repository.directory, '--key', publicKey)
  assert.match(changed.text, /base: its files are not those that the index vouches for/)
  repository.write(baseAddon)
  assert.match(
    await mustRun('addons', 'repo', 'add', 'team', repository.directory, '--key', publicKey),
    /base, lost, tea, web/,
  )
  assert.match(await mustRun('addons', 'repo', 'list'), /^team +4 +yes/m)
})

test('an image that is nowhere is named, with the node that lacks it', async () => {
  const { code, text } = await mk8s('enable', 'lost')
  assert.equal(code, 6)
  assert.match(text, /127\.0\.0\.1:1\/lost:1 is not on node n1, and 127\.0\.0\.1:1 does not answer/)
})

test('an add-on brings what it needs, which cannot be disabled before it', async () => {
  assert.match(await mustRun('enable', 'www:2Gi', '--set', 'replicas=2'), /team\/web is enabled and ready/)
  assert.equal(await isThere('clusterrole', 'base'), true)
  const claim = await json('get', 'persistentvolumeclaim', '-n', 'web', 'data')
  assert.equal(claim.spec.resources.requests.storage, '2Gi')
  assert.equal((await json('get', 'deployment', '-n', 'web', 'web')).status.readyReplicas, 2)
  const refused = await mk8s('disable', 'base')
  assert.equal(refused.code, 6)
  assert.match(refused.text, /web is enabled and needs it/)
})

test('what somebody changes by hand is put back and told of; fields of others and an autoscaler’s number stay', async () => {
  const greeting = ['get', 'configmap', '-n', 'web', 'old', '-o', 'jsonpath={.data.greeting}']
  const said = async () => (await node.kubectl.try(greeting)).stdout
  const patch = ['patch', 'configmap', '-n', 'web', 'old', '--type=merge', '--field-manager=mallory', '-p']
  assert.equal(await said(), 'hello')
  await node.kubectl.ok([...patch, '{"data":{"greeting":"bye","extra":"mine"}}'])
  await until('it is as it was', async () => (await said()) === 'hello')
  assert.equal((await json('get', 'configmap', '-n', 'web', 'old')).data.extra, 'mine')
  await node.kubectl.ok(['scale', 'deployment', '-n', 'web', 'web', '--replicas=1'])
  const replicas = async () => (await json('get', 'deployment', '-n', 'web', 'web')).spec.replicas
  await until('as many as the parameter says', async () => (await replicas()) === 2)
  assert.match(
    await mustRun('addons', 'info', 'web'),
    /put back: ConfigMap web\/old at .*, mallory had changed it/,
  )
  // Four in a row are a quarrel.
  for (const word of ['a', 'b', 'c']) {
    await node.kubectl.ok([...patch, JSON.stringify({ data: { greeting: word } })])
    await until(`${word} is put back`, async () => (await said()) === 'hello')
  }
  assert.match(
    await mustRun('status'),
    /addon\/web: Contested: ConfigMap web\/old: mallory changes it again and again/,
  )
  await node.kubectl.ok([
    'autoscale',
    'deployment',
    '-n',
    'web',
    'web',
    '--min=3',
    '--max=3',
    '--cpu-percent=50',
  ])
  await until('as many as the autoscaler says', async () => (await replicas()) === 3)
  // The next change of a parameter leaves that, too.
  await mustRun('enable', 'web', '--set', 'replicas=1')
  assert.equal(await replicas(), 3)
  await node.kubectl.ok(['delete', 'hpa', '-n', 'web', 'web'])
  await mustRun('enable', 'web', '--set', 'replicas=2')
  const { items } = await json('get', 'addons')
  const others = items.filter((one: { metadata: { name: string } }) => one.metadata.name !== 'web')
  assert.deepEqual(
    others.flatMap((one: { status: { corrections?: unknown } }) => one.status.corrections ?? []),
    [],
  )
})

test('an upgrade keeps parameters and data, and prunes what the new version has not', async () => {
  const { uid } = (await json('get', 'persistentvolumeclaim', '-n', 'web', 'data')).metadata
  await publish(webAddon('1.1.0'))
  await mustRun('addons', 'repo', 'update', 'team')
  assert.match(await mustRun('addons', 'outdated'), /^web +team +1\.0\.0 +1\.1\.0/m)
  await mustRun('addons', 'upgrade')
  assert.match(await mustRun('addons', 'outdated'), /latest version/)
  assert.equal(await isThere('configmap', '-n', 'web', 'old'), false)
  assert.equal(await isThere('configmap', '-n', 'web', 'new'), true)
  const claim = await json('get', 'persistentvolumeclaim', '-n', 'web', 'data')
  assert.equal(claim.metadata.uid, uid)
  assert.equal((await json('get', 'deployment', '-n', 'web', 'web')).spec.replicas, 2)
})

test('what is disabled leaves its data, and takes it along with --purge', async () => {
  const { uid } = (await json('get', 'persistentvolumeclaim', '-n', 'web', 'data')).metadata
  await mustRun('disable', 'web')
  assert.equal(await isThere('deployment', '-n', 'web', 'web'), false)
  await mustRun('enable', 'web')
  const claim = await json('get', 'persistentvolumeclaim', '-n', 'web', 'data')
  assert.equal(claim.metadata.uid, uid)
  await mustRun('disable', 'web', '--purge')
  assert.match(await mustRun('disable', 'web', '--purge'), /already disabled/)
  assert.equal(await isThere('namespace', 'web'), false)
})

test('a chart is rendered by helm, with its schema', async () => {
  await mustRun('enable', 'tea')
  const cup = await json('get', 'configmap', 'tea-cup')
  assert.deepEqual(cup.data, { kind: 'GREEN', plain: `\${kind}` })
  const { code, text } = await mk8s('enable', 'tea', '--set', 'kind=black')
  assert.equal(code, 2)
  assert.match(text, /helm cannot render the chart of tea/)
})

test('what is enabled goes on without its repository, and can still be disabled', async () => {
  await mustRun('addons', 'repo', 'add', 'copy', repository.directory, '--key', publicKey)
  await mustRun('addons', 'repo', 'remove', 'team')
  await mustRun('addons', 'repo', 'remove', 'copy')
  assert.match(await mustRun('addons', 'list'), /^tea +team +enabled/m)
  await mustRun('disable', 'tea')
  assert.equal(await isThere('configmap', 'tea-cup'), false)
  await mustRun('addons', 'repo', 'add', 'team', repository.directory, '--key', publicKey)
})

test('an add-on that does not become ready is told of by the object in the way', async () => {
  await node.kubectl.ok(['create', 'namespace', 'web'])
  await node.kubectl.ok(['create', 'quota', 'none', '-n', 'web', '--hard=pods=0'])
  const { code, text } = await mk8s('enable', 'web', '--timeout', '2')
  assert.equal(code, 5)
  assert.match(text, /Deployment web\/web: 0 of 1 pods are ready/)
  await mustRun('disable', 'web', '--purge')
})

test('an add-on is enabled although the leader dies meanwhile', async () => {
  const { datastore } = await status()
  const leads = ({ name }: TestNode) =>
    datastore.members.some(member => member.leader && member.name === name)
  const leader = servers.nodes.find(leads)
  node = servers.nodes.find(one => !leads(one)) ?? node
  await mustRun('enable', 'web', '--no-wait')
  leader?.signalDaemon('SIGKILL')
  const phase = ['get', 'addon', 'web', '-o', 'jsonpath={.status.phase}']
  await until('web is ready', async () => (await node.kubectl.try(phase)).stdout === 'Ready')
  assert.equal(await isThere('configmap', '-n', 'web', 'new'), true)
})
