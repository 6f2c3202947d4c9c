import assert from 'node:assert/strict'
import { test } from 'node:test'
import { WorkQueue } from '../../../src/base/work-queue.ts'
import { ManualClock } from '../../support/manual-clock.ts'

const make = () => {
  const clock = new ManualClock()
  return { clock, queue: new WorkQueue({ clock, backoff: { baseMs: 100, maxMs: 1_000 } }) }
}

test('keys are served in the order they came, each once', async () => {
  const { queue } = make()
  for (const key of ['a', 'b', 'a', 'c']) queue.add(key)
  assert.equal(queue.length, 3)
  assert.deepEqual([await queue.take(), await queue.take(), await queue.take()], ['a', 'b', 'c'])
})

test('a key added while it is processed is processed once more, and not before', async () => {
  const { queue } = make()
  queue.add('a')
  assert.equal(await queue.take(), 'a')
  queue.add('a')
  queue.add('a')
  assert.equal(queue.length, 0)
  queue.done('a')
  assert.equal(queue.length, 1)
  assert.equal(await queue.take(), 'a')
  queue.done('a')
  assert.equal(queue.length, 0)
})

test('whoever waits gets the next key at once', async () => {
  const { queue } = make()
  const first = queue.take()
  const second = queue.take()
  queue.add('a')
  queue.add('a')
  queue.add('b')
  assert.deepEqual([await first, await second], ['a', 'b'])
  queue.done('a')
  assert.equal(await queue.take(), 'a')
})

test('of several delayed adds of a key the earliest counts', async () => {
  const { clock, queue } = make()
  queue.addAfter('a', 500)
  queue.addAfter('a', 200)
  queue.addAfter('a', 900)
  clock.advance(199)
  assert.equal(queue.length, 0)
  clock.advance(1)
  assert.equal(queue.length, 1)
  assert.equal(await queue.take(), 'a')
  queue.done('a')
  clock.advance(1_000)
  assert.equal(queue.length, 0)
})

test('a failing key waits twice as long each time, up to a limit, until it succeeds', () => {
  const { clock, queue } = make()
  const delays: number[] = []
  for (let round = 0; round < 6; round++) {
    queue.addRateLimited('a')
    let waited = 0
    while (queue.length === 0) {
      clock.advance(100)
      waited += 100
    }
    delays.push(waited)
    void queue.take()
    queue.done('a')
  }
  assert.deepEqual(delays, [100, 200, 400, 800, 1_000, 1_000])
  queue.forget('a')
  queue.addRateLimited('a')
  clock.advance(100)
  assert.equal(queue.length, 1)
})

test('shutdown releases who waits and takes nothing more', async () => {
  const { clock, queue } = make()
  const waiting = queue.take()
  queue.addAfter('a', 10)
  queue.shutDown()
  assert.equal(await waiting, null)
  queue.add('b')
  clock.advance(20)
  assert.equal(queue.length, 0)
  assert.equal(await queue.take(), null)
})
