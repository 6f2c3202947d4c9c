/** A node's life from the command line, and what goes wrong with it: one clear error and a non-zero exit each. */
import assert from 'node:assert/strict'
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import test, { after, before, describe } from 'node:test'
import { connect } from 'node:tls'
import { systemRandom } from '../../src/base/random.ts'
import { generateKey, issueLeaf } from '../../src/runtime/pki/issue.ts'
import {
  freeAddress,
  installCluster,
  MK8S,
  type TestCluster,
  temporaryDirectory,
} from '../support/cluster.ts'
import { NetworkNamespace, whyNoNamespace } from '../support/containerd.ts'
import { KUBECTL, kubectlFor, run } from '../support/kubectl.ts'
import { until } from '../support/until.ts'

describe('the life of a node', () => {
  let cluster: TestCluster
  before(async () => {
    cluster = await installCluster()
  })
  after(() => cluster.remove())

  test('a second install says that it is installed and changes nothing', async () => {
    const pid = cluster.daemonPid()
    const again = await cluster.mk8s(['install', '--bind-address', cluster.address, '--node-name', 'node-1'])
    assert.equal(again.code, 0, again.stderr)
    assert.match(again.stdout, /already installed/)
    assert.equal(cluster.daemonPid(), pid)
  })

  test('a repair that makes a certificate anew restarts the daemon, and leaves the pods alone', async () => {
    const pod =
      '{"apiVersion":"v1","kind":"Pod","metadata":{"name":"steady"},"spec":{"containers":[{"name":"c","image":"i","command":["sleep","600"]}]}}'
    await cluster.kubectl.ok(['create', '-f', '-'], { input: pod })
    await cluster.kubectl.ok(['wait', '--for=condition=Ready', 'pod/steady', '--timeout=120s'])
    const startedAt = () =>
      cluster.kubectl.ok([
        'get',
        'pod',
        'steady',
        '-o',
        'jsonpath={.status.containerStatuses[0].containerID}',
      ])
    const [pid, before] = [cluster.daemonPid(), await startedAt()]
    const certificate = join(cluster.dataDir, 'pki/apiserver.crt')
    for (const end of ['crt', 'key']) rmSync(join(cluster.dataDir, `pki/apiserver.${end}`))
    const repaired = await cluster.mk8s(['install'])
    assert.equal(repaired.code, 0, repaired.stderr)
    assert.match(repaired.stdout, /certificates[\s\S]*start the running daemon again/)
    assert.notEqual(cluster.daemonPid(), pid)
    const [newest = 'none'] = readFileSync(certificate, 'utf8').split('-----END')
    assert.equal(await servedCertificate(cluster.address), newest.replaceAll(/-----BEGIN.*|\s/g, ''))
    assert.equal(await startedAt(), before)
    await cluster.kubectl.ok(['delete', 'pod', 'steady', '--grace-period=1'])
  })

  test('the cluster is managed from a machine that is no node', async () => {
    const home = temporaryDirectory()
    const env = { MK8S_DATA_DIR: join(home, 'none'), XDG_CONFIG_HOME: home }
    const away = (args: string[], input?: string) => run(MK8S, args, { env, ...(input && { input }) })
    const kubeconfig = (await cluster.mk8s(['config', '--all-servers'])).stdout
    const elsewhere = kubeconfig.replace(cluster.address, '127.255.255.254')
    const refused = await away(['cluster', 'add', 'shop', '--from', '-'], elsewhere)
    assert.match(refused.stderr, /cannot be reached[\s\S]*--no-check/)
    assert.deepEqual(existsSync(join(home, 'mk8s')), false)
    const added = await away(['cluster', 'add', 'shop', '--from', '-'], kubeconfig)
    assert.equal(added.code, 0, added.stderr)
    assert.match((await away(['--cluster', 'shop', 'kubectl', 'get', 'nodes'])).stdout, /node-1 +Ready/)
    const status = await away(['status', '--cluster', 'shop', '--wait-ready'])
    assert.match(status.stdout, /^mk8s is running$/m, status.stderr)
    assert.equal((await away(['status'])).code, 4)
    assert.equal((await away(['cluster', 'use', 'shop'])).code, 0)
    assert.match((await away(['addons', 'list'])).stdout, /^dns /m)
    assert.match((await away(['registry', 'list'])).stdout, /nothing is configured/)
    assert.doesNotMatch((await away(['config'])).stdout, /client-key/)
    assert.match((await away(['config', '--embed'])).stdout, /client-key/)
    assert.match((await away(['cluster', 'list'])).stdout, /\* +shop +https:/)
    assert.equal((await away(['cluster', 'remove', 'shop'])).code, 0)
    assert.equal((await away(['kubectl', 'get', 'nodes'])).code, 4)
  })

  test('a kept certificate is renewed in the last third of its life, and a passphrase is asked for', async () => {
    const home = temporaryDirectory()
    const env = { XDG_CONFIG_HOME: home, XDG_CACHE_HOME: home, DBUS_SESSION_BUS_ADDRESS: 'none:' }
    const away = (args: readonly string[], input = '') => run(MK8S, args, { env, input })
    const old = await administratorUntil(cluster, 60)
    const kubeconfig = join(home, 'kubeconfig')
    const kept = await away(['config', '--keychain', '--from', '-'], old)
    assert.equal(kept.code, 0, kept.stderr)
    writeFileSync(kubeconfig, kept.stdout, { mode: 0o600 })
    const [name = ''] = readdirSync(join(home, 'mk8s/credentials'))
    const credential = ['credential', name.replace('.json', '')]
    const daysLeft = async () => {
      const { stdout } = await away(credential)
      const { status } = JSON.parse(stdout)
      return (Date.parse(status.expirationTimestamp) - Date.now()) / 86_400_000
    }
    assert.ok((await daysLeft()) < 61)
    const nodes = await run(KUBECTL, ['--kubeconfig', kubeconfig, 'get', 'nodes'], { env })
    assert.match(nodes.stdout, /node-1 +Ready/, nodes.stderr)
    assert.ok((await daysLeft()) > 300)
    const again = await run(KUBECTL, ['--kubeconfig', kubeconfig, 'auth', 'whoami'], { env })
    assert.match(again.stdout, /kubernetes-admin[\s\S]*system:masters/, again.stderr)
    const requests = await cluster.kubectl.ok(['get', 'csr'])
    assert.match(
      requests,
      /administrator-\S+ +\S+ +mk8s\.io\/administrator +kubernetes-admin .*Approved,Issued/,
    )

    // Behind a terminal of its own.
    const typed = (args: readonly string[], input: string) =>
      run('script', ['-qec', [MK8S, ...args].join(' '), '/dev/null'], { env, input })
    if ((await run('sh', ['-c', 'command -v script'])).code !== 0) return
    const source = join(home, 'old')
    writeFileSync(source, old, { mode: 0o600 })
    const keep = ['config', '--keychain', '--passphrase', '--from', source]
    assert.match((await typed(keep, 'one\rtwo\r')).stdout, /two different passphrases/)
    assert.match((await typed(keep, 'right\rright\r')).stdout, /encrypted under the passphrase/)
    assert.match((await typed(credential, 'wrong\r')).stdout, /cannot be opened/)
    const opened = (await typed(credential, 'right\r')).stdout
    assert.match(opened, /clientKeyData/)
    const nobody = await run('setsid', [MK8S, ...credential], { env })
    assert.match(nobody.stderr, /needs a passphrase/)
    rmSync(home, { recursive: true })
  })

  test('an install with other settings is refused', async () => {
    const other = await cluster.mk8s(['install', '--node-name', 'node-2'])
    assert.equal(other.code, 6)
    assert.match(other.stderr, /already installed[\s\S]*node-1/)
  })

  test('status tells the same in every format', async () => {
    const pretty = await cluster.mk8s(['status'])
    assert.equal(pretty.code, 0, pretty.stderr)
    assert.match(pretty.stdout, /^mk8s is running$/m)
    assert.match(pretty.stdout, /^high-availability: no/m)
    assert.match(pretty.stdout, new RegExp(`datastore master nodes: ${cluster.address}:19001`))
    const json = JSON.parse((await cluster.mk8s(['status', '--format', 'json'])).stdout)
    assert.equal(json.ready, true)
    assert.equal(json.node.name, 'node-1')
    const yaml = await cluster.mk8s(['status', '--format', 'yaml'])
    assert.match(yaml.stdout, /running: true/i)
    assert.equal((await cluster.mk8s(['status', '--format', 'short'])).code, 0)
    assert.equal((await cluster.mk8s(['status', '--wait-ready', '--timeout', '120'])).code, 0)
  })

  test('kubectl is passed through with the right kubeconfig, and config prints it', async () => {
    const env = { PATH: `${process.env.PATH}:${join(import.meta.dirname, '../../build/bin')}` }
    const nodes = await cluster.mk8s(['kubectl', 'get', 'nodes', '-o', 'name'], { env })
    assert.equal(nodes.stdout, 'node/node-1\n', nodes.stderr)
    const failing = await cluster.mk8s(['kubectl', 'get', 'nothing-such'], { env })
    assert.equal(failing.code, 1)
    const config = await cluster.mk8s(['config'])
    assert.match(config.stdout, new RegExp(`server: https://${cluster.address}:16443`))
    // The node's address is a loopback one already.
    assert.equal((await cluster.mk8s(['config', '-l'])).stdout, config.stdout)
  })

  test('secrets are readable by root alone', () => {
    for (const file of ['admin.kubeconfig', 'config.yaml', 'pki/cluster-ca.key', 'pki/service-account.key']) {
      assert.equal(statSync(join(cluster.dataDir, file)).mode & 0o077, 0, file)
    }
  })

  test('a second daemon on the same directory is refused and harms nothing', async () => {
    const second = await run(MK8S, ['daemon', '--data-dir', cluster.dataDir])
    assert.notEqual(second.code, 0)
    assert.match(second.stderr + second.stdout, /another process|already/i)
    assert.equal((await cluster.mk8s(['status'])).code, 0)
  })

  test('stop ends everything, status says so with 4, start brings it back', async () => {
    const command = ['sleep', `9${process.pid}`]
    const spec = { containers: [{ name: 'c', image: 'i', command }] }
    const pod = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'p' }, spec }
    await cluster.kubectl.ok(['create', '-f', '-'], { input: JSON.stringify(pod) })
    await cluster.kubectl.ok(['wait', '--for=condition=Ready', 'pod/p', '--timeout=120s'])
    const stopped = await cluster.mk8s(['stop'])
    assert.equal(stopped.code, 0, stopped.stderr)
    const processes = await run('sh', ['-c', 'cat /proc/[0-9]*/cmdline 2>/dev/null | tr "\\0" " "'])
    assert.equal(processes.stdout.includes(command.join(' ')), false)
    const status = await cluster.mk8s(['status'])
    assert.equal(status.code, 4)
    assert.match(status.stdout + status.stderr, /mk8s is not running/)
    const started = await cluster.mk8s(['start'])
    assert.equal(started.code, 0, started.stderr)
    await until('the pod runs again', async () => {
      const ready = '{.status.conditions[?(@.type=="Ready")].status}'
      return (await cluster.kubectl.try(['get', 'pod', 'p', '-o', `jsonpath=${ready}`])).stdout === 'True'
    })
  })

  test('a corrupted configuration file is one clear error', async () => {
    const file = join(cluster.dataDir, 'config.yaml')
    const good = readFileSync(file, 'utf8')
    await cluster.mk8s(['stop'])
    appendFileSync(file, '\n  : [unclosed\n')
    const broken = await cluster.mk8s(['start'])
    assert.notEqual(broken.code, 0)
    assert.match(broken.stderr, /config\.yaml/)
    assert.match(broken.stderr, /code\s+config\//)
    writeFileSync(file, good)
    assert.equal((await cluster.mk8s(['start'])).code, 0)
  })

  test('reset gives an empty cluster', async () => {
    await cluster.kubectl.ok(['create', 'configmap', 'old'])
    const reset = await cluster.mk8s(['reset', '--yes'])
    assert.equal(reset.code, 0, reset.stderr)
    assert.equal((await cluster.kubectl.try(['get', 'configmap', 'old'])).code, 1)
    assert.match(await cluster.kubectl.ok(['get', 'nodes']), /node-1\s+Ready/)
  })

  test('uninstall leaves nothing behind', async () => {
    const removed = await cluster.mk8s(['uninstall', '--yes'])
    assert.equal(removed.code, 0, removed.stderr)
    assert.equal(existsSync(cluster.dataDir), false)
    const processes = await run('sh', ['-c', 'cat /proc/[0-9]*/cmdline 2>/dev/null | tr "\\0" " "'])
    assert.equal(processes.stdout.includes(cluster.dataDir), false)
    const again = await cluster.mk8s(['uninstall', '--yes'])
    assert.equal(again.code, 0, again.stderr)
  })
})

const noNamespace = { skip: whyNoNamespace() ?? false }

test('a node with an address of its own is reached on loopback too', noNamespace, async () => {
  const namespace = new NetworkNamespace('own')
  const { address, enter } = namespace
  try {
    const cluster = await installCluster({ address, enter })
    try {
      const { stdout } = await cluster.mk8s(['config', '-l'])
      assert.match(stdout, /server: https:\/\/127\.0\.0\.1:16443/)
      const kubeconfig = join(cluster.dataDir, 'loopback.kubeconfig')
      writeFileSync(kubeconfig, stdout, { mode: 0o600 })
      const onLoopback = kubectlFor(kubeconfig, KUBECTL, enter)
      assert.equal(await onLoopback.ok(['get', 'nodes', '-o', 'name']), 'node/node-1\n')
      await cluster.kubectl.ok(['get', 'nodes'])
    } finally {
      await cluster.remove()
    }
  } finally {
    namespace.remove()
  }
})

/** The kubeconfig with a certificate of the administrator that is good for so many days more, after a long life. */
async function administratorUntil({ dataDir, kubeconfig }: TestCluster, days: number): Promise<string> {
  const file = (name: string) => readFileSync(join(dataDir, 'pki', name), 'utf8')
  const key = generateKey()
  const day = 86_400_000
  const certificate = await issueLeaf(
    {
      ...({ name: 'admin', authority: 'cluster-ca', commonName: 'kubernetes-admin' } as const),
      ...{ organization: 'system:masters', usages: ['client'], dnsNames: [], ipAddresses: [], uris: [] },
    },
    {
      authority: { certificate: file('cluster-ca.crt'), key: file('cluster-ca.key') },
      validity: { notBefore: new Date(Date.now() - 300 * day), notAfter: new Date(Date.now() + days * day) },
      ...{ key, random: systemRandom },
    },
  )
  const base64 = (pem: string) => Buffer.from(pem).toString('base64')
  return readFileSync(kubeconfig, 'utf8')
    .replace(/client-certificate-data: .*/, `client-certificate-data: ${base64(certificate)}`)
    .replace(/client-key-data: .*/, `client-key-data: ${base64(key)}`)
}

/** The certificate that the API server shows, in base64. */
const servedCertificate = (host: string) =>
  new Promise<string>((resolve, reject) => {
    const socket = connect({ host, port: 16443, rejectUnauthorized: false }, () => {
      resolve(socket.getPeerCertificate().raw.toString('base64'))
      socket.destroy()
    })
    socket.on('error', reject)
  })

describe('what stands in the way of an install', () => {
  const directory = temporaryDirectory()
  after(() => rmSync(directory, { recursive: true, force: true }))
  const install = (dataDir: string, address: string, ...args: string[]) =>
    run(MK8S, ['install', '--data-dir', dataDir, '--bind-address', address, '--runtime', 'process', ...args])

  test('a taken port is named, and nothing is made', async () => {
    const address = freeAddress()
    const server = createServer()
    await new Promise<void>(resolve => server.listen(16443, address, resolve))
    const refused = await install(join(directory, 'taken'), address)
    server.close()
    assert.equal(refused.code, 6, refused.stderr)
    assert.match(refused.stderr, /16443/)
    assert.equal(existsSync(join(directory, 'taken')), false)
  })

  test('of two installs at once one is refused; an interrupted one is taken up', async () => {
    const [dataDir, address] = [join(directory, 'twice'), freeAddress()]
    mkdirSync(join(dataDir, 'run'), { recursive: true })
    const both = await Promise.all([1, 2].map(() => install(dataDir, address)))
    assert.deepEqual(both.map(({ code }) => code).sort(), [0, 6], both.map(({ stderr }) => stderr).join())
    assert.equal((await run(MK8S, ['status', '--data-dir', dataDir])).code, 0)
    assert.equal((await run(MK8S, ['uninstall', '--yes', '--data-dir', dataDir])).code, 0)
  })

  test('a directory that cannot be written is one clear error', async () => {
    const file = join(directory, 'a-file')
    writeFileSync(file, '')
    const refused = await install(join(file, 'data'), freeAddress())
    assert.notEqual(refused.code, 0)
    assert.match(refused.stderr, /code\s+(host|config)\//)
  })

  test('a read-only file system is one clear error', async context => {
    const mount = join(directory, 'read-only')
    const script = `mkdir -p ${mount} && mount -t tmpfs -o ro tmpfs ${mount} && exec ${MK8S} install --data-dir ${mount}/data --bind-address ${freeAddress()}`
    const probe = await run('unshare', ['--mount', 'true'])
    if (probe.code !== 0) return context.skip('mount namespaces cannot be made here')
    const refused = await run('unshare', ['--mount', 'sh', '-c', script])
    assert.notEqual(refused.code, 0)
    assert.match(refused.stderr, /read-only|EROFS/i)
  })

  test('a full disk is one clear error', async context => {
    const mount = join(directory, 'full')
    const script = `mkdir -p ${mount} && mount -t tmpfs -o size=256k tmpfs ${mount} && exec ${MK8S} install --data-dir ${mount}/data --bind-address ${freeAddress()}`
    const probe = await run('unshare', ['--mount', 'true'])
    if (probe.code !== 0) return context.skip('mount namespaces cannot be made here')
    const refused = await run('unshare', ['--mount', 'sh', '-c', script])
    assert.notEqual(refused.code, 0)
    assert.match(refused.stderr, /space|full/i)
  })

  test('all problems of a configuration file are told together', async () => {
    const file = join(directory, 'bad.yaml')
    writeFileSync(file, 'apiVersion: mk8s.io/v1\nkind: NodeConfig\nnodeNam: x\nbindAddress: nonsense\n')
    const refused = await install(join(directory, 'bad'), freeAddress(), '--config', file)
    assert.equal(refused.code, 2, refused.stderr)
    assert.match(refused.stderr, /nodeNam[\s\S]*nodeName/)
    assert.match(refused.stderr, /bindAddress/)
    assert.equal(existsSync(join(directory, 'bad')), false)
  })

  test('usage errors exit with 2 and suggest', async () => {
    const unknown = await run(MK8S, ['instal'])
    assert.equal(unknown.code, 2)
    assert.match(unknown.stderr, /install/)
    assert.equal((await run(MK8S, ['status', '--nonsense'])).code, 2)
  })
})
