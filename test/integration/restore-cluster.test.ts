/** Real daemons: one command restores three servers, whoever dies meanwhile, and a worker comes along by itself. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test, { after, before } from 'node:test'
import type { NodeStatus } from '../../src/client/node-status.ts'
import { MK8S, temporaryDirectory } from '../support/cluster.ts'
import { startServers, type TestNode, type TestServers } from '../support/servers.ts'
import { until } from '../support/until.ts'

let servers: TestServers
let directory = ''
const file = () => join(directory, 'a.mk8sbackup')
const passphrase = () => join(directory, 'passphrase')
const opened = () => ['--passphrase-file', passphrase()]

before(async () => {
  directory = temporaryDirectory()
  writeFileSync(passphrase(), 'what nobody knows\n', { mode: 0o600 })
  servers = await startServers({ count: 3 })
})
after(async () => {
  await servers?.remove()
  rmSync(directory, { recursive: true, force: true })
})

const nodeAt = (at: number): TestNode => {
  const node = servers.nodes[at]
  assert.ok(node)
  return node
}

/** The worker that joins later is none of them. */
const serverNodes = (): TestNode[] => [0, 1, 2].map(nodeAt)

async function mustRun(on: TestNode, args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await on.mk8s(args)
  const logs = await Promise.all(servers.nodes.map(node => node.log()))
  assert.equal(code, 0, `mk8s ${args.join(' ')}: ${stdout}${stderr}\n${logs.join('\n---\n')}`)
  return stdout
}

const statusOf = (node: TestNode): Promise<NodeStatus | null> => node.status().catch(() => null)

/** What the configmaps of a server are, as that server serves them. */
const configMaps = async (node: TestNode): Promise<string> =>
  (await node.kubectl.try(['get', 'configmaps', '-o', 'jsonpath={range .items[*]}{.metadata.name} {end}']))
    .stdout

/** Everybody serves the state of the backup, and every server is a voter again. */
async function untilRestored(generation: string | null): Promise<string> {
  let clusterId = ''
  await until(
    'all servers serve the restored state',
    async () => {
      const statuses = await Promise.all(serverNodes().map(statusOf))
      const [first] = statuses
      clusterId = first?.clusterId ?? ''
      const states = await Promise.all(serverNodes().map(configMaps))
      return (
        clusterId !== generation &&
        statuses.every(status => status?.ready && status.clusterId === clusterId) &&
        first?.datastore?.members.length === 3 &&
        first.datastore.members.every(({ role }) => role === 'voter') &&
        states.every(state => /deleted/.test(state) && !/later/.test(state))
      )
    },
    60_000,
  )
  return clusterId
}

/** Runs the command, and ends it as a power cut would once `when` says so. */
async function restoreAndDie(node: TestNode, when: () => boolean): Promise<void> {
  const args = ['restore-datastore', file(), '--yes', ...opened()]
  const child = spawn(MK8S, args, { env: { ...process.env, MK8S_DATA_DIR: node.dataDir }, stdio: 'ignore' })
  const ended = new Promise<void>(resolve => child.once('exit', () => resolve()))
  for (let over = false; !over && !when(); ) {
    void ended.then(() => {
      over = true
    })
    await new Promise(resolve => setImmediate(resolve))
  }
  child.kill('SIGKILL')
  await ended
}

const inRecovery = (node: TestNode, name: string) => existsSync(join(node.dataDir, 'recovery', name))

test('one command on any server restores all of them', async () => {
  const [one, two] = [nodeAt(0), nodeAt(1)]
  await one.kubectl.ok(['create', 'configmap', 'deleted'])
  await mustRun(one, ['backup-datastore', '-o', file(), ...opened()])
  await one.kubectl.ok(['delete', 'configmap', 'deleted'])
  await one.kubectl.ok(['create', 'configmap', 'later'])
  const before = (await statusOf(one))?.clusterId ?? null
  await mustRun(two, ['restore-datastore', file(), '--yes', ...opened()])
  await untilRestored(before)
  for (const node of servers.nodes)
    assert.ok(readdirSync(node.dataDir).some(name => name.startsWith('before-restore-')))
})

test('a restore that dies before it is decided has not been', async () => {
  const [one, two] = [nodeAt(0), nodeAt(1)]
  await one.kubectl.ok(['create', 'configmap', 'later'])
  const before = (await statusOf(one))?.clusterId
  await restoreAndDie(one, () => inRecovery(two, 'prepared.json'))
  // On a busy machine it may have got further; then it happens, and what comes next is to find it done.
  if (inRecovery(one, 'journal.json')) {
    await untilRestored(before ?? null)
    return
  }
  await until(
    'what was prepared is gone',
    () => !servers.nodes.some(node => inRecovery(node, 'prepared.json')),
  )
  assert.equal((await statusOf(one))?.clusterId, before)
  assert.match(await configMaps(two), /later/)
})

test('the cluster is rebuilt on empty machines, and its worker comes along untouched', async () => {
  const [one, two, three] = [nodeAt(0), nodeAt(1), nodeAt(2)]
  const worker = await servers.join({ worker: true })
  const last = join(directory, 'last.mk8sbackup')
  await mustRun(one, ['backup-datastore', '-o', last, ...opened()])
  for (const node of [one, two, three]) {
    node.powerOff()
    await mustRun(node, ['uninstall', '--yes'])
  }
  const settings = (node: TestNode) => [
    ...['--bind-address', node.address, '--node-name', node.name],
    ...['--runtime', 'simulated'],
  ]
  await mustRun(one, ['restore-datastore', last, '--yes', ...opened(), ...settings(one)])
  for (const node of [two, three]) await mustRun(node, ['join', await servers.invite(), ...settings(node)])
  const overrides = JSON.stringify({ spec: { nodeName: worker.name } })
  await three.kubectl.ok(['run', 'probe', '--image', 'web:1', '--overrides', overrides])
  await until('the worker runs a new pod', async () => {
    const phase = await two.kubectl.ok(['get', 'pod', 'probe', '-o', 'jsonpath={.status.phase}'])
    return phase === 'Running'
  })
  assert.match(await configMaps(three), /deleted/)
})

test('a restore that dies once it is decided is finished by the daemons, even if they die too', async () => {
  const [one, two, three] = [nodeAt(0), nodeAt(1), nodeAt(2)]
  const before = (await statusOf(two))?.clusterId ?? null
  await restoreAndDie(one, () => inRecovery(one, 'journal.json'))
  await until(
    'another server has heard of it',
    () =>
      inRecovery(two, 'journal.json') ||
      inRecovery(three, 'journal.json') ||
      !inRecovery(one, 'journal.json'),
  )
  for (const node of serverNodes()) {
    try {
      node.signalDaemon('SIGKILL')
    } catch {
      // It is between two lives.
    }
  }
  await untilRestored(before)
})

test('servers that begin again wait for the one that restores, and it for them, although it died meanwhile', async () => {
  const [one, two, three] = [nodeAt(0), nodeAt(1), nodeAt(2)]
  const before = (await statusOf(two))?.clusterId ?? null
  await restoreAndDie(one, () => inRecovery(one, 'journal.json'))
  const generationOf = (node: TestNode) =>
    /clusterId: *(\S+)/.exec(readFileSync(join(node.dataDir, 'config.yaml'), 'utf8'))?.[1] ?? ''
  const began = (node: TestNode) => generationOf(node) !== before
  let held = false
  await until('the others have begun again', () => {
    // As if this machine stood still, from before it hears that they have left.
    if (!held && (began(two) || began(three) || inRecovery(two, 'journal.json'))) {
      one.signalDaemon('SIGSTOP')
      held = true
    }
    return began(two) || began(three)
  })
  one.signalDaemon('SIGKILL')
  await untilRestored(before)
})
