/** The window of one proposer's results against a plain map. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { seededRandom } from '../../../../../src/base/random.ts'
import { ResultWindow } from '../../../../../src/runtime/store/mvcc/result-window.ts'

const SPAN = 4096

test('it has what was added and not deleted, whatever the order within a span', () => {
  const random = seededRandom(7)
  const window = new ResultWindow()
  const model = new Map<number, number>()
  let newest = 1
  for (let step = 1; step < 20_000; step++) {
    const bytes = Buffer.from(random.bytes(4))
    const request = Math.max(1, newest + (bytes.readUInt16LE(0) % 200) - 150)
    if (model.has(request)) {
      assert.equal(window.delete(request), true)
      model.delete(request)
    } else {
      window.add({ request, revision: step, index: 2 * step, succeeded: step % 2 === 0 })
      model.set(request, step)
    }
    newest = Math.max(newest, request)
    for (const old of model.keys()) {
      if (old > newest - SPAN) break
      window.delete(old)
      model.delete(old)
    }
  }
  assert.equal(window.size, model.size)
  assert.deepEqual(
    window.requests().sort((a, b) => a - b),
    [...model.keys()].sort((a, b) => a - b),
  )
  for (const [request, step] of model) {
    const result = { index: 2 * step, proposer: 5, request, revision: step, succeeded: step % 2 === 0 }
    assert.deepEqual(window.get(5, request), result)
    assert.equal(window.get(5, request + SPAN), null)
  }
  assert.equal(window.delete(newest + 1), false)
})
