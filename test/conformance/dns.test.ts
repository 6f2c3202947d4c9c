/** sig-network and sig-node behaviours of DNS, seen from inside pods: real containers, with busybox' own resolver. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { MK8S } from '../support/cluster.ts'
import { NetworkNamespace, whyNoContainers } from '../support/containerd.ts'
import { type RunOptions, run } from '../support/kubectl.ts'
import { until } from '../support/until.ts'

const IMAGE = 'localhost/test/busybox:1'
const WAIT_MS = 120_000
const bin = join(import.meta.dirname, '../../build/bin')
const sleeping = [{ name: 'c', image: IMAGE, command: ['sleep', '3600'] }]
const ports = [{ name: 'http', port: 80, protocol: 'TCP' }]

interface Spec {
  readonly [field: string]: unknown
}

const pod = (name: string, spec: Spec = {}, labels: Record<string, string> = {}) => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, labels },
  spec: { containers: sleeping, terminationGracePeriodSeconds: 0, ...spec },
})
const service = (name: string, spec: Spec) => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name },
  spec,
})

const objects = [
  pod('asker'),
  pod('member', { hostname: 'first', subdomain: 'team' }, { app: 'team' }),
  pod('full', { hostname: 'second', subdomain: 'team', setHostnameAsFQDN: true }, { app: 'team' }),
  service('team', { clusterIP: 'None', selector: { app: 'team' }, ports }),
  service('usual', { selector: { app: 'team' }, ports }),
  service('outside', { type: 'ExternalName', externalName: 'usual.default.svc.cluster.local' }),
  pod('own', {
    dnsPolicy: 'None',
    dnsConfig: {
      nameservers: ['1.1.1.1'],
      searches: ['resolv.conf.local'],
      options: [{ name: 'ndots', value: '2' }],
    },
  }),
  pod('known', { hostAliases: [{ ip: '123.45.67.89', hostnames: ['foo', 'bar'] }] }),
  pod('inherits', { dnsPolicy: 'Default' }),
]

describe('DNS', { skip: whyNoContainers() ?? false }, () => {
  let namespace: NetworkNamespace
  let parent = ''

  const mk8s = async (args: readonly string[], options: RunOptions = {}) => {
    const [enter, ...words] = namespace.enter
    const env = { MK8S_DATA_DIR: join(parent, 'data'), PATH: `${process.env['PATH']}:${bin}` }
    return run(enter, [...words, MK8S, ...args], { ...options, env })
  }
  const kubectl = async (args: readonly string[], options: RunOptions = {}) => {
    const ran = await mk8s(['kubectl', ...args], options)
    assert.equal(ran.code, 0, `kubectl ${args.join(' ')}: ${ran.stdout}${ran.stderr}`)
    return ran.stdout
  }
  const inside = (name: string, ...command: string[]) => kubectl(['exec', name, '--', ...command])
  const fieldOf = (object: string, path: string) => kubectl(['get', object, '-o', `jsonpath={${path}}`])
  /** What a pod is told of a name; the server's own address stands above it. */
  const found = async (name: string, type: 'a' | 'cname' | 'srv' = 'a') => {
    const ran = await mk8s(['kubectl', 'exec', 'asker', '--', 'nslookup', `-type=${type}`, name])
    const [, answer = ''] = ran.stdout.split(/\n\n/)
    const lines = answer.split('\n')
    const wanted = { a: /^Address: (.*)$/, cname: /canonical name = (.*)$/, srv: /service = (.*)$/ }[type]
    return lines.flatMap(line => wanted.exec(line)?.[1] ?? [])
  }
  const resolves = (name: string, wanted: readonly string[]) =>
    until(
      `${name} is ${wanted.join()}`,
      async () => (await found(name)).toSorted().join() === wanted.toSorted().join(),
      WAIT_MS,
    )

  before(async () => {
    namespace = new NetworkNamespace('dns')
    parent = mkdtempSync(join(tmpdir(), 'mk8s-dns-'))
    const where = ['--bind-address', namespace.address, '--node-name', 'n1']
    const installed = await mk8s(['install', '--runtime', 'containerd', ...where])
    assert.equal(installed.code, 0, installed.stderr)
    await mk8s(['images', 'import', '--busybox', IMAGE])
    await kubectl(['apply', '-f', '-'], {
      input: JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects }),
    })
    await kubectl(['wait', '--for=condition=Ready', 'pod', '--all', '--timeout=120s'])
  })
  after(async () => {
    await mk8s(['uninstall', '--yes'])
    namespace.remove()
    rmSync(parent, { recursive: true, force: true })
  })

  test('DNS should provide DNS for the cluster', async () => {
    const address = await kubectl(['get', 'service', 'kubernetes', '-o', 'jsonpath={.spec.clusterIP}'])
    await resolves('kubernetes.default.svc.cluster.local', [address])
    assert.match(await inside('asker', 'cat', '/etc/resolv.conf'), /^nameserver 10\.152\.183\.10$/m)
  })

  test('the Service of the DNS shows where each node has its own', async () => {
    const slices = ['-n', 'kube-system', 'get', 'endpointslices', '-l', 'kubernetes.io/service-name=kube-dns']
    const shown = '{.items[*].endpoints[*].nodeName} {.items[*].endpoints[*].conditions.ready}'
    await until(
      'its endpoint',
      async () => (await kubectl([...slices, '-o', `jsonpath=${shown}`])) === 'n1 true',
      WAIT_MS,
    )
  })

  test('DNS should provide DNS for services', async () => {
    const address = await fieldOf('service/usual', '.spec.clusterIP')
    const pods = await Promise.all(['member', 'full'].map(name => fieldOf(`pod/${name}`, '.status.podIP')))
    await resolves('usual.default.svc.cluster.local', [address])
    await resolves('team.default.svc.cluster.local', pods)
    const [record = ''] = await found('_http._tcp.usual.default.svc.cluster.local', 'srv')
    assert.match(record, /^0 100 80 usual\.default\.svc\.cluster\.local$/)
    const records = await found('_http._tcp.team.default.svc.cluster.local', 'srv')
    assert.deepEqual(
      records.toSorted(),
      ['first', 'second'].map(name => `0 50 80 ${name}.team.default.svc.cluster.local`),
    )
    const reverse = await inside('asker', 'nslookup', address)
    assert.match(reverse, /name = usual\.default\.svc\.cluster\.local/)
  })

  test('DNS should resolve DNS of partial qualified names for services', async () => {
    const address = await fieldOf('service/usual', '.spec.clusterIP')
    for (const name of ['usual', 'usual.default', 'usual.default.svc']) {
      const ran = await inside('asker', 'ping', '-c', '1', '-W', '1', name).catch(
        (error: Error) => error.message,
      )
      assert.ok(ran.includes(`(${address})`), `${name}: ${ran}`)
    }
  })

  test('DNS should provide DNS for pods for Hostname', async () => {
    const address = await fieldOf('pod/member', '.status.podIP')
    assert.equal((await inside('member', 'hostname')).trim(), 'first')
    await resolves('first.team.default.svc.cluster.local', [address])
    assert.match(await inside('member', 'cat', '/etc/hosts'), new RegExp(`^${address}\t.*\tfirst$`, 'm'))
  })

  test('DNS should provide DNS for pods for Subdomain', async () => {
    const address = await fieldOf('pod/member', '.status.podIP')
    assert.equal((await inside('member', 'hostname', '-f')).trim(), 'first.team.default.svc.cluster.local')
    assert.ok((await found('team.default.svc.cluster.local')).includes(address))
    await resolves(`${address.replaceAll('.', '-')}.default.pod.cluster.local`, [address])
  })

  test('a pod with setHostnameAsFQDN has its whole name as its host name', async () => {
    assert.equal((await inside('full', 'hostname')).trim(), 'second.team.default.svc.cluster.local')
  })

  test('DNS should provide /etc/hosts entries for the cluster', async () => {
    const address = await fieldOf('pod/member', '.status.podIP')
    const hosts = await inside('member', 'cat', '/etc/hosts')
    assert.ok(hosts.includes(`${address}\tfirst.team.default.svc.cluster.local\tfirst\n`), hosts)
  })

  test('DNS should provide DNS for ExternalName services', async () => {
    const address = await fieldOf('service/usual', '.spec.clusterIP')
    const name = 'outside.default.svc.cluster.local'
    assert.deepEqual(await found(name, 'cname'), ['usual.default.svc.cluster.local'])
    await resolves(name, [address])
    const patch = (spec: Spec) => kubectl(['patch', 'service', 'outside', '-p', JSON.stringify({ spec })])
    await patch({ externalName: 'kubernetes.default.svc.cluster.local' })
    await resolves(name, [await fieldOf('service/kubernetes', '.spec.clusterIP')])
    await patch({ type: 'ClusterIP', externalName: null, ports })
    await resolves(name, [await fieldOf('service/outside', '.spec.clusterIP')])
  })

  test('DNS should support configurable pod DNS nameservers', async () => {
    const wanted = 'search resolv.conf.local\nnameserver 1.1.1.1\noptions ndots:2\n'
    assert.equal(await inside('own', 'cat', '/etc/resolv.conf'), wanted)
  })

  test('a pod with hostAliases should have them in /etc/hosts; one with dnsPolicy Default the resolver of the node', async () => {
    assert.match(await inside('known', 'cat', '/etc/hosts'), /^123\.45\.67\.89\tfoo\tbar$/m)
    assert.doesNotMatch(await inside('inherits', 'cat', '/etc/resolv.conf'), /10\.152\.183\.10/)
  })
})
