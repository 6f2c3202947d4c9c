/** Real daemons on one machine: joins that work, and joins that fail or are killed at every step and leave no trace. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname } from 'node:path'
import test, { after, before } from 'node:test'
import { MK8S } from '../support/cluster.ts'
import { startServers, type TestNode, type TestServers } from '../support/servers.ts'
import { until } from '../support/until.ts'

let servers: TestServers

before(async () => {
  servers = await startServers({ count: 1 })
})
after(() => servers?.remove())

const first = (): TestNode => {
  const [node] = servers.nodes
  assert.ok(node)
  return node
}

const settings = (node: TestNode) => [
  ...['--bind-address', node.address, '--node-name', node.name, '--runtime', 'simulated'],
]

async function statusOf(node: TestNode) {
  const status = await node.status()
  assert.ok(status.datastore)
  return { ...status, datastore: status.datastore }
}

const rolesSeenBy = async (node: TestNode): Promise<string[]> =>
  (await statusOf(node)).datastore.members.map(({ role }) => role).sort()

/** Nobody of this name is a member, a Node, or has anything on its disk. */
async function mustBeWithoutTrace(node: TestNode): Promise<void> {
  const { datastore } = await statusOf(first())
  assert.ok(!datastore.members.some(({ address }) => address.startsWith(`${node.address}:`)))
  assert.ok(
    !(await first().kubectl.ok(['get', 'nodes', '-o', 'name'])).split('\n').includes(`node/${node.name}`),
  )
  const left = readdirSync(dirname(node.dataDir)).filter(name => name.startsWith(node.name))
  assert.deepEqual(left, [])
}

interface Ended {
  readonly code: number | null
  readonly text: string
  readonly shown: string
}

/** Runs the join and sends the signal as soon as it says that it begins this step. */
function joinUntil(
  node: TestNode,
  url: string,
  step: string,
  signal: NodeJS.Signals | (() => void),
  args = settings(node),
): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const child = spawn(MK8S, ['join', url, ...args], {
      env: { ...process.env, MK8S_DATA_DIR: node.dataDir },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let text = ''
    let shown = ''
    const take = (chunk: string) => {
      text += chunk
      if (shown !== '' || !text.includes(`- ${step}`)) return
      shown = readFileSync(`/proc/${child.pid}/cmdline`, 'utf8')
      if (typeof signal === 'string') child.kill(signal)
      else signal()
    }
    child.stdout.setEncoding('utf8').on('data', take)
    child.stderr.setEncoding('utf8').on('data', take)
    child.on('error', reject)
    child.on('close', code => resolve({ code, text, shown }))
  })
}

const STEPS = [
  'show the token',
  'make certificates',
  'write the configuration',
  'start the daemon',
  'become a member',
  'wait until',
]

test('a join that is interrupted takes everything back and does not use up its token', async () => {
  const url = await servers.invite()
  const node = servers.blank()
  for (const step of STEPS) {
    const { code, text, shown } = await joinUntil(node, url, step, 'SIGINT')
    assert.equal(code, 130, text)
    assert.ok(shown.startsWith('mk8s join\0') && !shown.includes(url.split('/')[1] ?? ''), shown)
    await mustBeWithoutTrace(node)
  }
  const joined = await node.mk8s(['join', url, ...settings(node), '--json'])
  assert.equal(joined.code, 0, joined.stderr)
  assert.equal((JSON.parse(joined.stdout) as { role: string }).role, 'standby')
  assert.deepEqual(await rolesSeenBy(first()), ['standby', 'voter'])
  const again = await node.mk8s(['join', url, ...settings(node)])
  assert.match(again.stdout, /in this cluster already/)
  const left = await node.mk8s(['leave', '--yes'])
  assert.equal(left.code, 0, left.stderr)
})

test('a join that is killed at any step can be repeated with the same token', async () => {
  const url = await servers.invite()
  const node = servers.blank()
  for (const step of STEPS) await joinUntil(node, url, step, 'SIGKILL')
  const joined = await node.mk8s(['join', url, ...settings(node)])
  assert.equal(joined.code, 0, joined.stderr)
  assert.deepEqual(await rolesSeenBy(first()), ['standby', 'voter'])
  const other = servers.blank()
  const used = await other.mk8s(['join', url, ...settings(other)])
  assert.equal(used.code, 6)
  assert.match(used.stderr, /not known to the cluster/)
  await mustBeWithoutTrace(other)
  const left = await node.mk8s(['leave', '--yes'])
  assert.equal(left.code, 0, left.stderr)
})

test('what cannot be is refused with its reason, before this machine is touched', async () => {
  const url = await servers.invite()
  const node = servers.blank()
  const [place = '', token = '', fingerprint = ''] = url.split('/')
  const wrong = `${fingerprint.slice(0, -8)}00000000`
  const named = ['--bind-address', node.address, '--node-name', 'n1', '--runtime', 'simulated']
  const cases: readonly (readonly [readonly string[], number, RegExp])[] = [
    [[`${place}/${token}`], 2, /no fingerprint/],
    [[`${place}/${token}/${wrong}`], 6, /nothing was sent/],
    [[`${place}/${token.slice(0, -4)}2222/${fingerprint}`], 6, /not known/],
    [[`127.0.0.77:1/${token}/${fingerprint}`], 4, /nobody listens/],
    [[url, ...named], 6, /a server n1 in the cluster already/],
    [[url, '--service-cidr', '10.0.0.0/16'], 2, /unknown flag --service-cidr/],
  ]
  for (const [args, code, why] of cases) {
    const ran = await node.mk8s(['join', ...args, ...(args.includes('--node-name') ? [] : settings(node))])
    assert.equal(ran.code, code, ran.stderr)
    assert.match(ran.stderr, why)
    assert.ok(!existsSync(node.dataDir), ran.stderr)
  }
})

test('a node with an empty cluster of its own makes way, and is back if the join fails', async () => {
  const node = servers.blank()
  const installed = await node.mk8s(['install', ...settings(node)])
  assert.equal(installed.code, 0, installed.stderr)
  await node.kubectl.ok(['create', 'configmap', 'kept', '--from-literal', 'a=b'])
  const url = await servers.invite()
  const refused = await node.mk8s(['join', url, '--force'])
  assert.equal(refused.code, 6)
  assert.match(refused.stderr, /1 configmaps/)
  await node.kubectl.ok(['delete', 'configmap', 'kept'])
  const interrupted = await joinWithForce(node, url)
  assert.equal(interrupted.code, 130, interrupted.text)
  const back = await node.mk8s(['status', '--wait-ready'])
  assert.equal(back.code, 0, back.stderr)
  const joined = await node.mk8s(['join', url, '--force', '--json'])
  assert.equal(joined.code, 0, joined.stderr)
  const { safetyCopy } = JSON.parse(joined.stdout) as { safetyCopy: string }
  assert.ok(existsSync(`${safetyCopy}/config.yaml`))
  const removed = await first().mk8s(['remove-node', node.name])
  assert.equal(removed.code, 0, removed.stderr)
  await until('the node knows that it was taken out', async () =>
    /not in the cluster any more/.test((await node.mk8s(['status'])).stdout),
  )
  const again = await node.mk8s(['join', await servers.invite(), '--force'])
  assert.equal(again.code, 0, again.stderr)
  const left = await node.mk8s(['leave', '--yes'])
  assert.equal(left.code, 0, left.stderr)
})

function joinWithForce(node: TestNode, url: string): Promise<Ended> {
  return joinUntil(node, url, 'start the daemon', 'SIGINT', ['--force'])
}

test('five nodes join at once with one token, and the roles are those of six servers', async () => {
  const made = await first().mk8s(['add-node', '--uses', '5', '--format', 'json'])
  const { token, urls } = JSON.parse(made.stdout) as { token: string; urls: string[] }
  const [secret = '', fingerprint = ''] = token.split('/')
  const url = `${urls[0]?.split('/')[0]}/-/${fingerprint}`
  const nodes = Array.from({ length: 5 }, () => servers.blank())
  const env = { MK8S_JOIN_TOKEN: secret }
  const joins = await Promise.all(nodes.map(node => node.mk8s(['join', url, ...settings(node)], { env })))
  for (const { code, stderr } of joins) assert.equal(code, 0, stderr)
  await until('three voters and three standbys', async () => {
    const roles = await rolesSeenBy(first())
    return roles.join() === 'standby,standby,standby,voter,voter,voter'
  })
  const [contact] = nodes
  assert.ok(contact)
  await outliveContact(contact)
  const late = servers.blank()
  const joined = await late.mk8s(['join', await servers.invite(), ...settings(late)])
  assert.equal(joined.code, 0, joined.stderr)
})

/** The server that a join began with loses its power half-way; another one goes on with it. */
async function outliveContact(contact: TestNode): Promise<void> {
  const made = await contact.mk8s(['add-node', '--format', 'json'])
  const { urls } = JSON.parse(made.stdout) as { urls: string[] }
  const node = servers.blank()
  const { code, text } = await joinUntil(node, urls[0] ?? '', 'start the daemon', () => contact.powerOff())
  assert.equal(code, 0, text)
}
