/** `mk8s upgrade` between two built versions: on one node with pods, with everything that may go wrong with a release. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import {
  appendFileSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  truncateSync,
} from 'node:fs'
import { join } from 'node:path'
import test, { after, before, describe } from 'node:test'
import { installCluster, type TestCluster, temporaryDirectory } from '../support/cluster.ts'
import { run } from '../support/kubectl.ts'
import { EXECUTABLE, Releases } from '../support/releases.ts'
import { until } from '../support/until.ts'

const POD = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'steady' },
  spec: { containers: [{ name: 'c', image: 'i', command: ['sleep', '600'] }] },
}

const skip =
  process.platform === 'linux' && process.arch === 'x64' ? false : 'the executable is made on linux-x64'

describe('mk8s upgrade on one node', { skip }, () => {
  const directory = temporaryDirectory()
  const releases = new Releases(join(directory, 'releases'))
  const bin = join(directory, 'bin')
  const program = join(bin, 'mk8s')
  let [older, newer] = ['', '']
  let cluster: TestCluster
  let podPid = ''
  before(async () => {
    older = await releases.build('0.1.0')
    newer = await releases.build('0.1.1')
    mkdirSync(bin)
    copyFileSync(join(older, EXECUTABLE), program)
    cluster = await installCluster({ program })
    await cluster.kubectl.ok(['create', '-f', '-'], { input: JSON.stringify(POD) })
    await cluster.kubectl.ok(['wait', '--for=condition=Ready', 'pod/steady', '--timeout=120s'])
    podPid = await sleeping()
  })
  after(async () => {
    await cluster?.remove()
    rmSync(directory, { recursive: true, force: true })
  })

  const container = '{.status.containerStatuses[0].containerID} {.status.containerStatuses[0].restartCount}'
  const sleeping = () => cluster.kubectl.ok(['get', 'pod', 'steady', '-o', `jsonpath=${container}`])
  const upgrade = (from: string, ...more: string[]) => cluster.mk8s(['upgrade', '--from', from, ...more])
  const journal = () => JSON.parse(readFileSync(join(cluster.dataDir, 'upgrade.json'), 'utf8'))
  const version = async () => (await run(program, ['--version'])).stdout
  const servedVersion = async () =>
    JSON.parse((await cluster.mk8s(['status', '--format', 'json'])).stdout).version

  /** The version before runs on, as if nothing had happened. */
  async function refused(said: { code: number; stderr: string }, code: number, words: RegExp): Promise<void> {
    assert.equal(said.code, code, said.stderr)
    assert.match(said.stderr, words)
    assert.match(await version(), /v0\.1\.0 /)
    assert.equal(await servedVersion(), '0.1.0')
    assert.equal(existsSync(`${program}.next`), false)
    assert.equal(await sleeping(), podPid)
  }

  test('refuses releases that are not signed, signed by somebody else, cut or changed', async () => {
    const unsigned = releases.copy(newer, 'unsigned')
    rmSync(join(unsigned, 'SHA256SUMS.sig'))
    await refused(await upgrade(unsigned), 6, /no signature/)
    const foreign = new Releases(join(directory, 'foreign')).make('0.1.1', '#!/bin/sh\n')
    await refused(await upgrade(foreign), 6, /not signed by whoever makes the releases/)
    const cut = releases.copy(newer, 'cut')
    truncateSync(join(cut, EXECUTABLE), 1_000_000)
    await refused(await upgrade(cut), 6, /not what the signed list of sums says/)
    const changed = releases.copy(newer, 'changed')
    appendFileSync(join(changed, 'SHA256SUMS'), '\n')
    await refused(await upgrade(changed), 6, /not signed/)
    for (const each of [cut, changed, unsigned]) rmSync(each, { recursive: true })
  })

  test('refuses when the directory cannot be written or its disk is full', async t => {
    const small = join(directory, 'small')
    mkdirSync(small)
    const mounted = await run('mount', ['-t', 'tmpfs', '-o', 'size=140m', 'tmpfs', small])
    if (mounted.code !== 0) return t.skip('this machine lets nothing be mounted')
    try {
      const other = join(small, 'mk8s')
      copyFileSync(join(older, EXECUTABLE), other)
      await cluster.mk8s(['stop'])
      const attempt = () =>
        run(other, ['upgrade', '--this-node', '--from', newer], { env: { MK8S_DATA_DIR: cluster.dataDir } })
      const full = await attempt()
      assert.match(full.stderr, /no room for another executable/)
      await run('mount', ['-o', 'remount,ro', small])
      const readOnly = await attempt()
      assert.equal(readOnly.code, 1)
      assert.match(readOnly.stderr, /the file system is read-only/)
      assert.match((await run(other, ['--version'])).stdout, /v0\.1\.0 /)
    } finally {
      await run('umount', [small])
      await cluster.mk8s(['start'])
    }
    await cluster.kubectl.ok(['wait', '--for=condition=Ready', 'pod/steady', '--timeout=120s'])
    podPid = await sleeping()
  })

  test('goes back by itself when the new version does not become healthy', async () => {
    const formats = JSON.stringify(JSON.parse((await run(program, ['version', '--json'])).stdout).formats)
    const broken = releases.make(
      '0.1.2',
      `#!/bin/sh\n[ "$1" = version ] && echo '{"mk8s":"0.1.2","formats":${formats}}' && exit 0\nexit 1\n`,
    )
    await refused(await upgrade(broken, '--timeout', '2'), 1, /did not become healthy; 0\.1\.0 is back/)
    assert.equal(journal().stage, 'failed')
  })

  test('refuses what reads other formats', async () => {
    const old = releases.make(
      '0.1.3',
      `#!/bin/sh\necho '{"mk8s":"0.1.3","formats":{"database":{"oldestRead":1,"newestRead":3,"written":3}}}'\n`,
    )
    await refused(await upgrade(old), 6, /does not read format 4 of database/)
  })

  test('a command that is killed while the daemon starts again leaves the new version, which finishes', async () => {
    const child = spawn(program, ['upgrade', '--from', newer], {
      env: { ...process.env, MK8S_DATA_DIR: cluster.dataDir },
      stdio: 'ignore',
    })
    await until('the daemon is to be started again', () => {
      const stage = existsSync(join(cluster.dataDir, 'upgrade.json')) && journal().stage
      return stage === 'restarting'
    })
    child.kill('SIGKILL')
    const again = await upgrade(newer)
    assert.equal(again.code, 0, again.stderr)
    assert.equal(journal().stage, 'done')
    assert.equal(await servedVersion(), '0.1.1')
    assert.equal(await sleeping(), podPid)
  })

  test('goes back on request, and forth again, without touching a pod', async () => {
    const daemon = cluster.daemonPid()
    const back = await cluster.mk8s(['upgrade', '--rollback'])
    assert.equal(back.code, 0, back.stderr)
    assert.equal(await servedVersion(), '0.1.0')
    assert.notEqual(cluster.daemonPid(), daemon)
    const seen = await upgrade(newer, '--check')
    assert.match(seen.stdout, /mk8s 0\.1\.1 is there for:\n- node-1 \(0\.1\.0\)/)
    const forth = await upgrade(newer)
    assert.equal(forth.code, 0, forth.stderr)
    assert.match(forth.stdout, /The node node-1 has mk8s 0\.1\.1 \(before: 0\.1\.0\)/)
    assert.equal(await servedVersion(), '0.1.1')
    assert.equal(await sleeping(), podPid)
    const older_ = await upgrade(older)
    assert.equal(older_.code, 6)
    assert.match(older_.stderr, /older than the version in use/)
  })
})
