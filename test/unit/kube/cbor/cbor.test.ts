/** CBOR as KEP-4222 says it: what is written, what is read, and what is refused. */
import assert from 'node:assert/strict'
import test from 'node:test'
import { decode as plainDecode, encode as plainEncode, Tagged } from 'cborg'
import { CborError, decodeCbor, encodeCbor } from '../../../../src/kube/cbor/cbor.ts'
import { seededRandom } from '../../../support/random-objects.ts'

const bytes = (hex: string) => Buffer.from(hex.replaceAll(' ', ''), 'hex')
const object = {
  kind: 'Größe',
  list: [1, -2, 0.5, true, null, 2 ** 40],
  map: { '': 'x'.repeat(300) },
  empty: {},
}

test('a document begins with the tag that says what it is, and has its strings as byte strings', () => {
  assert.equal(encodeCbor({ a: 'b' }).toString('hex'), 'd9d9f7a141614162')
  const other = plainDecode(encodeCbor(object), {
    useMaps: true,
    tags: { 55799: decode => decode() },
  }) as Map<Uint8Array, unknown>
  const [first] = other.entries()
  assert.deepEqual(
    first?.map(one => Buffer.from(one as Uint8Array).toString()),
    ['kind', 'Größe'],
  )
  assert.deepEqual(decodeCbor(encodeCbor(object)), object)
})

test('texts and byte strings, with or without the tag, are read alike', () => {
  assert.deepEqual(decodeCbor(Buffer.from(plainEncode(object))), object)
  assert.deepEqual(decodeCbor(bytes('bf 61 61 01 41 62 9f 02 ff ff')), { a: 1, b: [2] })
  assert.deepEqual(decodeCbor(bytes('f6')), null)
})

test('a tag says how bytes are shown, and a time that is a number becomes one', () => {
  const tagged = (tag: number, value: unknown) => decodeCbor(Buffer.from(plainEncode(new Tagged(tag, value))))
  assert.equal(tagged(22, Buffer.of(0xff, 0xfe)), '//4=')
  assert.equal(tagged(21, Buffer.of(0xff, 0xfe)), '__4')
  assert.equal(tagged(23, Buffer.of(0xff, 0xfe)), 'fffe')
  assert.equal(tagged(0, '2026-01-01T00:00:00Z'), '2026-01-01T00:00:00Z')
  assert.equal(tagged(1, 0), '1970-01-01T00:00:00Z')
  assert.equal(tagged(4711, 'content'), 'content')
})

test('what JSON cannot say, or says twice, is refused', () => {
  const refused: Record<string, string> = {
    'a key that stands twice': 'a2 61 61 01 61 61 02',
    'a key that stands twice, as text and as bytes': 'a2 61 61 01 41 61 02',
    'a key that is a number': 'a1 01 02',
    'a number beyond 64 bits': '1b ff ff ff ff ff ff ff ff',
    'a bignum': 'c2 41 01',
    'no number': 'f9 7e 00',
    infinity: 'f9 7c 00',
    'a text that is not UTF-8': '61 ff',
    'bytes that are not UTF-8': '41 ff',
    'a break in a map of known length': 'a1 61 61 ff',
    'a break between key and value': 'bf 61 61 ff',
    'a break under a tag': '9f c1 ff ff',
    'a simple value without a meaning': 'e0',
    undefined: 'f7',
    'more than one value': '01 02',
    'a tag of nothing': 'd9 d9 f7',
    nothing: '',
  }
  for (const [what, hex] of Object.entries(refused))
    assert.throws(() => decodeCbor(bytes(hex)), CborError, what)
})

test('nesting is bounded, however it is made', () => {
  for (const start of ['81', 'a1 61 61', '9f', 'd9 d9 f7', 'c0 81']) {
    const deep = Buffer.concat(Array.from({ length: 100_000 }, () => bytes(start)))
    assert.throws(() => decodeCbor(deep), CborError, start)
  }
  const fits = Buffer.concat([Buffer.alloc(63, 0x81), bytes('01')])
  assert.ok(Array.isArray(decodeCbor(fits)))
})

test('a length that is a lie costs nothing', () => {
  for (const lie of [
    '9b 00 00 00 ff ff ff ff ff 01',
    'bb 00 00 00 ff ff ff ff ff 61 61',
    '5a ff ff ff ff 00',
  ]) {
    assert.throws(() => decodeCbor(bytes(lie)), CborError, lie)
  }
})

test('random and truncated bytes are read or refused, and nothing else', () => {
  const random = seededRandom(7)
  const whole = encodeCbor(object)
  for (let round = 0; round < 20_000; round++) {
    const noise = Buffer.from(whole.subarray(0, Math.floor(random() * (whole.length + 1))))
    for (let change = 0; change < 3 && noise.length > 0; change++) {
      noise[Math.floor(random() * noise.length)] = Math.floor(random() * 256)
    }
    try {
      JSON.stringify(decodeCbor(noise))
    } catch (error) {
      assert.ok(error instanceof CborError, String(error))
    }
  }
})
