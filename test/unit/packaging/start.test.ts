/** What Linux executables begin with: the libraries they carry, packed, and the code that unpacks them. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { glibcMinor, withLibraries } from '../../../packaging/carried-libraries.ts'
import { pack } from '../../../packaging/lz4.ts'

const root = join(import.meta.dirname, '../../..')
const start = join(root, 'packaging/start')

/** By the format's description, and as strict as it is. */
function unpack(packed: Buffer): Buffer {
  const out: number[] = []
  let at = 0
  const byte = () => {
    const value = packed[at++]
    assert.ok(value !== undefined, 'the block is cut')
    return value
  }
  const length = (short: number) => {
    let sum = short
    if (short === 15) for (let more = 255; more === 255; sum += more) more = byte()
    return sum
  }
  for (;;) {
    const token = byte()
    const literals = length(token >> 4)
    for (let count = 0; count < literals; count++) out.push(byte())
    if (at === packed.length) return Buffer.from(out)
    const distance = byte() | (byte() << 8)
    const match = length(token & 15) + 4
    assert.ok(distance > 0 && distance <= out.length)
    for (let count = 0; count < match; count++) out.push(out[out.length - distance] ?? 0)
  }
}

test('what is packed is unpacked to the same bytes', () => {
  const noise = randomBytes(3_000)
  const cases = [
    Buffer.alloc(0),
    Buffer.from('short'),
    noise,
    Buffer.alloc(100_000, 7),
    Buffer.concat([noise, Buffer.alloc(70_000), noise, noise.subarray(0, 300), noise]),
    readFileSync(join(root, 'package-lock.json')),
  ]
  for (const bytes of cases) assert.ok(unpack(pack(bytes)).equals(bytes), `${bytes.length} bytes`)
  assert.ok(pack(Buffer.alloc(100_000, 7)).length < 500)
})

const compiler =
  process.arch === 'x64' ? (spawnSync('gcc', ['--version'], { encoding: 'utf8' }).stdout ?? '') : ''
const skip = compiler.startsWith('gcc (Debian 12.') ? false : 'wants gcc 12 of Debian for x86-64'

test('the code at the start is what its source says', { skip }, () => {
  const made = spawnSync('sh', [join(start, 'make.sh'), 'gcc'], { encoding: 'utf8' })
  assert.equal(made.status, 0, made.stderr)
  assert.equal(made.stdout, readFileSync(join(start, 'x64.hex'), 'utf8'))
})

test('only what --build-sea makes is given libraries', () => {
  const bytes = Buffer.from('GLIBC_2.4\0GLIBC_2.36\0GLIBC_2.17\0')
  const library = { name: 'libstdc++.so.6', bytes }
  assert.equal(glibcMinor(library), 36)
  assert.throws(() => glibcMinor({ name: 'x', bytes: Buffer.alloc(9) }), /x needs no glibc/)
  assert.throws(() => withLibraries(Buffer.alloc(100), [library]), /not a 64-bit little-endian ELF file/)
})
