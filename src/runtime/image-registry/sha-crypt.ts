/** Passwords as crypt(3) hashes them with SHA-256 (`$5$`) and SHA-512 (`$6$`), out of its published description (pure). */
import { createHash, timingSafeEqual } from 'node:crypto'

const ALPHABET = './0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
const SALT_CHARACTERS_MAX = 16
const ROUNDS_DEFAULT = 5_000
const ROUNDS_MIN = 1_000
/** More would keep everybody else waiting. */
const ROUNDS_MAX = 100_000
const PASSWORD_BYTES_MAX = 1_024
const HASH = /^\$([56])\$(?:rounds=(\d{1,9})\$)?([^$\n:]*)\$([./0-9A-Za-z]+)$/

export const isShaCrypt = (text: string): boolean => HASH.test(text)

export function shaCryptMatches(password: string, hash: string): boolean {
  const match = HASH.exec(hash)
  const key = Buffer.from(password)
  if (match === null || key.length > PASSWORD_BYTES_MAX) return false
  const [, kind, rounds, salt = '', wanted = ''] = match
  const count = rounds === undefined ? ROUNDS_DEFAULT : Number(rounds)
  if (count > ROUNDS_MAX) return false
  const algorithm = kind === '5' ? 'sha256' : 'sha512'
  const digest = cryptDigest(key, {
    ...{ algorithm, salt: Buffer.from(salt.slice(0, SALT_CHARACTERS_MAX)) },
    rounds: Math.max(count, ROUNDS_MIN),
  })
  const made = Buffer.from(encode(digest))
  const expected = Buffer.from(wanted)
  return made.length === expected.length && timingSafeEqual(made, expected)
}

interface Recipe {
  readonly algorithm: 'sha256' | 'sha512'
  readonly salt: Buffer
  readonly rounds: number
}

function cryptDigest(key: Buffer, { algorithm, salt, rounds }: Recipe): Buffer {
  const hashOf = (...parts: readonly Buffer[]): Buffer => {
    const hash = createHash(algorithm)
    for (const part of parts) hash.update(part)
    return hash.digest()
  }
  const b = hashOf(key, salt, key)
  const bits: Buffer[] = []
  for (let length = key.length; length > 0; length >>= 1) bits.push((length & 1) === 1 ? b : key)
  let a = hashOf(key, salt, repeated(b, key.length), ...bits)
  const p = repeated(hashOf(...Array<Buffer>(key.length).fill(key)), key.length)
  const s = repeated(hashOf(...Array<Buffer>(16 + (a[0] ?? 0)).fill(salt)), salt.length)
  for (let round = 0; round < rounds; round++) {
    const isOdd = round % 2 === 1
    const parts = [isOdd ? p : a]
    if (round % 3 !== 0) parts.push(s)
    if (round % 7 !== 0) parts.push(p)
    parts.push(isOdd ? a : p)
    a = hashOf(...parts)
  }
  return a
}

function repeated(block: Buffer, length: number): Buffer {
  const out = Buffer.alloc(length)
  for (let at = 0; at < length; at += block.length) block.copy(out, at)
  return out
}

/** Three bytes at a time from three thirds of the digest, which change places each time. */
function encode(digest: Buffer): string {
  const isLong = digest.length === 64
  const third = isLong ? 21 : 10
  let text = ''
  let [x, y, z] = [0, third, 2 * third]
  for (let index = 0; index < third; index++) {
    text += characters(((digest[x] ?? 0) << 16) | ((digest[y] ?? 0) << 8) | (digest[z] ?? 0), 4)
    ;[x, y, z] = isLong ? [y + 1, z + 1, x + 1] : [z + 1, x + 1, y + 1]
  }
  if (isLong) return text + characters(digest[63] ?? 0, 2)
  return text + characters(((digest[31] ?? 0) << 8) | (digest[30] ?? 0), 3)
}

function characters(value: number, count: number): string {
  return Array.from({ length: count }, (_, index) => ALPHABET[(value >> (6 * index)) & 63]).join('')
}
