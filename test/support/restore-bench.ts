/** One real server that a test restores again and again, with processes that fail at a step of theirs on the disk. */
import assert from 'node:assert/strict'
import { existsSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { must } from '../../src/base/assert.ts'
import { CONFIG_MAPS } from '../../src/client/resources.ts'
import { namesOf } from './api-client.ts'
import { temporaryDirectory } from './cluster.ts'
import { Faults } from './faults.ts'
import type { Ran } from './kubectl.ts'
import { startServers, type TestNode, type TestServers } from './servers.ts'
import { until } from './until.ts'

const DECISION = 'command rename recovery/journal.json.tmp recovery/journal.json'

/** Nothing can be full where something is removed. */
export const canBeFull = (step: string): boolean => !/^\S+ rm /.test(step)

/** A server with a backup of it, which restores fail on. */
export class RestoreBench {
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

  static async create(): Promise<RestoreBench> {
    const bench = new RestoreBench(await startServers({ count: 1 }), temporaryDirectory())
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

  /** The steps of a restore on this server, those of the command up to its decision, and those of the daemon. */
  async steps(): Promise<{ readonly ofCommand: readonly string[]; readonly ofDaemon: readonly string[] }> {
    await this.diverge()
    const recorded = await this.faults.recorded(async () => {
      const { code, stderr } = await this.restore()
      assert.equal(code, 0, stderr)
      await this.untilRestored('a restore without a fault')
    })
    const steps = recorded.get(this.node.dataDir) ?? []
    const ofCommand = steps.slice(0, steps.indexOf(DECISION) + 1).filter(step => step.startsWith('command'))
    const ofDaemon = steps.filter(step => step.startsWith('daemon'))
    assert.ok(ofCommand.length >= 15 && ofDaemon.length >= 15, steps.join('\n'))
    for (const step of [DECISION, 'daemon rename datastore before-restore/datastore', 'daemon rm recovery'])
      assert.ok(steps.includes(step), `${step} is none of\n${steps.join('\n')}`)
    return { ofCommand, ofDaemon }
  }
}
