/**
 * Three real servers, of which one is killed at a step that a restore takes on its disk: the command, the daemon of the
 * server that restores, and the daemon of another one. Of the steps a few are tried, spread over all; with
 * MK8S_TEST_EVERY_STEP=1 every one, which takes minutes.
 */
import assert from 'node:assert/strict'
import { existsSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import test, { after, before } from 'node:test'
import { must } from '../../src/base/assert.ts'
import type { NodeStatus } from '../../src/client/node-status.ts'
import { CONFIG_MAPS } from '../../src/client/resources.ts'
import { namesOf } from '../support/api-client.ts'
import { temporaryDirectory } from '../support/cluster.ts'
import { Faults } from '../support/faults.ts'
import { startServers, type TestNode, type TestServers } from '../support/servers.ts'
import { until } from '../support/until.ts'

const STEPS_TRIED = 2
const DECISION = 'command rename recovery/journal.json.tmp recovery/journal.json'

let servers: TestServers
let faults: Faults
let directory = ''
let recorded: ReadonlyMap<string, readonly string[]> = new Map()
const file = () => join(directory, 'a.mk8sbackup')
const nodeAt = (at: number): TestNode => must(servers.nodes[at], 'a server')

before(async () => {
  directory = temporaryDirectory()
  faults = new Faults(join(directory, 'faults'))
  servers = await startServers({ count: 3 })
})
after(async () => {
  await servers?.remove()
  rmSync(directory, { recursive: true, force: true })
})

const restore = () => nodeAt(0).mk8s(['restore-datastore', file(), '--yes'], { env: faults.env })

const statusOf = (node: TestNode): Promise<NodeStatus | null> => node.status().catch(() => null)

const configMaps = (node: TestNode) => namesOf(node, CONFIG_MAPS)

/** All servers serve one generation of three voters whose configmaps are as they ought to be. */
async function untilServed(what: string, isWanted: (names: string) => boolean): Promise<void> {
  await until(`all servers serve ${what}`, async () => {
    const statuses = await Promise.all(servers.nodes.map(statusOf))
    const states = await Promise.all(servers.nodes.map(configMaps))
    const [first] = statuses
    return (
      statuses.every(status => status?.ready && status.clusterId === first?.clusterId) &&
      first?.datastore?.members.filter(({ role }) => role === 'voter').length === 3 &&
      servers.nodes.every(({ dataDir }) => !existsSync(join(dataDir, 'recovery'))) &&
      states.every(isWanted)
    )
  })
}

/** Supervisors that have not yet begun to wait longer each time, and something that a restore takes away. */
async function prepare(): Promise<void> {
  for (const node of servers.nodes) {
    faults.takeOver(node)
    for (const name of readdirSync(node.dataDir).filter(name => name.startsWith('before-restore-')))
      rmSync(join(node.dataDir, name), { recursive: true })
  }
  await until('what the backup lacks is there', async () => {
    await nodeAt(0).kubectl.try(['create', 'configmap', 'later'])
    return /later/.test(await configMaps(nodeAt(0)))
  })
  await untilServed('what the backup lacks', names => /later/.test(names))
}

const untilRestored = (step: string) =>
  untilServed(`the restored state after ${step}`, names => /kept/.test(names) && !/later/.test(names))

/** The steps of a node's command or daemon; only some, unless all are asked for. */
function stepsOf(node: TestNode, who: 'command' | 'daemon'): readonly string[] {
  const all = (recorded.get(node.dataDir) ?? []).filter(step => step.startsWith(who))
  const upTo = who === 'command' ? all.slice(0, all.indexOf(DECISION) + 1) : all
  assert.ok(upTo.length > STEPS_TRIED, `${node.name} ${who}: ${upTo.join(', ')}`)
  if (process.env['MK8S_TEST_EVERY_STEP']) return upTo
  const stride = upTo.length / STEPS_TRIED
  return Array.from({ length: STEPS_TRIED }, (_, at) => must(upTo[Math.floor((at + 0.5) * stride)], 'a step'))
}

test('the steps of a restore of three servers are known', async () => {
  await nodeAt(0).kubectl.ok(['create', 'configmap', 'kept'])
  const backup = await nodeAt(1).mk8s(['backup-datastore', '-o', file()])
  assert.equal(backup.code, 0, backup.stderr)
  await prepare()
  recorded = await faults.recorded(async () => {
    const { code, stderr } = await restore()
    assert.equal(code, 0, stderr)
    await untilRestored('a restore without a fault')
  })
  assert.deepEqual([...recorded.keys()].sort(), servers.nodes.map(({ dataDir }) => dataDir).sort())
})

test('a command that is killed before its decision has changed nothing on any server', async () => {
  await prepare()
  const generation = (await statusOf(nodeAt(1)))?.clusterId
  for (const step of stepsOf(nodeAt(0), 'command')) {
    faults.next({ step, what: 'kill', dataDir: nodeAt(0).dataDir })
    const { code } = await restore()
    assert.ok(code !== 0 && faults.happened, step)
    await untilServed(`what was there, after ${step}`, names => /later/.test(names))
    assert.equal((await statusOf(nodeAt(1)))?.clusterId, generation, step)
  }
})

for (const [at, which] of [
  [0, 'the daemon of the server that restores'],
  [1, 'the daemon of another server'],
] as const)
  test(`${which} is killed at a step, and all servers end up with one state`, async () => {
    for (const step of stepsOf(nodeAt(at), 'daemon')) {
      await prepare()
      faults.next({ step, what: 'kill', dataDir: nodeAt(at).dataDir })
      const { code, stderr } = await restore()
      if (code === 0) await untilRestored(step)
      else {
        // A server that died while it prepared stops the restore, which then has changed nothing.
        assert.match(stderr, /code +\S/, step)
        await untilServed(`what was there, after ${step}`, names => /later/.test(names))
      }
      await until(`${step} was taken`, () => faults.happened)
    }
  })
