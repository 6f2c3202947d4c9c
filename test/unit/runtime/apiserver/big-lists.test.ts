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
