/** A body is read whole, or not at all. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readBounded } from '../../../src/base/read-bounded.ts'

test('a body as large as the limit is read, whole or in chunks', async () => {
  async function* chunks() {
    yield Buffer.from('ab')
    yield Buffer.from('cd')
  }
  assert.equal(String(await readBounded(Buffer.from('abcd'), 4)), 'abcd')
  assert.equal(String(await readBounded(chunks(), 4)), 'abcd')
})

test('what is larger is refused as soon as that is known, and its source is closed', async () => {
  let given = 0
  let closed = false
  async function* endless() {
    try {
      for (;;) {
        given++
        yield Buffer.alloc(1_000)
      }
    } finally {
      closed = true
    }
  }
  await assert.rejects(
    readBounded(endless(), 2_500, () => new Error('too much')),
    /too much/,
  )
  assert.deepEqual([given, closed], [3, true])
})
