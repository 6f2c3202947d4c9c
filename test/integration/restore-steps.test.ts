/** Real processes of one server that die, or find the disk full, at each step that a restore takes on the disk. */
import assert from 'node:assert/strict'
import { existsSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import test, { after, before } from 'node:test'
import { CONFIG_MAPS } from '../../src/client/resources.ts'
import { namesOf } from '../support/api-client.ts'
import { temporaryDirectory } from '../support/cluster.ts'
import { Faults } from '../support/faults.ts'
import type { Ran } from '../support/kubectl.ts'
import { startServers, type TestNode, type TestServers } from '../support/servers.ts'
import { until } from '../support/until.ts'

let servers: TestServers
let node: TestNode
let faults: Faults
let directory = ''
let steps: readonly string[] = []
const file = () => join(directory, 'a.mk8sbackup')

before(async () => {
  directory = temporaryDirectory()
  faults = new Faults(join(directory, 'faults'))
  servers = await startServers({ count: 1 })
  const [first] = servers.nodes
  assert.ok(first)
  node = first
})
after(async () => {
  await servers?.remove()
  rmSync(directory, { recursive: true, force: true })
})

const restore = (): Promise<Ran> => node.mk8s(['restore-datastore', file(), '--yes'], { env: faults.env })
const names = () => namesOf(node, CONFIG_MAPS)
const keptDirectories = () => readdirSync(node.dataDir).filter(name => name.startsWith('before-restore-'))
const isClean = () => !existsSync(join(node.dataDir, 'recovery'))

const generation = async (): Promise<string> => (await node.status()).clusterId

/** Something that a restore takes away; what earlier ones have kept goes. */
async function diverge(): Promise<void> {
  for (const name of keptDirectories()) rmSync(join(node.dataDir, name), { recursive: true })
  await until('what the backup lacks is there', async () => {
    await node.kubectl.try(['create', 'configmap', 'later'])
    return /later/.test(await names())
  })
}

async function untilRestored(step: string): Promise<void> {
  await until(
    `the restored state is served after ${step}`,
    async () => isClean() && /kept/.test(await names()) && !/later/.test(await names()),
    60_000,
  )
  assert.equal(keptDirectories().length, 1, step)
  assert.ok(existsSync(join(node.dataDir, keptDirectories()[0] ?? '', 'datastore/state.sqlite')), step)
}

/** Old or new, and nothing in between. */
async function notBegun(step: string): Promise<void> {
  await until(`what ${step} left is gone`, isClean, 60_000)
  assert.match(await names(), /later/, step)
  assert.deepEqual(keptDirectories(), [], step)
}

const decides = 'command rename recovery/journal.json.tmp recovery/journal.json'
const ofCommand = () => steps.slice(0, steps.indexOf(decides) + 1).filter(step => step.startsWith('command'))
const ofDaemon = () => steps.filter(step => step.startsWith('daemon'))
/** Nothing can be full where something is removed. */
const canBeFull = (step: string) => !/^\S+ rm /.test(step)

test('the steps of a restore are those of the command up to its decision, and those of the daemon after it', async () => {
  await node.kubectl.ok(['create', 'configmap', 'kept'])
  const backup = await node.mk8s(['backup-datastore', '-o', file()])
  assert.equal(backup.code, 0, backup.stderr)
  faults.takeOver(node)
  await diverge()
  const recorded = await faults.recorded(async () => {
    const { code, stderr } = await restore()
    assert.equal(code, 0, stderr)
  })
  steps = recorded.get(node.dataDir) ?? []
  await untilRestored('a restore without a fault')
  assert.ok(ofCommand().length >= 15 && ofDaemon().length >= 15, steps.join('\n'))
  for (const step of [decides, 'daemon rename datastore before-restore/datastore', 'daemon rm recovery'])
    assert.ok(steps.includes(step), `${step} is none of\n${steps.join('\n')}`)
})

test('a command that is killed at a step before its decision leaves everything as it was', async () => {
  await diverge()
  const before = await generation()
  for (const step of ofCommand()) {
    faults.next({ step, what: 'kill' })
    const { code } = await restore()
    assert.ok(code !== 0 && faults.happened, step)
    await notBegun(step)
  }
  assert.equal(await generation(), before)
})

test('a command that finds the disk full at a step before its decision says so, and leaves nothing', async () => {
  await diverge()
  for (const step of ofCommand().filter(canBeFull)) {
    faults.next({ step, what: 'full' })
    const { code, stderr } = await restore()
    assert.ok(faults.happened, step)
    assert.equal(code, 1, step)
    assert.match(stderr, /disk is full|no space left[\s\S]*code +(host|store)\/disk/, step)
    assert.ok(isClean(), step)
    await notBegun(step)
  }
})

test('a daemon that is killed at a step after the decision finishes the restore when it starts again', async () => {
  for (const step of ofDaemon()) {
    // A supervisor that has not yet begun to wait longer each time.
    faults.takeOver(node)
    await diverge()
    faults.next({ step, what: 'kill' })
    const { code, stderr } = await restore()
    assert.ok(faults.happened, step)
    assert.equal(code, 0, `${step}: ${stderr}\n${await node.log()}`)
    await untilRestored(step)
  }
})

test('a daemon that finds the disk full after the decision finishes the restore once there is room', async () => {
  for (const step of ofDaemon().filter(canBeFull)) {
    faults.takeOver(node)
    await diverge()
    faults.next({ step, what: 'full' })
    const { code, stderr } = await restore()
    assert.ok(faults.happened, step)
    assert.equal(code, 0, `${step}: ${stderr}\n${await node.log()}`)
    await untilRestored(step)
  }
})
