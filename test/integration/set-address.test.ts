/** Real daemons: every server comes back from a power cut at another address, and they find each other again. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import test, { after, before } from 'node:test'
import { freeAddress } from '../support/cluster.ts'
import { startServers, type TestNode, type TestServers } from '../support/servers.ts'
import { until } from '../support/until.ts'

let servers: TestServers

before(async () => {
  servers = await startServers({ count: 3 })
})
after(() => servers?.remove())

async function membersSeenBy(node: TestNode): Promise<string[]> {
  const { datastore } = await node.status()
  return (datastore?.members ?? []).map(({ name, address, alive }) => `${name} ${address} ${alive}`)
}

async function internalAddresses(node: TestNode): Promise<string[]> {
  const path =
    '{range .items[*]}{.metadata.name} {.status.addresses[?(@.type=="InternalIP")].address}{"\\n"}{end}'
  return (await node.kubectl.ok(['get', 'nodes', '-o', `jsonpath=${path}`])).trim().split('\n')
}

/** Moves the nodes, all at once, each told where the others are. */
async function move(moving: readonly TestNode[], addresses: ReadonlyMap<string, string>): Promise<void> {
  const peersOf = (node: TestNode) =>
    moving.filter(other => other !== node).flatMap(({ name }) => ['--peer', `${name}=${addresses.get(name)}`])
  const moved = await Promise.all(
    moving.map(node => node.mk8s(['node', 'set-address', addresses.get(node.name) ?? '', ...peersOf(node)])),
  )
  for (const [at, { code, stderr }] of moved.entries())
    assert.equal(code, 0, `${moving[at]?.name}: ${stderr}\n${await moving[at]?.log()}`)
}

async function mustBeAt(addresses: ReadonlyMap<string, string>): Promise<void> {
  for (const node of servers.nodes) {
    await until(`${node.name} sees every server where it is`, async () => {
      const seen = await membersSeenBy(node)
      return servers.nodes.every(({ name }) => seen.includes(`${name} ${addresses.get(name)}:19001 true`))
    })
    const wanted = servers.nodes.map(({ name }) => `${name} ${addresses.get(name)}`)
    await until('the Nodes have the addresses', async () => {
      const nodes = await internalAddresses(node)
      return wanted.every(each => nodes.includes(each))
    })
    assert.match(
      readFileSync(join(node.dataDir, 'admin.kubeconfig'), 'utf8'),
      new RegExp(`//${addresses.get(node.name)}:`),
    )
  }
}

test('one server that moves tells the others by itself', async () => {
  const [, , third] = servers.nodes
  assert.ok(third)
  const addresses = new Map(servers.nodes.map(({ name, address }) => [name, address]))
  addresses.set(third.name, freeAddress())
  await move([third], addresses)
  await mustBeAt(addresses)
})

test('when all have moved, each is told where the others are', async () => {
  const [first] = servers.nodes
  assert.ok(first)
  await first.kubectl.ok(['create', 'configmap', 'before', '--from-literal=a=b'])
  for (const node of servers.nodes) node.powerOff()
  const addresses = new Map(servers.nodes.map(({ name }) => [name, freeAddress()]))
  await move(servers.nodes, addresses)
  await mustBeAt(addresses)
  for (const node of servers.nodes)
    assert.match(await node.kubectl.ok(['get', 'configmap', 'before']), /before/)
})

test('an address that is none of this machine is refused', async () => {
  const [first] = servers.nodes
  assert.ok(first)
  const refused = await first.mk8s(['node', 'set-address', '192.0.2.200'])
  assert.deepEqual([refused.code, /on no network interface/.test(refused.stderr)], [2, true], refused.stderr)
})
