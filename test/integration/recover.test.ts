/** Real daemons: quorum is lost for good, one server survives, and a new generation of the cluster has every object. */
import assert from 'node:assert/strict'
import { existsSync, readdirSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import test, { after, before } from 'node:test'
import type { NodeStatus } from '../../src/client/node-status.ts'
import { startServers, type TestNode, type TestServers } from '../support/servers.ts'
import { until } from '../support/until.ts'

let servers: TestServers
let [survivor, second, third]: (TestNode | undefined)[] = []

before(async () => {
  servers = await startServers({ count: 3 })
  ;[survivor, second, third] = servers.nodes
})
after(() => servers?.remove())

const known = (node: TestNode | undefined): TestNode => {
  assert.ok(node)
  return node
}

interface Listed {
  readonly metadata: { readonly name: string; readonly namespace?: string; readonly uid: string }
}

/** What is written all the time: by kubelets, by the leader, and by servers about themselves. */
const RESTLESS = ['nodes', 'leases', 'events', 'endpoints', 'endpointslices', 'pods', 'componentstatuses']

/** Every object of every kind, as the API serves it, by kind, namespace and name. */
async function everything(node: TestNode): Promise<Map<string, object>> {
  const verbs = ['api-resources', '--verbs', 'list', '-o', 'name']
  const kinds = (await node.kubectl.ok(verbs)).split('\n').filter(Boolean)
  const wanted = kinds.filter(kind => !RESTLESS.includes(kind.split('.')[0] ?? ''))
  const { items } = JSON.parse(await node.kubectl.ok(['get', wanted.join(), '-A', '-o', 'json'])) as {
    items: (Listed & { kind: string })[]
  }
  const place = ({ kind, metadata: { namespace = '', name } }: (typeof items)[number]) =>
    `${kind}/${namespace}/${name}`
  return new Map(items.map(item => [place(item), item]))
}

async function datastoreOf(node: TestNode): Promise<NonNullable<NodeStatus['datastore']>> {
  const { datastore } = await node.status()
  assert.ok(datastore)
  return datastore
}

test('with a quorum, recover refuses and says what to do', async () => {
  const { code, stderr } = await known(survivor).mk8s(['recover', '--yes', '--others-are-off'])
  assert.equal(code, 6)
  assert.match(stderr, /quorum is not lost[\s\S]*mk8s remove-node/)
})

test('the survivor becomes a cluster of one with every object as it was', async () => {
  const [one, two, three] = [known(survivor), known(second), known(third)]
  for (const [at, node] of servers.nodes.entries()) {
    await node.kubectl.ok(['create', 'namespace', `ns-${at}`])
    const literals = Array.from({ length: 20 }, (_, n) => `--from-literal=k${n}=${'v'.repeat(n * 50)}`)
    await node.kubectl.ok(['-n', `ns-${at}`, 'create', 'configmap', 'data', ...literals])
    await node.kubectl.ok([
      '-n',
      `ns-${at}`,
      'create',
      'deployment',
      'web',
      '--image',
      'web:1',
      '--replicas',
      '0',
    ])
  }
  await until(
    'the deployments are looked after',
    async () => [...(await everything(one)).keys()].filter(key => key.startsWith('ReplicaSet/')).length === 3,
  )
  const [before, before2] = [await everything(one), await everything(two)]
  assert.deepEqual(before, before2)
  two.powerOff()
  three.powerOff()
  await until('the quorum is lost', async () => !(await datastoreOf(one)).healthy)

  const dryRun = await one.mk8s(['recover', '--dry-run'])
  assert.equal(dryRun.code, 0, dryRun.stderr)
  for (const { name, address } of [two, three])
    assert.match(dryRun.stdout, new RegExp(`${name} +${address}:25000`))
  const silent = await one.mk8s(['recover', '--yes'])
  assert.deepEqual([silent.code, /others-are-off/.test(silent.stderr)], [6, true], silent.stderr)

  // What comes is taken and dropped: a connection that nobody reads would keep it from closing.
  const impostor = createServer(socket => socket.destroy()).listen(25_000, two.address)
  const warned = await one.mk8s(['recover', '--yes', '--others-are-off'])
  assert.deepEqual([warned.code, /n2 at .* answers/.test(warned.stderr)], [6, true], warned.stderr)
  await new Promise(resolve => impostor.close(resolve))
  assert.deepEqual(
    readdirSync(one.dataDir).filter(name => name.includes('recover')),
    [],
    'a refusal leaves nothing',
  )

  const recovered = await one.mk8s(['recover', '--yes', '--others-are-off'])
  assert.equal(recovered.code, 0, `${recovered.stderr}\n${await one.log()}`)
  assert.match(recovered.stdout, /Wipe them before[\s\S]*cannot reach n1/)
  const after = await everything(one)
  for (const [place, object] of before) assert.deepEqual(after.get(place), object, place)
  const added = [...after.keys()].filter(place => !before.has(place))
  assert.deepEqual(added, [])
  const kept = readdirSync(one.dataDir).find(name => name.startsWith('before-recovery-')) ?? ''
  assert.ok(existsSync(join(one.dataDir, kept, 'datastore/state.sqlite')))
  const datastore = await datastoreOf(one)
  assert.deepEqual(
    datastore.members.map(({ name, role }) => [name, role]),
    [['n1', 'voter']],
  )
  await one.kubectl.ok(['create', 'namespace', 'written-after'])
})

test('members of the old generation, a quorum of it, find that they are none any more; one joins anew', async () => {
  const [one, two, three] = [known(survivor), known(second), known(third)]
  await Promise.all([two.powerOn(), three.powerOn()])
  for (const old of [two, three]) {
    await until('it has found out', async () => {
      const { code, stdout } = await old.mk8s(['status'])
      return code === 4 && /not in the cluster any more/.test(stdout)
    })
  }
  assert.equal((await datastoreOf(one)).members.length, 1)
  const removed = await one.mk8s(['remove-node', 'n3', '--force'])
  assert.equal(removed.code, 0, removed.stderr)
  await two.mk8s(['uninstall', '--yes'])
  await one.mk8s(['remove-node', 'n2', '--force'])
  const url = await servers.invite()
  const settings = ['--bind-address', two.address, '--node-name', 'n2', '--runtime', 'simulated']
  const joined = await two.mk8s(['join', url, ...settings])
  assert.equal(joined.code, 0, joined.stderr)
  assert.match(await two.kubectl.ok(['get', 'namespaces', '-o', 'name']), /namespace\/written-after/)
})
