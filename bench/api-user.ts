/**
 * Credentials of ordinary users for the benchmarks: a client certificate without groups, bound to `cluster-admin`.
 * The administrator's own certificate would pass by priority and fairness.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { systemRandom } from '../src/base/random.ts'
import { generateKey, issueLeaf } from '../src/runtime/pki/issue.ts'
import { credentialsOf } from '../test/support/api.ts'
import type { TestCluster } from '../test/support/cluster.ts'
import type { Endpoint } from './api-connection.ts'

const VALID_MS = 86_400_000

export async function ordinaryUser(cluster: TestCluster, name: string): Promise<Endpoint> {
  const { server, ca } = credentialsOf(cluster.kubeconfig)
  const { hostname: host, port } = new URL(server)
  const file = (ending: string) => readFileSync(join(cluster.dataDir, `pki/cluster-ca.${ending}`), 'utf8')
  const key = generateKey()
  const now = Date.now()
  const cert = await issueLeaf(
    {
      ...{ name: 'admin', authority: 'cluster-ca', commonName: name, usages: ['client'] },
      ...{ dnsNames: [], ipAddresses: [], uris: [] },
    },
    {
      authority: { certificate: file('crt'), key: file('key') },
      key,
      validity: { notBefore: new Date(now - VALID_MS), notAfter: new Date(now + VALID_MS) },
      random: systemRandom,
    },
  )
  const binding = ['create', 'clusterrolebinding', `bench-${name}`, '--clusterrole=cluster-admin']
  // Also for whoever was bound before.
  await cluster.kubectl.try([...binding, `--user=${name}`])
  return { host, port: Number(port), ca: ca.toString(), cert, key }
}
