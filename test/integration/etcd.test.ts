/** etcd's own command line, as Debian's `etcd-client` has it, against a real node: over TLS and over the unix socket. */
import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { freeAddress, installCluster, type TestCluster } from '../support/cluster.ts'
import { type Ran, run } from '../support/kubectl.ts'
import { until } from '../support/until.ts'

const PORT = 12_379
const found = spawnSync('etcdctl', ['version'], { env: { ...process.env, ETCDCTL_API: '3' } }).status === 0
const skip = found ? false : 'etcdctl is not installed (Debian: apt-get install etcd-client)'

describe('etcdctl', { skip }, () => {
  let cluster: TestCluster
  let endpoint = ''

  before(async () => {
    const address = freeAddress()
    endpoint = `https://${address}:${PORT}`
    cluster = await installCluster({ address, args: ['--etcd-listen', `${address}:${PORT}`] })
  })
  after(() => cluster?.remove())

  const pki = (name: string) => join(cluster.dataDir, 'pki', name)
  const flagsOf = (who: string) => [
    ...['--endpoints', endpoint, '--cacert', pki('cluster-ca.crt')],
    ...['--cert', pki(`${who}.crt`), '--key', pki(`${who}.key`), '--command-timeout', '60s'],
  ]
  const environment = { ETCDCTL_API: '3' }
  const etcdctl = (args: readonly string[], input?: string): Promise<Ran> =>
    run('etcdctl', [...flagsOf('admin'), ...args], {
      env: environment,
      ...(input === undefined ? {} : { input }),
    })

  async function says(args: readonly string[], input?: string): Promise<string> {
    const { code, stdout, stderr } = await etcdctl(args, input)
    assert.equal(code, 0, stderr)
    return stdout.trim()
  }

  async function fails(args: readonly string[]): Promise<string> {
    const { code, stderr } = await etcdctl(args)
    assert.notEqual(code, 0)
    return stderr
  }

  const revision = async () => {
    const status = JSON.parse(await says(['endpoint', 'status', '-w', 'json']))
    return status[0].Status.header.revision as number
  }

  test('puts, gets and deletes keys', async () => {
    assert.equal(await says(['put', '/t/a', 'one']), 'OK')
    assert.equal(await says(['put', '/t/a', 'two', '--prev-kv']), 'OK\n/t/a\none')
    await says(['put', '/t/b', 'b'])
    assert.equal(await says(['get', '/t/', '--prefix']), '/t/a\ntwo\n/t/b\nb')
    const descending = ['get', '/t/', '--prefix', '--order', 'DESCEND', '--limit', '1', '--keys-only']
    assert.equal(await says(descending), '/t/b')
    assert.equal(await says(['get', '/t/a', '/t/b', '--print-value-only']), 'two')
    assert.equal(await says(['del', '/t/', '--prefix', '--prev-kv']), '2\n/t/a\ntwo\n/t/b\nb')
    assert.equal(await says(['get', '/t/', '--prefix']), '')
    await says(['put', '/t/large'], 'x'.repeat(1_000_000))
    assert.equal((await says(['get', '/t/large', '--print-value-only'])).length, 1_000_000)
    assert.match(await fails(['put', '/t/x', '--ignore-value']), /key not found/)
  })

  test('carries out transactions', async () => {
    const create = 'mod("/x/a") = "0"\n\nput /x/a 1\nget /x/a\n\nget /x/a\n\n'
    assert.equal(await says(['txn'], create), 'SUCCESS\n\nOK\n\n/x/a\n1')
    assert.equal(await says(['txn'], create), 'FAILURE\n\n/x/a\n1')
    const swap = 'value("/x/a") = "1"\nversion("/x/a") < "2"\n\nput /x/a 2\ndel /x/b\n\n\n'
    assert.match(await says(['txn'], swap), /^SUCCESS/)
    assert.match(await says(['txn'], swap), /^FAILURE/)
  })

  test('watches from a revision, and begins again after a compaction', async () => {
    await says(['put', '/w/a', '1'])
    const first = await revision()
    await says(['put', '/w/a', '2'])
    await says(['put', '/w/a', '3'])
    const watching = async (from: number, until_: RegExp): Promise<string> => {
      const args = [...flagsOf('admin'), 'watch', '/w/a', '--rev', String(from)]
      const child = spawn('etcdctl', args, { env: { ...process.env, ...environment } })
      let output = ''
      child.stdout.on('data', chunk => {
        output += chunk
      })
      child.stderr.on('data', chunk => {
        output += chunk
      })
      try {
        return await until('the watch has shown it', () => (until_.test(output) ? output : false))
      } finally {
        child.kill()
      }
    }
    assert.match(await watching(first, /3\n$/), /1\nPUT\n\/w\/a\n2\nPUT\n\/w\/a\n3\n$/)
    const compacted = await revision()
    await says(['compaction', String(compacted)])
    assert.match(await fails(['get', '/w/a', '--rev', String(first)]), /revision has been compacted/)
    assert.match(await watching(first, /compacted/), /required revision has been compacted/)
    await says(['put', '/w/a', '4'])
    assert.match(await watching(compacted + 1, /4\n$/), /PUT\n\/w\/a\n4\n$/)
  })

  test('grants leases that take their keys along', async () => {
    const granted = /lease (\w+) granted with TTL\((\d+)s\)/.exec(await says(['lease', 'grant', '2']))
    const id = granted?.[1] ?? ''
    await says(['put', '/l/a', 'x', '--lease', id])
    assert.match(
      await says(['lease', 'timetolive', id, '--keys']),
      /granted with TTL\(2s\).*attached keys\(\[\/l\/a\]\)/,
    )
    assert.match(await says(['lease', 'list']), new RegExp(id))
    assert.match(await says(['lease', 'keep-alive', id, '--once']), /keepalived with TTL\(2\)/)
    await until('the lease is over', async () => (await says(['get', '/l/a'])) === '')
    assert.match(await says(['lease', 'timetolive', id]), /already expired/)
    assert.match(await fails(['lease', 'revoke', id]), /requested lease not found/)
  })

  test('locks and elects, as programs built on etcd do', async () => {
    assert.match(await says(['lock', '/locks/one', 'echo', 'held']), /held/)
    const contenders = Array.from({ length: 4 }, () => says(['lock', '/locks/two', 'echo', 'held']))
    for (const outcome of await Promise.all(contenders)) assert.match(outcome, /held/)
  })

  test('shows members, health and alarms, and the keys of the cluster', async () => {
    assert.match((await etcdctl(['endpoint', 'health'])).stderr, /is healthy: successfully committed/)
    assert.match(await says(['member', 'list']), /started, node-1, https:/)
    assert.equal(await says(['alarm', 'list']), '')
    assert.match(await says(['defrag']), /Finished/)
    assert.match(await says(['endpoint', 'hashkv']), /, \d+$/)
    assert.match(await fails(['member', 'add', 'x', '--peer-urls', 'http://10.0.0.1:1']), /mk8s join/)
    assert.match(await fails(['snapshot', 'save', join(cluster.dataDir, 'x.db')]), /SQLite/)
    const keys = await says(['get', '/registry/core/namespaces/', '--prefix', '--keys-only'])
    assert.match(keys, /\/registry\/core\/namespaces\/default/)
    assert.match(await fails(['put', '/registry/core/namespaces/default', 'nonsense']), /format byte/)
  })

  test('lets nobody in but administrators', async context => {
    if (spawnSync('openssl', ['version']).status !== 0) return context.skip('openssl is not installed')
    const [key, request, certificate] = ['eve.key', 'eve.csr', 'eve.crt'].map(pki) as [string, string, string]
    const asked = [
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:P-256',
      '-nodes',
      '-subj',
      '/O=people/CN=eve',
    ]
    await run('openssl', ['req', '-new', ...asked, '-keyout', key, '-out', request])
    const authority = ['-CA', pki('cluster-ca.crt'), '-CAkey', pki('cluster-ca.key'), '-CAcreateserial']
    await run('openssl', ['x509', '-req', '-in', request, ...authority, '-days', '1', '-out', certificate])
    const other = await run('etcdctl', [...flagsOf('eve'), 'get', 'a'], { env: environment })
    assert.match(other.stderr, /permission denied/)
    const nobody = ['--endpoints', endpoint, '--cacert', pki('cluster-ca.crt'), '--command-timeout', '1s']
    const refused = await run('etcdctl', [...nobody, 'get', 'a'], { env: environment })
    assert.notEqual(refused.code, 0)
  })

  test('mk8s datastore looks at the same data', async () => {
    const status = JSON.parse((await cluster.mk8s(['datastore', 'status', '--json'])).stdout)
    assert.ok(status.revision >= (await revision()) - 5)
    assert.equal(status.etcdEndpoint, endpoint)
    assert.match((await cluster.mk8s(['datastore', 'members'])).stdout, /node-1 .* voter +yes/)
    const checked = await cluster.mk8s(['datastore', 'check'])
    assert.deepEqual([checked.code, /all is well/.test(checked.stdout)], [0, true])
    const defragmented = await cluster.mk8s(['datastore', 'defrag', '--json'])
    assert.ok(JSON.parse(defragmented.stdout).afterBytes > 0, defragmented.stderr)
    const compacted = await cluster.mk8s(['datastore', 'compact', '--json'])
    assert.ok(JSON.parse(compacted.stdout).revision >= status.revision)
    assert.match((await cluster.mk8s(['datastore', 'status'])).stdout, /leader: +\w+[\s\S]*flush: +median/)
  })
})
