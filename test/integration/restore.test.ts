/** Real daemons: a backup brings one server back, one that has never been, and what was written since is gone. */
import assert from 'node:assert/strict'
import { existsSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test, { after, before } from 'node:test'
import { startServers, type TestNode, type TestServers } from '../support/servers.ts'
import { temporaryDirectory } from '../support/cluster.ts'
import { until } from '../support/until.ts'

let servers: TestServers
let directory = ''
let node: TestNode
const GAP = 1_000_000_000

before(async () => {
  directory = temporaryDirectory()
  servers = await startServers({ count: 1 })
  const [first] = servers.nodes
  assert.ok(first)
  node = first
})
after(async () => {
  await servers?.remove()
  rmSync(directory, { recursive: true, force: true })
})

const file = () => join(directory, 'a.mk8sbackup')

async function mustRun(on: TestNode, args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await on.mk8s(args)
  assert.equal(code, 0, `mk8s ${args.join(' ')}: ${stdout}${stderr}\n${await on.log()}`)
  return stdout
}

const revisionOf = async (on: TestNode, kind: string, name: string): Promise<number> => {
  const { metadata } = JSON.parse(await on.kubectl.ok(['get', kind, name, '-o', 'json'])) as {
    metadata: { resourceVersion: string }
  }
  return Number(metadata.resourceVersion)
}

test('a dry run shows what would be added, changed and removed, and changes nothing', async () => {
  await node.kubectl.ok(['create', 'configmap', 'kept', '--from-literal=a=1'])
  await node.kubectl.ok(['create', 'configmap', 'deleted', '--from-literal=a=1'])
  await node.kubectl.ok(['create', 'namespace', 'shop'])
  await node.kubectl.ok(['-n', 'shop', 'create', 'deployment', 'web', '--image', 'web:1'])
  await node.kubectl.ok(['-n', 'shop', 'rollout', 'status', 'deployment/web', '--timeout=30s'])
  await mustRun(node, ['backup-datastore', '-o', file()])
  await node.kubectl.ok(['delete', 'configmap', 'deleted'])
  await node.kubectl.ok(['patch', 'configmap', 'kept', '-p', '{"data":{"a":"2"}}'])
  await node.kubectl.ok(['create', 'configmap', 'later', '--from-literal=a=1'])
  const { differences } = JSON.parse(await mustRun(node, ['restore-datastore', file(), '--dry-run', '--json'])) as {
    differences: { resource: string; added: number; changed: number; removed: number }[]
  }
  assert.deepEqual(
    differences.find(({ resource }) => resource === 'configmaps'),
    { resource: 'configmaps', added: 1, changed: 1, removed: 1 },
  )
  assert.ok(!existsSync(join(node.dataDir, 'recovery')))
  const asked = await node.mk8s(['restore-datastore', file()])
  assert.deepEqual([asked.code, /--yes/.test(asked.stderr)], [6, true], asked.stderr)
  assert.equal(await node.kubectl.ok(['get', 'configmap', 'later', '-o', 'name']), 'configmap/later\n')
})

test('a restore brings back what was deleted, and takes away what the backup lacks', async () => {
  const before = await revisionOf(node, 'configmap', 'later')
  const out = await mustRun(node, ['restore-datastore', file(), '--yes'])
  assert.match(out, /before-restore-/)
  const names = await node.kubectl.ok(['get', 'configmaps', '-o', 'jsonpath={range .items[*]}{.metadata.name}={.data.a} {end}'])
  assert.match(names, /deleted=1 kept=1/)
  assert.doesNotMatch(names, /later/)
  await node.kubectl.ok(['create', 'configmap', 'anew'])
  assert.ok((await revisionOf(node, 'configmap', 'anew')) > before + GAP - 1_000)
  const watch = await node.kubectl(['get', '--raw', `/api/v1/configmaps?watch=1&resourceVersion=${before}&timeoutSeconds=1`])
  assert.match(`${watch.stdout}${watch.stderr}`, /Expired|too old/)
  const kept = readdirSync(node.dataDir).find(name => name.startsWith('before-restore-')) ?? ''
  assert.ok(existsSync(join(node.dataDir, kept, 'datastore/state.sqlite')))
  await node.kubectl.ok(['-n', 'shop', 'rollout', 'status', 'deployment/web', '--timeout=30s'])
})
void until
void writeFileSync
