/** Work on many things at a time. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { eachAtOnce } from '../../../src/base/each-at-once.ts'

const turn = () => new Promise<void>(resolve => setImmediate(resolve))

test('all are worked on, never more at a time than may be', async () => {
  const done: number[] = []
  let [now, most] = [0, 0]
  await eachAtOnce([1, 2, 3, 4, 5], 2, async item => {
    now += 1
    most = Math.max(most, now)
    await turn()
    now -= 1
    done.push(item)
  })
  assert.deepEqual([most, done], [2, [1, 2, 3, 4, 5]])
})

test('a failure is told, and the others are worked on all the same', async () => {
  const done: number[] = []
  const work = eachAtOnce([1, 2, 3], 2, async item => {
    if (item === 1) throw new Error('one')
    done.push(item)
  })
  await assert.rejects(work, /^Error: one$/)
  await turn()
  assert.deepEqual(done, [2, 3])
})
