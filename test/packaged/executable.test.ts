/** The packaged executable: the same program out of one file, with nothing beside it. */
import assert from 'node:assert/strict'
import { copyFileSync, existsSync, mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import test, { after, before, describe } from 'node:test'
import { installCluster, type TestCluster, temporaryDirectory } from '../support/cluster.ts'
import { run } from '../support/kubectl.ts'

const root = join(import.meta.dirname, '../..')
const skip =
  process.platform === 'linux' && process.arch === 'x64' ? false : 'the executable is made on linux-x64'

describe('the executable', { skip }, () => {
  const directory = temporaryDirectory()
  const program = join(directory, 'bin/mk8s')
  let cluster: TestCluster
  before(async () => {
    const made = await run(process.execPath, ['packaging/package.ts', 'linux-x64'])
    assert.equal(made.code, 0, made.stderr)
    mkdirSync(join(directory, 'bin'))
    copyFileSync(join(root, 'dist/mk8s-linux-x64'), program)
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

  test('uninstalls and leaves nothing', async () => {
    const removed = await cluster.mk8s(['uninstall', '--yes'])
    assert.equal(removed.code, 0, removed.stderr)
    assert.equal(existsSync(cluster.dataDir), false)
  })
})
