/** Volumes of `hostpath-storage` in a cluster of two servers: each lies where its pod runs, whoever leads. */
import assert from 'node:assert/strict'
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import test, { after, before, describe } from 'node:test'
import { must } from '../../src/base/assert.ts'
import { makeOlder } from '../support/addon-repository.ts'
import { startServers, type TestServers } from '../support/servers.ts'
import { until } from '../support/until.ts'

const claimOf = (name: string) => ({
  apiVersion: 'v1',
  kind: 'PersistentVolumeClaim',
  metadata: { name },
  spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } },
})
const podOn = (name: string, node: string | null, script: string) => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name },
  spec: {
    ...{ restartPolicy: 'Never', terminationGracePeriodSeconds: 0 },
    ...(node === null ? {} : { nodeSelector: { 'kubernetes.io/hostname': node } }),
    volumes: [{ name: 'v', persistentVolumeClaim: { claimName: 'where' } }],
    containers: [
      {
        ...{ name: 'c', image: 'localhost/shell', command: ['/bin/sh', '-ec', script] },
        volumeMounts: [{ name: 'v', mountPath: '/v' }],
      },
    ],
  },
})

describe('hostpath-storage on two nodes', () => {
  let servers: TestServers
  before(async () => {
    servers = await startServers({ count: 2, runtime: 'process' })
  })
  after(() => servers?.remove())

  const directories = (index: number) => {
    const directory = join(must(servers.nodes[index], 'a node').dataDir, 'volumes')
    return existsSync(directory) ? readdirSync(directory) : []
  }

  test('each of them makes and removes the directories of its own pods, and later pods follow the data', async () => {
    const { kubectl } = must(servers.nodes[0], 'the first node')
    await kubectl.ok(['wait', '--for=condition=Ready', 'nodes', '--all', '--timeout=60s'])
    const names = (await kubectl.ok(['get', 'nodes', '-o', 'jsonpath={.items[*].metadata.name}']))
      .split(' ')
      .sort()
    for (const [index, node] of names.entries()) {
      const other = must(names[1 - index], 'the other node')
      const items = [claimOf('where'), podOn('writer', node, 'echo data > /v/f')]
      const list = JSON.stringify({ apiVersion: 'v1', kind: 'List', items })
      const phase = (pod: string) => kubectl.ok(['get', 'pod', pod, '-o', 'jsonpath={.status.phase}'])
      await kubectl.ok(['apply', '-f', '-'], { input: list })
      await until(`the pod on ${node} ends`, async () => (await phase('writer')) === 'Succeeded')
      assert.deepEqual([directories(index).length, directories(1 - index).length], [1, 0])
      await kubectl.ok(['apply', '-f', '-'], {
        input: JSON.stringify(podOn('reader', null, 'grep data /v/f')),
      })
      await until('the next pod finds the data', async () => (await phase('reader')) === 'Succeeded')
      await kubectl.ok(['apply', '-f', '-'], { input: JSON.stringify(podOn('astray', other, 'true')) })
      const path = 'jsonpath={.status.conditions[?(@.type=="PodScheduled")].message}'
      await until('a pod that must run elsewhere is told why it cannot', async () => {
        const said = await kubectl.ok(['get', 'pod', 'astray', '-o', path])
        return said.includes(
          "1 node(s) didn't match Pod's node affinity/selector, 1 node(s) had volume node affinity conflict",
        )
      })
      await kubectl.ok(['delete', 'pod/writer', 'pod/reader', 'pod/astray', 'pvc/where'])
      await until('the directory is gone', () => directories(index).length === 0)
    }
  })

  test('an upgrade of the add-on leaves volumes and what is in them', async () => {
    const first = must(servers.nodes[0], 'the first node')
    const { kubectl } = first
    const phase = (pod: string) => kubectl.ok(['get', 'pod', pod, '-o', 'jsonpath={.status.phase}'])
    const apply = (...items: object[]) =>
      kubectl.ok(['apply', '-f', '-'], { input: JSON.stringify({ apiVersion: 'v1', kind: 'List', items }) })
    await apply(claimOf('where'), podOn('before', null, 'echo data > /v/f'))
    await until('it is written', async () => (await phase('before')) === 'Succeeded')
    await makeOlder(kubectl, 'hostpath-storage')
    assert.match((await first.mk8s(['addons', 'outdated'])).stdout, /^hostpath-storage +core +0\.0\.9/m)
    const { code, stderr } = await first.mk8s(['addons', 'upgrade', 'hostpath-storage'])
    assert.equal(code, 0, stderr)
    await apply(podOn('after', null, 'grep data /v/f'))
    await until('it is still there', async () => (await phase('after')) === 'Succeeded')
  })
})
