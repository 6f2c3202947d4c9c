/**
 * Real daemons, three servers: the key that signs service account tokens and the wrapping key of Secrets are replaced
 * while the cluster runs, over kills, with a server off, one that joins on the way, and into a backup.
 */
import assert from 'node:assert/strict'
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test, { after, before } from 'node:test'
import { keyRotation, replaceKey } from '../../src/client/key-rotation.ts'
import { nodePaths } from '../../src/host/node-files.ts'
import { openBackup } from '../../src/runtime/backup/backup-reader.ts'
import { temporaryDirectory } from '../support/cluster.ts'
import { startServers, type TestNode, type TestServers } from '../support/servers.ts'
import { until } from '../support/until.ts'

let servers: TestServers
let directory = ''

before(async () => {
  directory = temporaryDirectory()
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
const fileOf = ({ dataDir }: TestNode, name: string) => readFileSync(join(dataDir, 'pki', name), 'utf8')
const keyFiles = (name: string) => [...new Set(servers.nodes.map(node => fileOf(node, name)))]
const countIn = (text: string | undefined) => text?.match(/BEGIN PRIVATE KEY/g)?.length

async function mustRun(node: TestNode, args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await node.mk8s(args)
  assert.equal(code, 0, `mk8s ${args.join(' ')}: ${stdout}${stderr}\n${await node.log()}`)
  return stdout
}

const stageAt = ({ dataDir }: TestNode, ring: 'service-account' | 'secrets-encryption') =>
  keyRotation(nodePaths(dataDir).adminSocket, ring).catch(() => undefined)

const tokenOf = (node: TestNode) => node.kubectl.ok(['create', 'token', 'default', '--duration=2h'])
const kidOf = (token: string): string =>
  JSON.parse(Buffer.from(token.split('.')[0] ?? '', 'base64url').toString()).kid

async function kidsAt({ kubectl }: TestNode): Promise<string[]> {
  const { keys } = JSON.parse(await kubectl.ok(['get', '--raw', '/openid/v1/jwks']))
  return keys.map(({ kid }: { kid: string }) => kid)
}

/** What TokenReview says of a token, at each server. */
async function reviews(token: string): Promise<boolean[]> {
  const file = join(directory, 'review.json')
  const review = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenReview', spec: { token } }
  writeFileSync(file, JSON.stringify(review))
  const answers = servers.nodes.map(async ({ kubectl }) => {
    const out = await kubectl.ok(['create', '-f', file, '-o', 'jsonpath={.status.authenticated}'])
    return out === 'true'
  })
  return Promise.all(answers)
}

test('tokens of both keys are good at every server, until the earlier key is dropped', async () => {
  const before = await tokenOf(nodeAt(0))
  const said = await mustRun(nodeAt(1), ['refresh-certs', '--cert', 'service-account.key', '--yes'])
  assert.match(said, /Every server signs tokens with the new key/)
  assert.deepEqual(keyFiles('service-account.key').map(countIn), [2])
  const next = await Promise.all(servers.nodes.map(tokenOf))
  const kids = [...new Set(next.map(kidOf))]
  assert.equal(kids.length, 1)
  assert.notEqual(kids[0], kidOf(before))
  for (const node of servers.nodes) assert.deepEqual(await kidsAt(node), [kids[0], kidOf(before)])
  for (const token of [before, ...next]) assert.deepEqual(await reviews(token), [true, true, true])
  const again = await nodeAt(0).mk8s(['refresh-certs', '--cert', 'service-account.key', '--yes'])
  assert.match(again.stderr, /the earlier one is still kept/)
  await mustRun(nodeAt(2), ['refresh-certs', '--cert', 'service-account.key', '--drop-earlier'])
  assert.deepEqual(await reviews(before), [false, false, false])
  assert.deepEqual(await reviews(next[0] ?? ''), [true, true, true])
  for (const node of servers.nodes) assert.deepEqual(await kidsAt(node), kids)
})

test('it waits for a server that is off, goes on after kills, and a server that joins gets both keys', async () => {
  const [one, two, three] = [nodeAt(0), nodeAt(1), nodeAt(2)]
  const earlier = await tokenOf(one)
  three.powerOff()
  await replaceKey(nodePaths(two.dataDir).adminSocket, 'service-account')
  await until(
    'it waits for n3',
    async () => (await stageAt(one, 'service-account'))?.waitsFor.join() === 'n3',
  )
  two.signalDaemon('SIGKILL')
  await until('n2 is back', async () => (await stageAt(two, 'service-account')) !== undefined)
  assert.equal(kidOf(await tokenOf(one)), kidOf(earlier), 'nobody signs with what another does not know')
  assert.match((await one.mk8s(['status'])).stdout, /the next key waits for n3/)
  await servers.join()
  await three.powerOn()
  await until('it is in use', async () => (await stageAt(one, 'service-account'))?.inUse === true)
  assert.deepEqual(keyFiles('service-account.key').map(countIn), [2])
  assert.deepEqual(await reviews(earlier), [true, true, true, true])
  const passphrase = join(directory, 'passphrase')
  writeFileSync(passphrase, 'open', { mode: 0o600 })
  const backup = join(directory, 'sealed.mk8sbackup')
  await mustRun(one, ['backup-datastore', '-o', backup, '--passphrase-file', passphrase])
  const opened = await openBackup(backup, { kind: 'passphrase', passphrase: Buffer.from('open') })
  assert.equal(opened.read('keys/service-account.key').toString(), fileOf(one, 'service-account.key'))
  opened.close()
})

test('the wrapping key of Secrets is another one everywhere, and Secrets are read and written as before', async () => {
  const one = nodeAt(0)
  await mustRun(one, ['secrets-encryption', 'enable'])
  await one.kubectl.ok(['create', 'secret', 'generic', 'hidden', '--from-literal=word=squeamish'])
  const [before] = keyFiles('secrets-encryption.key')
  const status = await mustRun(nodeAt(1), ['secrets-encryption', 'rotate', '--wrapping-key', '--json'])
  assert.equal(JSON.parse(status).keys.length, 1, 'the data key stays')
  const [now, ...others] = keyFiles('secrets-encryption.key')
  assert.deepEqual([others, now === before, now?.trim().split('\n').length], [[], false, 1])
  const read = ({ kubectl }: TestNode) =>
    kubectl.ok(['get', 'secret', 'hidden', '-o', 'jsonpath={.data.word}'])
  nodeAt(1).signalDaemon('SIGKILL')
  await until('n2 is back', async () => (await stageAt(nodeAt(1), 'service-account')) !== undefined)
  for (const node of servers.nodes)
    await until('it is read', async () => (await read(node)) === Buffer.from('squeamish').toString('base64'))
  await nodeAt(2).kubectl.ok(['create', 'secret', 'generic', 'later', '--from-literal=word=x'])
  await mustRun(nodeAt(2), ['secrets-encryption', 'rotate'])
})
