import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { WireError, WireReader } from '../../../src/base/wire-reader.ts'
import { WireWriter } from '../../../src/base/wire-writer.ts'

const safeInteger = fc.integer({ min: Number.MIN_SAFE_INTEGER, max: Number.MAX_SAFE_INTEGER })

test('what is written is read back', () => {
  const model = {
    number: safeInteger.filter(value => value !== 0),
    big: fc.bigInt({ min: 1n, max: 2n ** 64n - 1n }),
    bytes: fc.uint8Array({ minLength: 1, maxLength: 300 }),
    field: fc.integer({ min: 1, max: 5_000 }),
  }
  fc.assert(
    fc.property(fc.record(model), ({ number, big, bytes, field }) => {
      const writer = new WireWriter(5, 8)
      writer.int64(field, number)
      writer.message(field, inner => {
        inner.uint64(1, big)
        inner.bytes(2, Buffer.from(bytes))
      })
      const reader = new WireReader(writer.finish().subarray(5))
      assert.ok(reader.next())
      assert.equal(reader.field, field)
      assert.equal(reader.int64(), number)
      assert.ok(reader.next())
      const inner = new WireReader(reader.bytes())
      assert.ok(inner.next())
      assert.equal(inner.varint(), big)
      assert.ok(inner.next())
      assert.deepEqual([...inner.bytes()], [...bytes])
      assert.ok(!inner.next() && !reader.next())
    }),
  )
})

test('default values take no bytes, elements of repeated fields do', () => {
  const writer = new WireWriter()
  writer.int64(1, 0)
  writer.bool(2, false)
  writer.string(3, '')
  assert.equal(writer.length, 0)
  writer.repeatedBytes(3, Buffer.alloc(0))
  assert.deepEqual([...writer.finish()], [0x1a, 0])
})

test('the bytes are those of the specification', () => {
  const writer = new WireWriter()
  writer.int64(1, 150)
  writer.string(2, 'testing')
  writer.int64(3, -1)
  const expected = '089601' + '120774657374696e67' + '18ffffffffffffffffff01'
  assert.equal(writer.finish().toString('hex'), expected)
})

test('no bytes make the reader do anything but read or refuse', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), bytes => {
      const reader = new WireReader(Buffer.from(bytes))
      try {
        while (reader.next()) reader.skip()
      } catch (error) {
        assert.ok(error instanceof WireError)
      }
    }),
  )
})
