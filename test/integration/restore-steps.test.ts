/** A real `mk8s restore-datastore` that dies, or finds the disk full, at each step that it takes on the disk. */
import assert from 'node:assert/strict'
import test, { after, before } from 'node:test'
import { canBeFull, RestoreBench } from '../support/restore-bench.ts'

let bench: RestoreBench
let steps: readonly string[] = []

before(async () => {
  bench = await RestoreBench.create()
  steps = (await bench.steps()).ofCommand
})
after(() => bench?.remove())

test('a command that is killed at a step before its decision leaves everything as it was', async () => {
  await bench.diverge()
  const before = await bench.generation()
  for (const step of steps) {
    bench.faults.next({ step, what: 'kill' })
    const { code } = await bench.restore()
    assert.ok(code !== 0 && bench.faults.happened, step)
    await bench.notBegun(step)
  }
  assert.equal(await bench.generation(), before)
})

test('a command that finds the disk full at a step before its decision says so, and leaves nothing', async () => {
  await bench.diverge()
  for (const step of steps.filter(canBeFull)) {
    bench.faults.next({ step, what: 'full' })
    const { code, stderr } = await bench.restore()
    assert.ok(bench.faults.happened, step)
    assert.equal(code, 1, step)
    assert.match(stderr, /disk is full|no space left[\s\S]*code +(host|store)\/disk/, step)
    assert.ok(bench.isClean, step)
    await bench.notBegun(step)
  }
})
