/**
 * A real daemon that dies, or finds the disk full, at each step on the disk by which it carries out a restore. Two
 * servers fail side by side, because each waits a good deal: for its supervisor, who has seen failures.
 */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { canBeFull, RestoreBench } from '../support/restore-bench.ts'

let steps: readonly string[] = []
const benches: RestoreBench[] = []

async function newBench(): Promise<RestoreBench> {
  const bench = await RestoreBench.create()
  benches.push(bench)
  return bench
}

before(async () => {
  steps = (await (await newBench()).steps()).ofDaemon
  await newBench()
})
after(() => Promise.all(benches.map(bench => bench.remove())))

/** One restore for each step. */
async function failAt(bench: RestoreBench | undefined, tried: readonly string[], what: 'kill' | 'full') {
  assert.ok(bench)
  for (const step of tried) {
    await bench.diverge()
    bench.faults.next({ step, what })
    const { code, stderr } = await bench.restore()
    assert.ok(bench.faults.happened, step)
    assert.equal(code, 0, `${step}: ${stderr}\n${await bench.node.log()}`)
    await bench.untilRestored(step)
  }
}

describe('after the decision', { concurrency: 2 }, () => {
  it('a daemon that is killed at a step finishes the restore when it starts again', () =>
    failAt(benches[0], steps, 'kill'))

  it('a daemon that finds the disk full finishes the restore once there is room', () =>
    failAt(benches[1], steps.filter(canBeFull), 'full'))
})
