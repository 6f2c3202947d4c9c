/** The packaged executable: the same program out of one file, with nothing beside it. */
import assert from 'node:assert/strict'
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import test, { after, before, describe } from 'node:test'
import { PF_EXECUTABLE, segmentsOf } from '../../packaging/elf.ts'
import { findExecutable } from '../../src/host/find-program.ts'
import { installCluster, type TestCluster, temporaryDirectory } from '../support/cluster.ts'
import { madeExecutable, whyNoExecutable } from '../support/executable.ts'
import { KUBECTL, run } from '../support/kubectl.ts'

/** A keychain of Linux, of our own; the file takes its place without. */
const hasKeyring = ['gnome-keyring-daemon', 'dbus-run-session', 'secret-tool'].every(
  name => findExecutable(name, (process.env['PATH'] ?? '').split(':')) !== undefined,
)

describe('the executable', { skip: whyNoExecutable }, () => {
  const directory = temporaryDirectory()
  const program = join(directory, 'bin/mk8s')
  let cluster: TestCluster
  before(async () => {
    mkdirSync(join(directory, 'bin'))
    copyFileSync(await madeExecutable('linux-x64'), program)
    cluster = await installCluster({ program })
  })
  after(async () => {
    await cluster?.remove()
    rmSync(directory, { recursive: true, force: true })
  })

  test('says its version, its commands and what is wrong with an unknown one', async () => {
    assert.match((await run(program, ['--version'])).stdout, /^mk8s v\d+\.\d+\.\d+ \(Kubernetes v1\.36\./)
    assert.match((await run(program, ['--help'])).stdout, /install/)
    assert.equal((await run(program, ['instal'])).code, 2)
  })

  test('starts with the libraries it carries, and with those of the system where it cannot', async () => {
    const listed = async (file: string, before = '') => {
      const script = `${before} LD_TRACE_LOADED_OBJECTS=1 exec ${file}`
      return (await run('unshare', ['--mount', 'sh', '-c', script])).stdout
    }
    if ((await run('unshare', ['--mount', 'true'])).code !== 0) return
    assert.match(await listed(program), /\/proc\/self\/fd\/\d+ [\s\S]*\/proc\/self\/fd\/\d+ /)
    const own = /libstdc\+\+\.so\.6 => \/\S+[\s\S]*libgcc_s\.so\.1 => \//
    assert.match(await listed(program, 'mount -t tmpfs tmpfs /proc;'), own)
    // As if the libraries wanted a glibc of the future.
    const bytes = readFileSync(program)
    const code = segmentsOf(bytes).findLast(({ flags }) => (flags & PF_EXECUTABLE) !== 0)
    assert.ok(code)
    const glibc = bytes.indexOf(Buffer.from([36, 0, 0, 0, 0, 0, 0, 0]), code.offset)
    bytes.writeBigUInt64LE(999n, glibc)
    const other = join(directory, 'other')
    writeFileSync(other, bytes, { mode: 0o755 })
    assert.match(await listed(other), own)
    assert.equal((await run(other, ['--version'])).code, 0)
    rmSync(other)
    // Started by the dynamic loader itself, as some tools do.
    assert.match((await run('/lib64/ld-linux-x86-64.so.2', [program, '--version'])).stdout, /^mk8s v/)
    // With the standard files closed.
    assert.equal((await run('sh', ['-c', `${program} version <&- >&- 2>&-`])).code, 0)
  })

  test('runs a cluster whose threads, model and pods all come out of the one file', async () => {
    const status = await cluster.mk8s(['status', '--format', 'json'])
    assert.equal(JSON.parse(status.stdout).ready, true, status.stderr)
    await cluster.kubectl.ok([
      'create',
      'deployment',
      'idle',
      '--image=localhost/sleep',
      '--replicas=2',
      '--',
      'sleep',
      '600',
    ])
    await cluster.kubectl.ok(['rollout', 'status', 'deployment/idle', '--timeout=120s'])
    assert.match(await cluster.kubectl.ok(['explain', 'deployment.spec.replicas']), /integer/)
  })

  test('keeps the key out of the kubeconfig, and hands it to kubectl', async () => {
    const home = join(directory, 'home')
    mkdirSync(join(home, 'run'), { recursive: true, mode: 0o700 })
    const kubeconfig = join(home, 'kubeconfig')
    const source = join(cluster.dataDir, 'admin.kubeconfig')
    const steps = `${program} config --keychain --from ${source} >${kubeconfig} && ${KUBECTL} --kubeconfig ${kubeconfig} get nodes`
    const own = ['-u', 'DBUS_SESSION_BUS_ADDRESS', `HOME=${home}`, `XDG_RUNTIME_DIR=${home}/run`]
    const plain = await run('env', [...own, 'sh', '-c', steps])
    assert.match(plain.stdout, /Ready/, plain.stderr)
    assert.match(plain.stderr, /There is no keychain here/)
    assert.doesNotMatch(readFileSync(kubeconfig, 'utf8'), /client-key/)
    const kept = join(home, '.config/mk8s/credentials')
    assert.equal(readdirSync(kept).length, 1)
    if (!hasKeyring) return
    const unlock =
      'printf pw | gnome-keyring-daemon --unlock --foreground --components=secrets >/dev/null & ring=$!'
    const wait =
      'for i in 1 2 3 4 5 6 7 8 9 10; do secret-tool search a b >/dev/null 2>&1 && break; sleep 0.2; done'
    const script = `${unlock}; ${wait}; ${steps}; code=$?; kill $ring; exit $code`
    const ring = await run('env', [...own, 'dbus-run-session', '--', 'sh', '-c', script])
    assert.match(ring.stdout, /Ready/, ring.stderr)
    assert.deepEqual(readdirSync(kept), [])
  })

  test('uninstalls and leaves nothing', async () => {
    const removed = await cluster.mk8s(['uninstall', '--yes'])
    assert.equal(removed.code, 0, removed.stderr)
    assert.equal(existsSync(cluster.dataDir), false)
  })
})
