/** Backups by command on three real servers: on those that do not lead too, while objects are written. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { after, before, test } from 'node:test'
import { CONFIG_MAPS } from '../../src/client/resources.ts'
import type { ConfigMap } from '../../src/kube/types.ts'
import { parseYaml, parseYamlDocuments } from '../../src/kube/yaml.ts'
import { apiClient } from '../support/api-client.ts'
import { MK8S } from '../support/cluster.ts'
import { startServers, type TestNode, type TestServers } from '../support/servers.ts'
import { until } from '../support/until.ts'

let servers: TestServers
let passphrase: string
const at = (name: string): string => join(servers.nodes[0]?.dataDir ?? '', '..', name)

before(async () => {
  servers = await startServers({ count: 3 })
  passphrase = at('passphrase')
  writeFileSync(passphrase, 'open sesame\n', { mode: 0o600 })
})
after(() => servers.remove())

async function ok(node: TestNode | undefined, args: readonly string[]): Promise<string> {
  assert.ok(node)
  const { code, stdout, stderr } = await node.mk8s(args)
  assert.equal(code, 0, `${args.join(' ')}: ${stdout}${stderr}`)
  return stdout
}

/** Creates objects on the first server until it is told to end. */
function createOn(): { readonly names: readonly string[]; end(): Promise<void> } {
  const [first] = servers.nodes
  assert.ok(first)
  const client = apiClient(first)
  const names: string[] = []
  let over = false
  const all = (async () => {
    while (!over) {
      const name = `object-${names.length}`
      const object = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, namespace: 'default' } }
      await client.create<ConfigMap>(CONFIG_MAPS, object)
      names.push(name)
    }
  })()
  return {
    names,
    async end() {
      over = true
      await all
    },
  }
}

test('every server makes a backup of what was acknowledged by any other, at one revision', async () => {
  const creating = createOn()
  try {
    await until('objects are created', () => creating.names.length > 20)
    for (const [number, node] of servers.nodes.entries()) {
      const known = [...creating.names]
      const file = at(`backup-${number}`)
      const told = JSON.parse(await ok(node, ['backup-datastore', '-o', file, '--json'])) as {
        revision: number
      }
      const listed = JSON.parse(await ok(node, ['backup', 'inspect', file, 'cm', '-o', 'json'])) as {
        items: ConfigMap[]
      }
      const found = new Map(
        listed.items.map(item => [`${item.metadata.namespace}/${item.metadata.name}`, item]),
      )
      for (const name of known)
        assert.ok(found.has(`default/${name}`), `${name} is in the backup of ${node.name}`)
      const query = `resourceVersion=${told.revision}&resourceVersionMatch=Exact`
      const raw = await node.kubectl.ok(['get', '--raw', `/api/v1/configmaps?${query}`])
      const { items } = JSON.parse(raw) as { items: ConfigMap[] }
      assert.equal(found.size, items.length)
      for (const { kind: _k, apiVersion: _v, ...item } of items as (ConfigMap & {
        kind?: string
        apiVersion?: string
      })[]) {
        const { kind, apiVersion, ...same } = {
          kind: '',
          apiVersion: '',
          ...found.get(`${item.metadata.namespace}/${item.metadata.name}`),
        }
        assert.deepEqual([kind, apiVersion, same], ['ConfigMap', 'v1', item])
      }
      await ok(node, ['backup', 'verify', file])
      assert.deepEqual(
        readdirSync(join(node.dataDir, 'datastore')).filter(name => name.startsWith('backup-')),
        [],
      )
    }
  } finally {
    await creating.end()
  }
})

test('an encrypted backup has what a cluster is rebuilt from, and gives out its database', async () => {
  const [, second] = servers.nodes
  const file = at('sealed')
  const opening = ['--passphrase-file', passphrase]
  const answer = await ok(second, ['backup-datastore', '-o', file, ...opening, '--format', 'json'])
  const told = JSON.parse(answer) as { hasKeys: boolean; encryption: string; parts: { name: string }[] }
  assert.deepEqual([told.hasKeys, told.encryption], [true, 'passphrase'])
  const names = ['cluster-ca', 'front-proxy-ca'].flatMap(name => [`keys/${name}.crt`, `keys/${name}.key`])
  assert.deepEqual(
    told.parts.map(({ name }) => name),
    [
      ...['cluster.yaml', 'state.sqlite', ...names],
      ...['keys/service-account.key', 'keys/service-account.pub', 'keys/secrets-encryption.key'],
    ],
  )
  assert.ok(second)
  assert.equal((await second.mk8s(['backup', 'verify', file])).code, 6)
  await ok(second, ['backup', 'verify', file, ...opening])
  const database = at('out.sqlite')
  await ok(second, ['backup', 'decrypt', file, ...opening, '-o', database])
  assert.equal(statSync(database).mode & 0o777, 0o600)
  const sqlite = new DatabaseSync(database)
  const rows = sqlite.prepare("SELECT name FROM objects WHERE kind = 'Node' ORDER BY name").all()
  sqlite.close()
  assert.deepEqual(
    rows.map(({ name }) => name),
    servers.nodes.map(({ name }) => name),
  )
  const yaml = parseYaml(await ok(second, ['backup', 'inspect', file, 'svc/default/kubernetes', ...opening]))
  assert.equal((yaml as { kind: string }).kind, 'Service')
})

test('standard output gets the bytes of the file and nothing else', async () => {
  const [, , third] = servers.nodes
  assert.ok(third)
  const { code, stdout, stderr } = await third.mk8s([
    'backup-datastore',
    '-o',
    '-',
    '--passphrase-file',
    passphrase,
  ])
  assert.equal(code, 0, stderr)
  assert.match(stdout, /^mk8s encrypted backup\n\{/)
  assert.match(stderr, /revision:/)
})

test('a backup that is interrupted leaves nothing, and one that is killed nothing after the next start', async () => {
  const [, , third] = servers.nodes
  assert.ok(third)
  const copies = () =>
    readdirSync(join(third.dataDir, 'datastore')).filter(name => name.startsWith('backup-'))
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGKILL'] as const) {
    // Nobody reads what it writes, so that it comes to a halt in the middle.
    const command = spawn(MK8S, ['backup-datastore', '-o', '-'], {
      env: { ...process.env, MK8S_DATA_DIR: third.dataDir },
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    const ended = new Promise<void>(resolve => command.on('exit', () => resolve()))
    await until(
      'it writes',
      () => command.stdout.readableLength > 0 || copies().some(name => name.endsWith('.anew')),
    )
    command.kill(signal)
    await ended
    command.stdout.destroy()
    if (signal !== 'SIGKILL') assert.deepEqual(copies(), [], signal)
  }
  assert.notDeepEqual(copies(), [])
  third.signalDaemon('SIGKILL')
  await until('the daemon has started again', () => copies().length === 0)
})

test('an unencrypted backup warns, keeps what is there, and describes the cluster', async () => {
  const [first] = servers.nodes
  assert.ok(first)
  const file = at('plain')
  const { code, stderr } = await first.mk8s(['backup-datastore', '-o', file])
  assert.equal(code, 0)
  assert.match(stderr, /Secrets in this backup can be read/)
  const refused = await first.mk8s(['backup-datastore', '-o', file])
  assert.deepEqual([refused.code, /is there already/.test(refused.stderr)], [6, true])
  await ok(first, ['backup-datastore', '-o', file, '--force'])
  const text = readFileSync(file, 'latin1')
  const begin = text.indexOf('kind: ClusterConfig')
  assert.ok(begin > 0)
  const listed = await ok(first, ['backup', 'list', at('.'), '--json'])
  const names = (JSON.parse(listed) as { name: string; problem: string | null }[]).map(({ name }) => name)
  assert.deepEqual([...names].sort(), ['backup-0', 'backup-1', 'backup-2', 'plain', 'sealed'])
  const start = text.lastIndexOf('apiVersion', begin)
  const documents = parseYamlDocuments(text.slice(start, text.indexOf('\0', start)))
  const kinds = documents.map(document => (document as { kind: string }).kind)
  assert.deepEqual(kinds, ['ClusterConfig', 'Member', 'Member', 'Member'])
})
