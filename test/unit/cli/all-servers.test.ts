/** One kubeconfig for all servers of the cluster. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { addServers } from '../../../src/cli/all-servers.ts'

test('each further server is a cluster and a context of its own, for the same user', () => {
  const user = { name: 'admin', user: { 'client-certificate-data': 'c', 'client-key-data': 'k' } }
  const own = { server: 'https://10.0.0.1:16443', 'certificate-authority-data': 'ca' }
  const config = {
    clusters: [{ name: 'mk8s', cluster: own }],
    contexts: [{ name: 'mk8s', context: { cluster: 'mk8s', user: 'admin' } }],
    users: [user],
    'current-context': 'mk8s',
  }
  const all = addServers(config, [own.server, 'https://10.0.0.2:16443', 'https://[fd00::3]:16443'])
  assert.deepEqual(
    all.clusters.map(({ name, cluster }) => [name, cluster.server, cluster['certificate-authority-data']]),
    [
      ['mk8s', own.server, 'ca'],
      ['mk8s-10.0.0.2', 'https://10.0.0.2:16443', 'ca'],
      ['mk8s-[fd00::3]', 'https://[fd00::3]:16443', 'ca'],
    ],
  )
  assert.deepEqual(
    all.contexts.map(({ name, context }) => [name, context.cluster, context.user]),
    all.clusters.map(({ name }) => [name, name, 'admin']),
  )
  assert.equal(all['current-context'], 'mk8s')
  assert.deepEqual(addServers(all, [own.server]), all)
})
