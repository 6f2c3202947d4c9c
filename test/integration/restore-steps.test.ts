/** Real processes of one server that die, or find the disk full, at each step that a restore takes on the disk. */
import assert from 'node:assert/strict'
import { existsSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import test, { after, before, describe } from 'node:test'
import { must } from '../../src/base/assert.ts'
import { CONFIG_MAPS } from '../../src/client/resources.ts'
import { namesOf } from '../support/api-client.ts'
import { temporaryDirectory } from '../support/cluster.ts'
import { Faults } from '../support/faults.ts'
import type { Ran } from '../support/kubectl.ts'
import { startServers, type TestNode, type TestServers } from '../support/servers.ts'
import { until } from '../support/until.ts'

/** A server with a backup of it, which restores fail on. */
class Bench {
  readonly servers: TestServers
  readonly node: TestNode
  readonly faults: Faults
  readonly #directory: string

  private constructor(servers: TestServers, directory: string) {
    this.servers = servers
    this.node = must(servers.nodes[0], 'a server')
    this.faults = new Faults(join(directory, 'faults'))
    this.#directory = directory
  }

  static async create(): Promise<Bench> {
    const bench = new Bench(await startServers({ count: 1 }), temporaryDirectory())
    await bench.node.kubectl.ok(['create', 'configmap', 'kept'])
    const backup = await bench.node.mk8s(['backup-datastore', '-o', bench.#file])
    assert.equal(backup.code, 0, backup.stderr)
    bench.faults.takeOver(bench.node)
    return bench
  }

  async remove(): Promise<void> {
    await this.servers.remove()
    rmSync(this.#directory, { recursive: true, force: true })
  }

  get #file(): string {
    return join(this.#directory, 'a.mk8sbackup')
  }

  restore(): Promise<Ran> {
    return this.node.mk8s(['restore-datastore', this.#file, '--yes'], { env: this.faults.env })
  }

  names(): Promise<string> {
    return namesOf(this.node, CONFIG_MAPS)
  }

  get keptDirectories(): readonly string[] {
    return readdirSync(this.node.dataDir).filter(name => name.startsWith('before-restore-'))
  }

  get isClean(): boolean {
    return !existsSync(join(this.node.dataDir, 'recovery'))
  }

  async generation(): Promise<string> {
    return (await this.node.status()).clusterId
  }

  /** Something that a restore takes away; what earlier ones have kept goes. */
  async diverge(): Promise<void> {
    for (const name of this.keptDirectories) rmSync(join(this.node.dataDir, name), { recursive: true })
    await until('what the backup lacks is there', async () => {
      await this.node.kubectl.try(['create', 'configmap', 'later'])
      return /later/.test(await this.names())
    })
  }

  async untilRestored(step: string): Promise<void> {
    await until(`the restored state is served after ${step}`, async () => {
      const names = await this.names()
      return this.isClean && /kept/.test(names) && !/later/.test(names)
    })
    const { keptDirectories } = this
    assert.equal(keptDirectories.length, 1, step)
    const kept = join(this.node.dataDir, keptDirectories[0] ?? '', 'datastore/state.sqlite')
    assert.ok(existsSync(kept), step)
  }

  /** Old or new, and nothing in between. */
  async notBegun(step: string): Promise<void> {
    await until(`what ${step} left is gone`, () => this.isClean)
    assert.match(await this.names(), /later/, step)
    assert.deepEqual(this.keptDirectories, [], step)
  }

  /** The daemon fails at each of the steps, one restore each. */
  async failDaemonAt(steps: readonly string[], what: 'kill' | 'full'): Promise<void> {
    for (const step of steps) {
      // A supervisor that has not yet begun to wait longer each time.
      this.faults.takeOver(this.node)
      await this.diverge()
      this.faults.next({ step, what })
      const { code, stderr } = await this.restore()
      assert.ok(this.faults.happened, step)
      assert.equal(code, 0, `${step}: ${stderr}\n${await this.node.log()}`)
      await this.untilRestored(step)
    }
  }
}

/** Two, so that what waits on one leaves the processors to the other. */
let first: Bench
let second: Bench
let steps: readonly string[] = []

before(async () => {
  first = await Bench.create()
  second = await Bench.create()
})
after(async () => {
  await first?.remove()
  await second?.remove()
})

const decides = 'command rename recovery/journal.json.tmp recovery/journal.json'
const ofCommand = () => steps.slice(0, steps.indexOf(decides) + 1).filter(step => step.startsWith('command'))
const ofDaemon = () => steps.filter(step => step.startsWith('daemon'))
/** Nothing can be full where something is removed. */
const canBeFull = (step: string) => !/^\S+ rm /.test(step)

test('the steps of a restore are those of the command up to its decision, and those of the daemon after it', async () => {
  await first.diverge()
  const recorded = await first.faults.recorded(async () => {
    const { code, stderr } = await first.restore()
    assert.equal(code, 0, stderr)
  })
  steps = recorded.get(first.node.dataDir) ?? []
  await first.untilRestored('a restore without a fault')
  assert.ok(ofCommand().length >= 15 && ofDaemon().length >= 15, steps.join('\n'))
  for (const step of [decides, 'daemon rename datastore before-restore/datastore', 'daemon rm recovery'])
    assert.ok(steps.includes(step), `${step} is none of\n${steps.join('\n')}`)
})

describe('at each step', { concurrency: 2 }, () => {
  describe('of the command and then, on a full disk, of the daemon', { concurrency: 1 }, () => {
    test('a command that is killed before its decision leaves everything as it was', async () => {
      await first.diverge()
      const before = await first.generation()
      for (const step of ofCommand()) {
        first.faults.next({ step, what: 'kill' })
        const { code } = await first.restore()
        assert.ok(code !== 0 && first.faults.happened, step)
        await first.notBegun(step)
      }
      assert.equal(await first.generation(), before)
    })

    test('a daemon that finds the disk full after the decision finishes the restore once there is room', () =>
      first.failDaemonAt(ofDaemon().filter(canBeFull), 'full'))
  })

  describe('of the command on a full disk, and then of the daemon', { concurrency: 1 }, () => {
    test('a command that finds the disk full before its decision says so, and leaves nothing', async () => {
      await second.diverge()
      for (const step of ofCommand().filter(canBeFull)) {
        second.faults.next({ step, what: 'full' })
        const { code, stderr } = await second.restore()
        assert.ok(second.faults.happened, step)
        assert.equal(code, 1, step)
        assert.match(stderr, /disk is full|no space left[\s\S]*code +(host|store)\/disk/, step)
        assert.ok(second.isClean, step)
        await second.notBegun(step)
      }
    })

    test('a daemon that is killed after the decision finishes the restore when it starts again', () =>
      second.failDaemonAt(ofDaemon(), 'kill'))
  })
})
