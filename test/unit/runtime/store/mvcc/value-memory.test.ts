import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SLAB_BYTES, ValueMemory } from '../../../../../src/runtime/store/mvcc/value-memory.ts'

const VALUE_BYTES = 1024

const held = (holders: readonly { readonly value: Buffer }[]): number => {
  let bytes = 0
  for (const buffer of new Set(holders.map(({ value }) => value.buffer))) bytes += buffer.byteLength
  return bytes
}

const filled = (memory: ValueMemory, count: number) =>
  Array.from({ length: count }, (_, at) => ({ value: memory.keep(Buffer.alloc(VALUE_BYTES, at % 251)) }))

test('small values share memory, and hold little more than they have', () => {
  const holders = filled(new ValueMemory(), 3000)
  for (const [at, { value }] of holders.entries()) assert(value.equals(Buffer.alloc(VALUE_BYTES, at % 251)))
  assert(held(holders) < 3000 * VALUE_BYTES + SLAB_BYTES)
})

test('a large value out of a larger piece of memory gets memory of its own', () => {
  const bytes = Buffer.alloc(4 * SLAB_BYTES, 7)
  const value = new ValueMemory().keep(bytes.subarray(10, 10 + SLAB_BYTES))
  assert.equal(value.buffer.byteLength, SLAB_BYTES)
  assert(value.equals(bytes.subarray(0, SLAB_BYTES)))
})

test('the few values that stay do not hold the memory of all that have gone', () => {
  const memory = new ValueMemory()
  const staying = filled(memory, 20_000).filter((_, at) => at % 50 === 0)
  const before = staying.map(({ value }) => Buffer.from(value))
  const goneBytes = held(staying)
  memory.tidy(() => staying)
  assert(held(staying) < staying.length * VALUE_BYTES + 2 * SLAB_BYTES)
  assert(held(staying) < goneBytes / 20)
  for (const [at, { value }] of staying.entries()) assert(value.equals(before[at] ?? Buffer.alloc(0)))
})

test('values in slabs that are well used stay where they are', () => {
  const memory = new ValueMemory()
  const staying = filled(memory, 3000)
  const buffers = staying.map(({ value }) => value)
  memory.tidy(() => staying)
  assert.deepEqual(
    staying.map(({ value }, at) => value === buffers[at]),
    staying.map(() => true),
  )
})
