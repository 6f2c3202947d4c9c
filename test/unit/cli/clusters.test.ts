import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { after } from 'node:test'
import { systemRandom } from '../../../src/base/random.ts'
import { addServers } from '../../../src/cli/all-servers.ts'
import {
  addCluster,
  checkKubeconfig,
  clusterKubeconfig,
  listClusters,
  reachableKubeconfig,
  removeCluster,
  useCluster,
} from '../../../src/cli/clusters.ts'
import type { Keychain } from '../../../src/host/keychain.ts'
import { parseYaml, renderYaml } from '../../../src/kube/yaml.ts'
import { renderKubeconfig } from '../../../src/runtime/pki/kubeconfig.ts'

const directory = mkdtempSync(join(tmpdir(), 'mk8s-clusters-'))
after(() => rmSync(directory, { recursive: true, force: true }))

const secrets = new Map<string, string>()
const keychain: Keychain = {
  getPassword: async (_service, account) => secrets.get(account) ?? null,
  setPassword: async (_service, account, password) => void secrets.set(account, password),
  deletePassword: async (_service, account) => secrets.delete(account),
  findCredentials: async () => [],
}
const partsIn = (name: string) => ({
  directory: join(directory, name),
  keychain,
  random: systemRandom,
  passphrase: undefined,
  ask: async () => undefined,
  program: '/usr/bin/mk8s',
  replace: false,
})
const kubeconfig = (server: string, authority = 'ca') =>
  renderKubeconfig({ server, authority, certificate: 'a certificate', key: 'a private key' })

test('a cluster that is added keeps its key out of its file, and comes back with it when asked', async () => {
  const parts = partsIn('keeps')
  await addCluster('shop', kubeconfig('https://127.0.0.1:1'), parts)
  const file = readFileSync(join(parts.directory, 'clusters/shop.yaml'), 'utf8')
  assert.doesNotMatch(file, /client-key/)
  assert.deepEqual(listClusters(parts.directory)[0]?.servers, ['https://127.0.0.1:1'])
  const whole = await clusterKubeconfig('shop', { embed: true }, parts)
  assert.deepEqual(parseYaml(whole), parseYaml(kubeconfig('https://127.0.0.1:1')))
  await assert.rejects(clusterKubeconfig('shpo', { embed: false }, parts), /there is no cluster/)
})

test('a name is taken once, unless it is to be replaced', async () => {
  const parts = partsIn('once')
  await addCluster('shop', kubeconfig('https://127.0.0.1:1'), parts)
  await assert.rejects(
    addCluster('shop', kubeconfig('https://127.0.0.1:2'), parts),
    /is a cluster shop already/,
  )
  assert.deepEqual(listClusters(parts.directory)[0]?.servers, ['https://127.0.0.1:1'])
  await addCluster('shop', kubeconfig('https://127.0.0.1:2'), { ...parts, replace: true })
  assert.deepEqual(listClusters(parts.directory)[0]?.servers, ['https://127.0.0.1:2'])
  for (const name of ['', '..', 'a/b', 'A', '-a'])
    await assert.rejects(addCluster(name, kubeconfig('https://127.0.0.1:1'), parts), /is no name/)
})

test('what is removed is forgotten with its key, which stays while another cluster has it', async () => {
  const parts = partsIn('removed')
  secrets.clear()
  await addCluster('a', kubeconfig('https://127.0.0.1:1'), parts)
  await addCluster('b', kubeconfig('https://127.0.0.2:1'), parts)
  useCluster('a', parts.directory)
  await removeCluster('a', parts)
  assert.equal(secrets.size, 1)
  assert.deepEqual(
    listClusters(parts.directory).map(({ name, isUsed }) => [name, isUsed]),
    [['b', false]],
  )
  await removeCluster('b', parts)
  assert.equal(secrets.size, 0)
  assert.deepEqual(readdirSync(parts.directory), ['clusters'])
  assert.throws(() => useCluster('b', parts.directory), /there is no cluster/)
})

test('a key that was replaced is forgotten, unless another cluster has it', async () => {
  const parts = partsIn('replaced')
  secrets.clear()
  await addCluster('a', kubeconfig('https://127.0.0.1:1', 'old'), parts)
  await addCluster('b', kubeconfig('https://127.0.0.1:1', 'old'), parts)
  await addCluster('a', kubeconfig('https://127.0.0.1:1', 'new'), { ...parts, replace: true })
  assert.equal(secrets.size, 2)
  await addCluster('b', kubeconfig('https://127.0.0.1:1', 'new'), { ...parts, replace: true })
  const [kept] = listClusters(parts.directory)
  assert.deepEqual([...secrets.keys()], [kept?.credential])
})

test('kubectl is sent to a server that listens', async () => {
  const parts = partsIn('reached')
  const listening = createServer().listen(0, '127.0.0.1')
  after(() => listening.close())
  await new Promise(resolve => listening.once('listening', resolve))
  const { port } = listening.address() as { port: number }
  const one = parseYaml(kubeconfig('https://127.0.0.1:1')) as Parameters<typeof addServers>[0]
  const both = renderYaml(addServers(one, [`https://127.0.0.1:${port}`]))
  await addCluster('shop', both, parts)
  const path = await reachableKubeconfig('shop', parts.directory)
  const config = parseYaml(readFileSync(path, 'utf8')) as {
    'current-context': string
    contexts: { name: string; context: { cluster: string } }[]
    clusters: { name: string; cluster: { server: string } }[]
  }
  const current = config.contexts.find(({ name }) => name === config['current-context'])?.context.cluster
  const server = config.clusters.find(({ name }) => name === current)?.cluster.server
  assert.equal(server, `https://127.0.0.1:${port}`)
})

test('a kubeconfig that nobody takes is refused', async () => {
  await assert.rejects(checkKubeconfig('kind: Config'), /does not hold one user/)
})
