/** The cluster's DNS as processes that are pods see it: files, names of services, endpoints and pods. */
import assert from 'node:assert/strict'
import { Resolver } from 'node:dns/promises'
import { after, before, describe, test } from 'node:test'
import { mirrorOf } from '../../src/kube/mirror-address.ts'
import { installCluster, type TestCluster } from '../support/cluster.ts'
import { until } from '../support/until.ts'

const isRoot = process.platform === 'linux' && process.geteuid?.() === 0
const WAIT_MS = 120_000

describe('the DNS of a node', { skip: isRoot ? false : 'port 53 of loopback needs root on Linux' }, () => {
  let cluster: TestCluster
  let resolver: Resolver

  const serviceIp = async (name: string, namespace = 'default') =>
    cluster.kubectl.ok(['get', 'service', name, '-n', namespace, '-o', 'jsonpath={.spec.clusterIP}'])

  before(async () => {
    cluster = await installCluster()
    const ip = () => cluster.kubectl.try(['get', 'service', 'kube-dns', '-n', 'kube-system'])
    await until('the service of the DNS is there', async () => (await ip()).code === 0, WAIT_MS)
    resolver = new Resolver({ timeout: 5_000, tries: 2 })
    resolver.setServers([mirrorOf(await serviceIp('kube-dns', 'kube-system'))])
  })
  after(() => cluster.remove())

  test('kube-dns looks as people expect it', async () => {
    const line = await cluster.kubectl.ok(['get', 'service', 'kube-dns', '-n', 'kube-system', '--no-headers'])
    assert.match(line, /^kube-dns +ClusterIP +10\.\d+\.\d+\.10 +<none> +53\/UDP,53\/TCP,9153\/TCP /)
  })

  test('the API is found by its name', async () => {
    const addresses = await resolver.resolve4('kubernetes.default.svc.cluster.local')
    assert.deepEqual(addresses, [mirrorOf(await serviceIp('kubernetes'))])
  })

  test('a new service is found', async () => {
    await cluster.kubectl.ok(['create', 'service', 'clusterip', 'web', '--tcp=80'])
    const found = () => resolver.resolve4('web.default.svc.cluster.local').catch(() => [])
    await until('it is known', async () => (await found()).length === 1, WAIT_MS)
    assert.deepEqual(await found(), [mirrorOf(await serviceIp('web'))])
  })

  test('a process finds services by their short names, and itself by its own', async () => {
    const script =
      'getent ahostsv4 web; getent ahostsv4 kubernetes.default; cat /etc/resolv.conf /etc/hosts; sleep 600'
    await cluster.kubectl.ok(['run', 'asker', '--image=localhost/sh', '--command', '--', 'sh', '-c', script])
    await cluster.kubectl.ok(['wait', '--for=condition=Ready', 'pod/asker', '--timeout=60s'])
    await until(
      'it has asked',
      async () => /asker/.test(await cluster.kubectl.ok(['logs', 'asker'])),
      WAIT_MS,
    )
    const log = await cluster.kubectl.ok(['logs', 'asker'])
    const dns = mirrorOf(await serviceIp('kube-dns', 'kube-system'))
    assert.ok(log.includes(mirrorOf(await serviceIp('web'))), log)
    assert.ok(log.includes(mirrorOf(await serviceIp('kubernetes'))), log)
    assert.match(log, /^search default\.svc\.cluster\.local svc\.cluster\.local cluster\.local/m)
    assert.match(log, new RegExp(`^nameserver ${dns.replaceAll('.', '\\.')}$`, 'm'))
    assert.match(log, /^options ndots:5$/m)
    assert.match(log, /^127\.\d+\.\d+\.\d+\tasker$/m)
  })
  test('other servers are those of the ConfigMap; that they do not answer is said in status and metrics', async () => {
    const data = { upstreamNameservers: '127.0.0.1:1' }
    const metadata = { name: 'mk8s-dns', namespace: 'kube-system' }
    const input = JSON.stringify({ apiVersion: 'v1', kind: 'ConfigMap', metadata, data })
    await cluster.kubectl.ok(['apply', '-f', '-'], { input })
    const status = async () => (await cluster.mk8s(['status'])).stdout
    await until(
      'the problem is told',
      async () => {
        await assert.rejects(resolver.resolve4('example.com'))
        return /none of the upstream servers answers: 127\.0\.0\.1#1$/m.test(await status())
      },
      WAIT_MS,
    )
    // The thread tells its figures from time to time.
    const counted = [
      /^mk8s_dns_forward_failures_total [1-9]/m,
      /^mk8s_dns_requests_total\{protocol="udp"\} [1-9]/m,
    ]
    await until('the metrics have it', async () => {
      const metrics = await cluster.kubectl.ok(['get', '--raw', '/metrics'])
      return counted.every(line => line.test(metrics))
    })
  })

  test('a daemon that was killed knows everything again', async () => {
    const daemon = cluster.daemonPid()
    cluster.signalDaemon('SIGKILL')
    await until('another daemon runs', async () => cluster.daemonPid() !== daemon, WAIT_MS)
    await cluster.ready()
    const found = () => resolver.resolve4('web.default.svc.cluster.local').catch(() => [])
    await until('it answers again', async () => (await found()).length === 1, WAIT_MS)
  })
})
