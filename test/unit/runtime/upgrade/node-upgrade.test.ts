/** The steps of an upgrade on a real disk: a power cut after any of them leaves an executable that works. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import test from 'node:test'
import { must } from '../../../../src/base/assert.ts'
import { identifyProcess } from '../../../../src/host/processes.ts'
import {
  applyUpgrade,
  type NodeUpgradeParts,
  resumeUpgrade,
  stageUpgrade,
} from '../../../../src/runtime/upgrade/node-upgrade.ts'
import { beginTrial } from '../../../../src/runtime/upgrade/trial.ts'
import { readUpgrade, writeUpgrade } from '../../../../src/runtime/upgrade/upgrade-journal.ts'

const [OLD, NEW] = ['the executable 0.1.0', 'the executable 0.1.1']
const sum = createHash('sha256').update(NEW).digest('hex')
const FORMATS = { database: { oldestRead: 1, newestRead: 1, written: 1 } }

class PowerCut extends Error {}

/** A node whose daemon is whatever lies under the program's path when it is started. */
class Node {
  readonly directory = mkdtempSync(join(tmpdir(), 'mk8s-upgrade-'))
  readonly program = join(this.directory, 'mk8s')
  readonly told: string[] = []
  daemon = OLD
  newIsHealthy = true
  /** The power goes at the so manieth thing that is said or done. */
  cutAt = Number.POSITIVE_INFINITY
  #things = 0

  constructor() {
    writeFileSync(this.program, OLD)
  }

  get inPlace(): string {
    return readFileSync(this.program, 'utf8')
  }

  #thing(): void {
    if (++this.#things === this.cutAt) throw new PowerCut()
  }

  parts(): NodeUpgradeParts {
    return {
      dataDir: this.directory,
      program: this.program,
      present: { version: '0.1.0', formats: FORMATS },
      owner: must(identifyProcess(process.pid), 'this process runs'),
      ask: async program => {
        this.#thing()
        const version = readFileSync(program, 'utf8') === NEW ? '0.1.1' : '0.1.0'
        return { version, formats: FORMATS }
      },
      daemon: {
        isActive: () => {
          this.#thing()
          return true
        },
        restart: async () => {
          this.#thing()
          this.daemon = this.inPlace
          this.#thing()
        },
        healthy: async version => {
          this.#thing()
          assert.equal(this.daemon, version === '0.1.1' ? NEW : OLD)
          if (this.daemon === NEW && !this.newIsHealthy) throw new Error('it is broken')
        },
      },
      progress: what => {
        this.#thing()
        this.told.push(what)
      },
    }
  }

  async upgrade(content = NEW): Promise<void> {
    const parts = this.parts()
    const open = async () => Readable.from([Buffer.from(content)])
    const next = { version: '0.1.1', sum, open, others: [], isRollback: false }
    await applyUpgrade(parts, await stageUpgrade(parts, next))
  }

  /** The machine starts again: whoever looked after the upgrade is gone. */
  async powerOn(): Promise<void> {
    this.cutAt = Number.POSITIVE_INFINITY
    const record = readUpgrade(this.directory)
    const gone = { ...must(identifyProcess(process.pid), 'this process runs'), pid: 2 ** 22 - 1 }
    if (record !== null) writeUpgrade(this.directory, { ...record, owner: gone })
    for (;;) {
      this.daemon = this.inPlace
      const trial = await beginTrial(this.directory)
      if (trial.kind === 'start-again') continue
      if (this.daemon === NEW && !this.newIsHealthy) continue
      return trial.served()
    }
  }

  remove(): void {
    rmSync(this.directory, { recursive: true })
  }
}

const THINGS_MAX = 20

for (const newIsHealthy of [true, false]) {
  test(`a power cut at any step leaves a version that works, with a ${newIsHealthy ? 'healthy' : 'broken'} release`, async () => {
    const ends = new Set<string>()
    for (let cutAt = 1; cutAt < THINGS_MAX; cutAt++) {
      const node = new Node()
      Object.assign(node, { cutAt, newIsHealthy })
      await node.upgrade().catch(error => {
        if (newIsHealthy) assert.ok(error instanceof PowerCut || /did not become healthy/.test(String(error)))
      })
      assert.ok([OLD, NEW].includes(node.inPlace))
      await node.powerOn()
      assert.equal(node.daemon, node.inPlace)
      if (!newIsHealthy) assert.equal(node.inPlace, OLD)
      const stage = readUpgrade(node.directory)?.stage ?? 'none'
      assert.ok(['done', 'failed', 'none'].includes(stage), `cut at ${cutAt}: ${stage}`)
      if (stage === 'done') assert.equal(node.inPlace, NEW)
      assert.equal(await resumeUpgrade(node.parts()), 'none')
      ends.add(node.inPlace)
      node.remove()
    }
    assert.deepEqual([...ends].sort(), newIsHealthy ? [OLD, NEW] : [OLD])
  })
}

test('an upgrade keeps the one before, and one that does not become healthy is undone with the reason', async () => {
  const node = new Node()
  await node.upgrade()
  assert.deepEqual([node.inPlace, node.daemon, readUpgrade(node.directory)?.stage], [NEW, NEW, 'done'])
  assert.equal(readFileSync(`${node.program}.previous`, 'utf8'), OLD)
  node.remove()
  const broken = new Node()
  broken.newIsHealthy = false
  await assert.rejects(broken.upgrade(), /did not become healthy; 0\.1\.0 is back/)
  assert.deepEqual([broken.inPlace, broken.daemon], [OLD, OLD])
  assert.equal(readUpgrade(broken.directory)?.why, 'it is broken')
  broken.remove()
})

test('an executable that was cut on its way is not kept', async () => {
  const node = new Node()
  await assert.rejects(node.upgrade('the exec'), { code: 'upgrade/damaged' })
  assert.equal(existsSync(`${node.program}.next`), false)
  assert.equal(node.inPlace, OLD)
  node.remove()
})
