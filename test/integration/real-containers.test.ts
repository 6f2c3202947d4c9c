/** A whole node with real containers, in a network namespace of its own: from install to nothing left. */
import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { instanceName } from '../../src/host/node-files.ts'
import type { NetworkStatus } from '../../src/runtime/kubelet/networks/network-status.ts'
import { MK8S } from '../support/cluster.ts'
import { NetworkNamespace } from '../support/containerd.ts'
import { RESOURCE, startDevicePlugin } from '../support/device-plugin.ts'
import { type RunOptions, run } from '../support/kubectl.ts'
import { realRuntimes } from '../support/oci.ts'
import { until } from '../support/until.ts'

const IMAGE = 'localhost/test/busybox:1'
const WAIT_MS = 120_000
/** What makes a cluster one of two families. */
const NETWORKS = ['--pod-cidr', '10.1.0.0/16,fd00:1::/48', '--service-cidr', '10.152.183.0/24,fd00:2::/112']
const bin = join(import.meta.dirname, '../../build/bin')

const script = 'mkdir /www; hostname >/www/index.html; echo serving; exec httpd -f -p 8080 -h /www'
const manifest = JSON.stringify({
  apiVersion: 'v1',
  kind: 'List',
  items: [
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name: 'web' },
      spec: {
        replicas: 2,
        selector: { matchLabels: { app: 'web' } },
        template: {
          metadata: { labels: { app: 'web' } },
          spec: {
            terminationGracePeriodSeconds: 1,
            containers: [
              {
                name: 'web',
                image: IMAGE,
                command: ['sh', '-c', script],
                readinessProbe: { httpGet: { port: 8080 }, periodSeconds: 1 },
                resources: { limits: { memory: '64Mi' } },
              },
            ],
          },
        },
      },
    },
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'web' },
      spec: {
        type: 'NodePort',
        ipFamilyPolicy: 'PreferDualStack',
        selector: { app: 'web' },
        ports: [{ port: 80, targetPort: 8080, nodePort: 30080 }],
      },
    },
  ],
})

/** Two pods that are also on a bridge of their own, whose addresses are noted in the directory. */
function several(dataDir: string): object {
  const ipam = { type: 'host-local', dataDir, ranges: [[{ subnet: '10.66.0.0/24' }]] }
  const config = { cniVersion: '1.0.0', type: 'bridge', bridge: 'inner0', ipam }
  const pod = (name: string) => ({
    ...{ apiVersion: 'v1', kind: 'Pod' },
    metadata: {
      ...{ name, labels: { app: 'several' } },
      annotations: { 'k8s.v1.cni.cncf.io/networks': 'inner' },
    },
    spec: { containers: [{ name: 'c', image: IMAGE, command: ['sleep', '3600'] }] },
  })
  const definition = {
    ...{ apiVersion: 'k8s.cni.cncf.io/v1', kind: 'NetworkAttachmentDefinition', metadata: { name: 'inner' } },
    spec: { config: JSON.stringify(config) },
  }
  return { apiVersion: 'v1', kind: 'List', items: [definition, pod('several-1'), pod('several-2')] }
}

const addressesIn = (directory: string): string[] =>
  readdirSync(join(directory, 'inner')).filter(name => /^\d+\./.test(name))

for (const { runtime, why } of realRuntimes()) {
  describe(`a node with ${runtime}`, { skip: why ?? false }, () => {
    let namespace: NetworkNamespace
    let parent = ''
    let dataDir = ''

    const inside = (program: string, args: readonly string[], options: RunOptions = {}) => {
      const [enter, ...words] = namespace.enter
      const env = { MK8S_DATA_DIR: dataDir, PATH: `${process.env.PATH}:${bin}`, ...options.env }
      return run(enter, [...words, program, ...args], { ...options, env })
    }
    const mk8s = async (args: readonly string[], options: RunOptions = {}) => {
      const ran = await inside(MK8S, args, options)
      assert.equal(ran.code, 0, `mk8s ${args.join(' ')}: ${ran.stdout}${ran.stderr}`)
      return ran.stdout
    }
    const kubectl = (args: readonly string[], options: RunOptions = {}) => mk8s(['kubectl', ...args], options)
    const fetch = async (url: string) =>
      (await inside('/bin/busybox', ['timeout', '60', '/bin/busybox', 'wget', '-qO-', url])).stdout.trim()
    const idOf = (file: string) => Number.parseInt(readFileSync(join(dataDir, file), 'utf8'), 10)
    const podIds = async () =>
      (
        await kubectl(['get', 'pods', '-o', 'jsonpath={.items[*].status.containerStatuses[0].containerID}'])
      ).trim()

    before(async () => {
      namespace = new NetworkNamespace('node')
      parent = mkdtempSync(join(tmpdir(), 'mk8s-node-'))
      dataDir = join(parent, 'data')
      const address = ['--bind-address', namespace.address]
      // The other runtime shows a cluster of one family.
      if (runtime === 'oci') namespace.addIpv6()
      const networks = runtime === 'oci' ? NETWORKS : []
      await mk8s(['install', '--runtime', runtime, ...address, ...networks, '--node-name', 'n1'])
    })
    after(async () => {
      if (existsSync(dataDir)) await inside(MK8S, ['uninstall', '--yes'])
      namespace.remove()
      rmSync(parent, { recursive: true, force: true })
    })

    test('the node says that it runs containers, and has what all pods begin with', async () => {
      const chosen = new RegExp(`^runtime: ${runtime} \\(chosen with --runtime\\)$`, 'm')
      assert.match(await mk8s(['status']), chosen)
      const scheme = runtime === 'oci' ? /(?:crun|runc):\/\/\d/ : /containerd:\/\/\d/
      assert.match(await kubectl(['get', 'nodes', '-o', 'wide']), scheme)
      const images = await mk8s(['images', 'list'])
      if (runtime === 'containerd') assert.match(images, /localhost\/mk8s\/pause:1/)
    })

    test('a pod whose image is not there says so and backs off', async () => {
      const overrides = JSON.stringify({ spec: { imagePullSecrets: [{ name: 'unknown' }] } })
      await kubectl(['run', 'absent', `--image=${IMAGE}`, `--overrides=${overrides}`])
      const waiting = 'jsonpath={.status.containerStatuses[0].state.waiting.reason}'
      await until(
        'it backs off',
        async () => (await kubectl(['get', 'pod', 'absent', '-o', waiting])) === 'ImagePullBackOff',
        WAIT_MS,
      )
      const events = await kubectl(['get', 'events', '--field-selector=involvedObject.name=absent'])
      assert.match(
        events,
        /Failed to pull image "localhost\/test\/busybox:1": (?:rpc error: code = \w+ desc = |failed to)/,
      )
      assert.match(events, /Error: ErrImagePull/)
      assert.match(events, /FailedToRetrieveImagePullSecret .*some image pull secrets \(unknown\);/)
      assert.match(events, /BackOff\s+pod\/absent\s+Back-off pulling image "localhost\/test\/busybox:1"/)
      await kubectl(['delete', 'pod', 'absent', '--now'])
    })

    test('an imported image runs, and is reached through the cluster IP and the node port', async () => {
      assert.match(
        await mk8s(['images', 'import', '--busybox', IMAGE]),
        /imported localhost\/test\/busybox:1/,
      )
      await kubectl(['apply', '-f', '-'], { input: manifest })
      await kubectl(['rollout', 'status', 'deployment/web', '--timeout=120s'])
      const clusterIp = await kubectl(['get', 'service', 'web', '-o', 'jsonpath={.spec.clusterIP}'])
      const urls = [`http://${clusterIp}/`, `http://${namespace.address}:30080/`, 'http://127.0.0.1:30080/']
      for (const url of urls) assert.match(await fetch(url), /^web-/, url)
      const fromPod = await kubectl(['exec', 'deployment/web', '--', 'wget', '-qO-', `http://${clusterIp}/`])
      assert.match(fromPod, /^web-/)
      assert.equal(await kubectl(['logs', 'deployment/web']), 'serving\n')
    })

    test('pods, the node and services have as many families as the cluster', async () => {
      const count = runtime === 'oci' ? 2 : 1
      const words = async (kind: string, path: string) =>
        (await kubectl(['get', ...kind.split(' '), '-o', `jsonpath=${path}`])).split(' ')
      const addresses = await words('service web', '{.spec.clusterIPs[*]}')
      assert.equal(addresses.length, count)
      const pod = 'pods -l app=web'
      assert.equal((await words(pod, '{.items[0].status.podIPs[*].ip}')).length, count)
      const families = runtime === 'oci' ? [namespace.address, namespace.address6] : [namespace.address]
      assert.deepEqual(await words(pod, '{.items[0].status.hostIPs[*].ip}'), families)
      const inner = '{.status.addresses[?(@.type=="InternalIP")].address}'
      assert.deepEqual(await words('node n1', inner), families)
      if (runtime !== 'oci') return
      const urls = [`http://[${addresses[1]}]/`, `http://[${namespace.address6}]:30080/`]
      for (const url of urls) assert.match(await fetch(url), /^web-/, url)
      const inPod = (...command: string[]) => kubectl(['exec', 'deployment/web', '--', ...command])
      assert.match(await inPod('wget', '-qO-', urls[0] ?? ''), /^web-/)
      const name = 'web.default.svc.cluster.local'
      assert.ok((await inPod('nslookup', '-type=AAAA', name)).includes(addresses[1] ?? ''), 'AAAA')
      assert.ok((await inPod('nslookup', addresses[1] ?? '')).includes(name), 'PTR')
    })

    test('the figures of the DNS are told at the port of its service', async () => {
      const url = 'http://kube-dns.kube-system:9153/metrics'
      const told = /^mk8s_dns_requests_total\{protocol="udp"\} [1-9]/m
      const ask = () => kubectl(['exec', 'deployment/web', '--', 'wget', '-qO-', url])
      await until('queries to be counted', async () => told.test(await ask()), WAIT_MS)
    })

    test('a service without endpoints refuses at once', async () => {
      await kubectl(['create', 'service', 'clusterip', 'nobody', '--tcp=80'])
      const address = await kubectl(['get', 'service', 'nobody', '-o', 'jsonpath={.spec.clusterIP}'])
      await until(
        'it refuses',
        async () =>
          /refused/.test((await inside('/bin/busybox', ['wget', '-qO-', `http://${address}/`])).stderr),
        WAIT_MS,
      )
    })

    test('with the add-on multus a pod has a second interface', async () => {
      await mk8s(['enable', 'multus', '--timeout', '120'])
      await kubectl(['apply', '-f', '-'], { input: JSON.stringify(several(join(parent, 'ipam'))) })
      await kubectl(['wait', '--for=condition=Ready', 'pod', '-l', 'app=several', '--timeout=120s'])
      const links = await kubectl(['exec', 'several-1', '--', 'ip', 'addr'])
      const annotation = 'jsonpath={.metadata.annotations.k8s\\.v1\\.cni\\.cncf\\.io/network-status}'
      const statusOf = async (name: string) =>
        JSON.parse(await kubectl(['get', 'pod', name, '-o', annotation])) as NetworkStatus[]
      for (const { interface: name, ips = [], mac = '' } of await statusOf('several-1')) {
        assert.match(links, new RegExp(`${name}@[\\s\\S]*${mac}[\\s\\S]*inet6? ${ips[0]}/`))
      }
      const [first, second] = await statusOf('several-2')
      assert.deepEqual([first?.name, first?.default, second?.name], ['mk8s', true, 'default/inner'])
      await kubectl(['exec', 'several-1', '--', 'ping', '-c1', '-W5', second?.ips?.[0] ?? ''])
      await kubectl(['exec', 'several-1', '--', 'ping', '-c1', '-W5', first?.ips?.[0] ?? ''])
      // What runs keeps it.
      await mk8s(['disable', 'multus', '--timeout', '120'])
      assert.match(await kubectl(['get', 'net-attach-def']), /^inner /m)
    })

    test('a pod gets the device of a plugin, and the add-on gpu says what the node has', async () => {
      const plugin = await startDevicePlugin(join(dataDir, 'device-plugins'), {}, { hasCdi: false })
      const command = ['sh', '-c', 'echo has $THINGS; test -c /dev/thing && echo node']
      const limits = { [RESOURCE]: '1' }
      const pod = {
        ...{ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'thing' } },
        spec: {
          restartPolicy: 'Never',
          containers: [{ name: 'c', image: IMAGE, command, resources: { limits } }],
        },
      }
      try {
        await plugin.register()
        await kubectl(['apply', '-f', '-'], { input: JSON.stringify(pod) })
        await kubectl(['wait', '--for=jsonpath={.status.phase}=Succeeded', 'pod/thing', '--timeout', '120s'])
        assert.match(await kubectl(['logs', 'thing']), /^has [ab]\nnode\n$/)
      } finally {
        plugin.stop()
      }
      const said = await mk8s(['enable', 'nvidia', '--timeout', '120'])
      assert.match(said, /core\/gpu is enabled and ready\n +\S+: (no GPU of NVIDIA, AMD, Intel|.*GPU|.*gpu)/)
      assert.match(await kubectl(['get', 'runtimeclass', 'nvidia', '-o', 'jsonpath={.handler}']), /runc/)
      await mk8s(['disable', 'gpu', '--timeout', '120'])
    })

    test('pods go on untouched when the daemon is killed, and containerd', async () => {
      const ids = await podIds()
      const daemon = idOf('run/daemon.pid')
      process.kill(daemon, 'SIGKILL')
      const status = async () => (await inside(MK8S, ['status'])).code === 0
      await until(
        'another daemon is ready',
        async () => idOf('run/daemon.pid') !== daemon && status(),
        WAIT_MS,
      )
      if (runtime === 'containerd') {
        const containerd = idOf('containerd/pid')
        process.kill(containerd, 'SIGKILL')
        await until('another containerd runs', async () => idOf('containerd/pid') !== containerd, WAIT_MS)
      }
      await until('the node is ready', status, WAIT_MS)
      assert.equal(await podIds(), ids)
      assert.match(await fetch('http://127.0.0.1:30080/'), /^web-/)
      // By what was noted before.
      assert.equal(addressesIn(join(parent, 'ipam')).length, 2)
      await kubectl(['delete', 'pod', 'several-1', '--now'])
      assert.equal(addressesIn(join(parent, 'ipam')).length, 1)
    })

    test('uninstall leaves no process, mount, control group or rule behind, even just after containerd ended', async () => {
      if (runtime === 'containerd') process.kill(idOf('containerd/pid'), 'SIGKILL')
      await mk8s(['uninstall', '--yes'])
      assert.equal(existsSync(dataDir), false)
      assert.deepEqual(addressesIn(join(parent, 'ipam')), [])
      assert.deepEqual(programsOf(dataDir), [])
      assert.equal(readFileSync('/proc/self/mounts', 'utf8').includes(dataDir), false)
      const trees = readdirSync('/sys/fs/cgroup').map(name =>
        join('/sys/fs/cgroup', name, instanceName(dataDir)),
      )
      assert.deepEqual(trees.filter(existsSync), [])
      const tables = (await inside('nft', ['list', 'tables'])).stdout
      assert.equal(tables.includes(instanceName(dataDir)), false)
      assert.doesNotMatch((await inside('ip', ['-brief', 'link'])).stdout, /^veth/m)
    })
  })
}

/** Command lines that name something in the directory; a longer text that mentions it is somebody else's. */
function programsOf(directory: string): string[] {
  const ids = readdirSync('/proc').filter(name => /^\d+$/.test(name))
  return ids.flatMap(id => {
    try {
      const words = readFileSync(`/proc/${id}/cmdline`, 'utf8').split('\0')
      return words.some(word => word.startsWith(directory)) ? [words.join(' ')] : []
    } catch {
      return []
    }
  })
}
