import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { after } from 'node:test'
import {
  clusterInitPath,
  nodeConfigPath,
  readClusterInit,
  readConfigFile,
  readNodeConfig,
  renderClusterInit,
  renderNodeConfig,
} from '../../../src/config/config-files.ts'
import type { NodeConfig } from '../../../src/config/node-config.ts'

const directory = mkdtempSync(join(tmpdir(), 'mk8s-config-'))
after(() => rmSync(directory, { recursive: true }))

const node: NodeConfig = {
  dataDir: directory,
  clusterId: '6f1d2a80-0000-4000-8000-000000000000',
  memberId: 0x1f2e3d4c5b6a,
  role: 'worker',
  failureDomain: 'rack-1',
  nodeName: '1234',
  bindAddress: '127.0.0.2',
  ports: { api: 1, join: 2, raft: 3, kubelet: 4 },
  runtime: 'process',
  criSocket: '',
  etcdListen: 'unix',
  runtimeReason: 'because: "reasons"',
  logLevel: 'debug',
}
const cluster = {
  serviceCidr: '10.152.183.0/24',
  podCidr: '10.1.0.0/16',
  failover: 'fast' as const,
  clusterDomain: 'cluster.local',
  nodePortRange: { first: 30000, last: 32767 },
  voters: 3,
}

test('what is written is what is read', () => {
  writeFileSync(nodeConfigPath(directory), renderNodeConfig(node))
  const manifests = [
    { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'a' }, data: { x: 'yes', y: '1' } },
  ]
  writeFileSync(clusterInitPath(directory), renderClusterInit({ cluster, manifests }))
  assert.deepEqual(structuredClone(readNodeConfig(directory)), node)
  assert.deepEqual(structuredClone(readClusterInit(directory)), { cluster, manifests })
})

test('no file means not installed, a damaged one is an error and never a default', () => {
  assert.throws(() => readNodeConfig(join(directory, 'none')), { code: 'node/not-installed' })
  for (const text of ['', 'apiVersion: [', renderNodeConfig(node).replace('clusterId', 'clusterIx'), '\0']) {
    const damaged = join(directory, 'damaged')
    rmSync(damaged, { recursive: true, force: true })
    writeDamaged(damaged, text)
    assert.throws(() => readNodeConfig(damaged), { code: 'config/unreadable' }, JSON.stringify(text))
  }
})

function writeDamaged(path: string, text: string): void {
  mkdirSync(path)
  writeFileSync(nodeConfigPath(path), text)
}

test('manifests are read from files beside the one that names them', () => {
  const file = join(directory, 'install.yaml')
  writeFileSync(join(directory, 'm.yaml'), '{apiVersion: v1, kind: Namespace, metadata: {name: shop}}')
  writeFileSync(file, 'apiVersion: mk8s.io/v1\nkind: NodeConfig\nmanifests: [m.yaml, missing.yaml]\n')
  const { manifests, problems } = readConfigFile(file)
  assert.equal(manifests[0]?.metadata.name, 'shop')
  assert.match(problems.join(), /missing\.yaml, which is not there/)
})
