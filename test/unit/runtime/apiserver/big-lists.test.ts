import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createBigLists } from '../../../../src/runtime/apiserver/requests/big-lists.ts'

const SLICE = Buffer.alloc(128 * 1024)

test('a turn of the event loop has one slice of all long answers', async () => {
  const lists = createBigLists()
  const sent: string[] = []
  const send = async (name: string) => {
    for await (const slice of lists.take([SLICE, SLICE, SLICE])) sent.push(`${name}${slice.length > 0}`)
  }
  let running = true
  const turns: number[] = []
  const count = () => {
    turns.push(sent.length)
    if (running) setImmediate(count)
  }
  setImmediate(count)
  await Promise.all([send('a'), send('b'), send('c')])
  running = false
  assert.equal(sent.length, 9)
  for (const [at, total] of turns.entries()) assert(total - (turns[at - 1] ?? 0) <= 1)
})

test('a long answer that nobody reads to its end gives its place back', async () => {
  const lists = createBigLists()
  for (let number = 0; number < 1_000; number++) {
    for await (const _slice of lists.take([SLICE, SLICE])) break
  }
})

/** Has what was written sent when it is asked for, as a connection that is slow. */
function slowSink() {
  const written: Buffer[] = []
  const waiting: (() => void)[] = []
  return {
    written,
    send: () => {
      for (const sent of waiting.splice(0)) sent()
    },
    write(piece: Uint8Array, sent?: () => void): boolean {
      written.push(piece as Buffer)
      if (sent !== undefined) waiting.push(sent)
      return true
    },
    drained: () => Promise.resolve(),
  }
}

const numbered = (count: number) => Array.from({ length: count }, (_, at) => Buffer.alloc(1_000, at))

test('memory of a slice is filled again once it is sent, and not before', async () => {
  const lists = createBigLists()
  const pieces = numbered(500)
  const slow = slowSink()
  await lists.take(pieces).pushTo(slow)
  assert(Buffer.concat(slow.written).equals(Buffer.concat(pieces)))
  const memories = new Set(slow.written.map(({ buffer }) => buffer))
  assert.equal(memories.size, slow.written.length)
  slow.send()
  const again = slowSink()
  await lists.take(pieces).pushTo(again)
  assert(Buffer.concat(again.written).equals(Buffer.concat(pieces)))
  assert(again.written.every(({ buffer }) => memories.has(buffer)))
})

test('a piece that is longer than a slice is sent in its order', async () => {
  const [first, last] = numbered(2)
  const pieces = [first as Buffer, Buffer.alloc(300_000, 7), Buffer.alloc(0), last as Buffer]
  const sink = slowSink()
  await createBigLists().take(pieces).pushTo(sink)
  assert(Buffer.concat(sink.written).equals(Buffer.concat(pieces)))
})

test('nothing more is sent to whoever is gone', async () => {
  const gone = new AbortController()
  const sink = slowSink()
  const pushing = createBigLists().take(numbered(5_000), gone.signal).pushTo(sink)
  await new Promise(setImmediate)
  gone.abort()
  await pushing
  assert(sink.written.length < 5)
})
