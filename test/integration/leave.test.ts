/** Real daemons: a server is lost, removed and stays out; the leader leaves; the last one may not. */
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import test, { after, before } from 'node:test'
import type { DatastoreStatus, NodeStatus } from '../../src/client/node-status.ts'
import { startServers, type TestNode, type TestServers } from '../support/servers.ts'
import { until } from '../support/until.ts'

let servers: TestServers
let [n1, n2, n3]: (TestNode | undefined)[] = []

before(async () => {
  servers = await startServers({ count: 3 })
  ;[n1, n2, n3] = servers.nodes
})
after(() => servers?.remove())

const known = (node: TestNode | undefined): TestNode => {
  assert.ok(node)
  return node
}

interface Answer {
  readonly code: number
  readonly datastore: DatastoreStatus
}

async function statusOf(node: TestNode): Promise<Answer> {
  const { code, stdout } = await node.mk8s(['status', '--format', 'json'])
  const { datastore } = JSON.parse(stdout) as NodeStatus
  assert.ok(datastore)
  return { code: code ?? -1, datastore }
}

const nodesSeenBy = async (node: TestNode): Promise<string[]> =>
  (await node.kubectl.try(['get', 'nodes', '-o', 'name'])).stdout.trim().split('\n')

test('every server says the same of all three', async () => {
  for (const node of servers.nodes) {
    const { code, datastore } = await statusOf(node)
    assert.equal(code, 0)
    assert.equal(datastore.highAvailability.state, 'yes')
    assert.deepEqual(
      datastore.members.map(({ name, role, alive }) => [name, role, alive]),
      ['n1', 'n2', 'n3'].map(name => [name, 'voter', true]),
    )
  }
})

test('a server that is lost is named by the others, removed by one of them, and stays out when it comes back', async () => {
  const [one, two, three] = [known(n1), known(n2), known(n3)]
  three.powerOff()
  for (const node of [one, two]) {
    await until(`${node.name} knows of the loss`, async () => {
      const { highAvailability } = (await statusOf(node)).datastore
      return highAvailability.state === 'degraded' && /^n3 .*losing one more voter/.test(highAvailability.why)
    })
  }
  const removed = await two.mk8s(['remove-node', 'n3'])
  assert.equal(removed.code, 0, removed.stderr)
  assert.equal(removed.stdout, 'n3 is not in the cluster any more.\n')
  const again = await one.mk8s(['remove-node', 'n3'])
  assert.deepEqual([again.code, /no node n3/.test(again.stdout)], [0, true])
  assert.deepEqual(await nodesSeenBy(one), ['node/n1', 'node/n2'])
  const { datastore } = await statusOf(two)
  assert.deepEqual(
    datastore.members.map(({ name, role }) => [name, role]),
    [
      ['n1', datastore.members[0]?.role],
      ['n2', datastore.members[0]?.role === 'voter' ? 'standby' : 'voter'],
    ],
  )
  await three.mk8s(['start', '--timeout', '60'])
  const down = await until('it has found out and is down', async () => {
    const shown = await three.mk8s(['status'])
    return shown.code === 4 && /not in the cluster any more/.test(shown.stdout) && shown
  })
  assert.match(down.stdout, /next: mk8s uninstall; then mk8s join/)
  assert.deepEqual(await nodesSeenBy(one), ['node/n1', 'node/n2'], 'its Node did not come back')
  const left = await three.mk8s(['leave', '--yes'])
  assert.deepEqual([left.code, existsSync(three.dataDir)], [0, false])
})

test('without the only voter nothing can be removed, and the status says so with exit code 3', async () => {
  const [one, two] = [known(n1), known(n2)]
  const { datastore } = await statusOf(one)
  const [voter, standby] = datastore.members[0]?.role === 'voter' ? [one, two] : [two, one]
  voter.powerOff()
  await until('the standby knows', async () => (await statusOf(standby)).code === 3)
  const shown = (await statusOf(standby)).datastore
  assert.equal(shown.healthy, false)
  assert.equal(
    shown.highAvailability.why,
    `the only voter, ${voter.name}, does not answer: no writes until it is back`,
  )
  const refused = await standby.mk8s(['remove-node', voter.name])
  assert.equal(refused.code, 3)
  assert.match(refused.stderr, /mk8s recover/)
  await voter.powerOn()
  await until('it goes on', async () => (await statusOf(standby)).code === 0)
})

test('the voter of two leaves with its pods, and the last one is told what to do instead', async () => {
  const [one, two] = [known(n1), known(n2)]
  const { datastore } = await statusOf(one)
  const [voter, standby] = datastore.members[0]?.role === 'voter' ? [one, two] : [two, one]
  await voter.kubectl.ok(['create', 'deployment', 'web', '--image=web', '--replicas=4'])
  await until('pods run', async () => {
    const { stdout } = await voter.kubectl.try([
      'get',
      'deployment',
      'web',
      '-o',
      'jsonpath={.status.readyReplicas}',
    ])
    return stdout === '4'
  })
  const left = await voter.mk8s(['leave', '--yes', '--json'])
  assert.equal(left.code, 0, left.stderr)
  assert.equal(existsSync(voter.dataDir), false)
  await until('everything is on the other', async () => {
    const where = ['get', 'pods', '-l', 'app=web', '-o', 'jsonpath={.items[*].spec.nodeName}']
    const { stdout } = await standby.kubectl.try(where)
    return stdout === Array.from({ length: 4 }, () => standby.name).join(' ')
  })
  assert.deepEqual(await nodesSeenBy(standby), [`node/${standby.name}`])
  const alone = await statusOf(standby)
  assert.deepEqual([alone.code, alone.datastore.members.length], [0, 1])
  const refused = await standby.mk8s(['leave', '--yes'])
  assert.equal(refused.code, 6)
  assert.match(refused.stderr, /only copy[\s\S]*mk8s add-node[\s\S]*mk8s uninstall/)
  assert.equal((await statusOf(standby)).code, 0, 'and nothing has changed')
})
