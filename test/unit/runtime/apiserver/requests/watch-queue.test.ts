/** What waits for one watcher, pushed to whoever sends it. */
import assert from 'node:assert/strict'
import test from 'node:test'
import { WatchQueue } from '../../../../../src/runtime/apiserver/requests/watch-queue.ts'

function recordingSink() {
  const written: string[] = []
  let drain: (() => void) | null = null
  let isFull = false
  return {
    written,
    fill: () => {
      isFull = true
    },
    empty: () => {
      isFull = false
      drain?.()
    },
    write(piece: Uint8Array): boolean {
      written.push(Buffer.from(piece).toString())
      return !isFull
    },
    drained: () =>
      new Promise<void>(resolve => {
        drain = resolve
      }),
  }
}

const settled = () => new Promise<void>(resolve => setImmediate(resolve))

test('lines of one moment are written at once, the next ones when they come, and the end ends it', async () => {
  const queue = new WatchQueue()
  const sink = recordingSink()
  queue.push(Buffer.from('before\n'))
  const pushing = queue.pushTo(sink)
  queue.push(Buffer.from('a\n'))
  queue.push(Buffer.from('b\n'))
  await settled()
  queue.push(Buffer.from('c\n'))
  await settled()
  queue.push(Buffer.from('last\n'))
  queue.end()
  queue.push(Buffer.from('too late\n'))
  await pushing
  assert.deepEqual(sink.written, ['before\n', 'a\nb\n', 'c\n', 'last\n'])
})

test('a reader that is full gets nothing before it has room again, and then everything', async () => {
  const queue = new WatchQueue()
  const sink = recordingSink()
  const pushing = queue.pushTo(sink)
  sink.fill()
  queue.push(Buffer.from('a\n'))
  await settled()
  queue.push(Buffer.from('b\n'))
  queue.push(Buffer.from('c\n'))
  queue.end()
  await settled()
  assert.deepEqual(sink.written, ['a\n'])
  sink.empty()
  await pushing
  assert.deepEqual(sink.written, ['a\n', 'b\nc\n'])
})

test('a sender that fails ends the pushing with its error', async () => {
  const queue = new WatchQueue()
  const sink = {
    write: () => {
      throw new Error('the connection is gone')
    },
    drained: () => Promise.resolve(),
  }
  const pushing = queue.pushTo(sink)
  queue.push(Buffer.from('a\n'))
  await assert.rejects(pushing, /the connection is gone/)
})
