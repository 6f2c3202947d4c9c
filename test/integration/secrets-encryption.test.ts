/** A real daemon with encrypted Secrets: its files, rotation, a restart, backups with and without keys, a restore. */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test, { after, before } from 'node:test'
import { openBackup } from '../../src/runtime/backup/backup-reader.ts'
import { temporaryDirectory } from '../support/cluster.ts'
import { startServers, type TestNode, type TestServers } from '../support/servers.ts'

const WORD = 'squeamishossifrage'
let servers: TestServers
let directory = ''
let node: TestNode

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

async function mustRun(args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await node.mk8s(args)
  assert.equal(code, 0, `mk8s ${args.join(' ')}: ${stdout}${stderr}\n${await node.log()}`)
  return stdout
}

const read = (name: string) => node.kubectl.ok(['get', 'secret', name, '-o', 'jsonpath={.data.word}'])
const base64 = (text: string) => Buffer.from(text).toString('base64')

test('what is written under encryption is nowhere in the files of the datastore', async () => {
  const { stale, enabled } = JSON.parse(await mustRun(['secrets-encryption', 'enable', '--json']))
  assert.deepEqual([enabled, stale], [true, 0])
  await node.kubectl.ok(['create', 'secret', 'generic', 'hidden', `--from-literal=word=${WORD}`])
  await node.kubectl.ok(['create', 'configmap', 'open', '--from-literal=word=plainossifrage'])
  assert.equal(await read('hidden'), base64(WORD))
  const store = join(node.dataDir, 'datastore')
  const files = readdirSync(store, { recursive: true, withFileTypes: true }).filter(file => file.isFile())
  const bytes = files.map(file => readFileSync(join(file.parentPath, file.name)))
  const holds = (text: string) => bytes.some(one => one.includes(text))
  assert.deepEqual([holds(WORD), holds(base64(WORD)), holds('plainossifrage')], [false, false, true])
  assert.equal(statSync(join(node.dataDir, 'pki/secrets-encryption.key')).mode & 0o777, 0o600)
})

test('after a rotation and a restart it is read', async () => {
  const { keys, stale } = JSON.parse(await mustRun(['secrets-encryption', 'rotate', '--json']))
  assert.deepEqual([keys.length, stale], [2, 0])
  await mustRun(['stop'])
  await mustRun(['start'])
  assert.equal(await read('hidden'), base64(WORD))
  assert.match(await mustRun(['secrets-encryption', 'status']), /^Secrets are encrypted with the key/)
})

test('credentials of backup targets stay out of a backup without keys, which holds no Secret in clear', async () => {
  const make = ['-n', 'kube-system', 'create', 'secret', 'generic', 'target', `--from-literal=key=${WORD}`]
  await node.kubectl.ok([...make, '--type=mk8s.io/backup-target'])
  const path = join(directory, 'plain.mk8sbackup')
  await mustRun(['backup-datastore', '-o', path])
  const backup = await openBackup(path, null)
  assert.deepEqual(backup.manifest.leftOut, ['kube-system/target'])
  backup.close()
  assert.equal(readFileSync(path).includes(base64(WORD)), false)
})

test('a backup without keys is refused where the key is another, and one with keys is restored', async () => {
  const passphrase = join(directory, 'passphrase')
  writeFileSync(passphrase, 'open', { mode: 0o600 })
  const sealed = join(directory, 'sealed.mk8sbackup')
  await mustRun(['backup-datastore', '-o', sealed, '--passphrase-file', passphrase])
  await node.kubectl.ok(['delete', 'secret', 'hidden'])
  const only = ['--only', 'secrets/default/hidden', '--yes']
  await mustRun(['restore-datastore', join(directory, 'plain.mk8sbackup'), ...only])
  assert.equal(await read('hidden'), base64(WORD), 'a part of a backup under encryption')
  await node.kubectl.ok(['delete', 'secret', 'hidden'])
  await mustRun(['restore-datastore', join(directory, 'plain.mk8sbackup'), '--yes'])
  assert.equal(await read('hidden'), base64(WORD))
  const settings = ['--bind-address', node.address, '--node-name', node.name, '--runtime', 'simulated']
  await mustRun(['uninstall', '--yes'])
  const plain = await node.mk8s([
    'restore-datastore',
    join(directory, 'plain.mk8sbackup'),
    '--yes',
    ...settings,
  ])
  assert.match(plain.stderr, /encrypted, with a key that is not here/)
  await mustRun(['restore-datastore', sealed, '--passphrase-file', passphrase, '--yes', ...settings])
  assert.equal(await read('hidden'), base64(WORD))
})
