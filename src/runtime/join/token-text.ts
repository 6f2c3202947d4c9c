/** The text of a join token: made here so that people can type it, and checked when somebody brings his own. Pure. */
import { createHash, timingSafeEqual } from 'node:crypto'
import type { Random } from '../../base/random.ts'

/** Letters and digits that are not mistaken for each other: 5 bits each. */
const ALPHABET = '23456789abcdefghijkmnpqrstuvwxyz'
/** 160 bits; also the length that MicroK8s asks of a token. */
export const TOKEN_LENGTH = 32
const TOKEN_LENGTH_MAX = 256
/** Of a token that somebody thought up, by how often each of its characters occurs. */
const ENTROPY_BITS_MIN = 96
const ALLOWED = /^[A-Za-z0-9._-]+$/

export function newTokenText(random: Random): string {
  return Array.from(random.bytes(TOKEN_LENGTH), byte => ALPHABET.charAt(byte & 31)).join('')
}

/** Why this text is no token worth having, as a clause that never shows the text; undefined when it is. */
export function tokenTextProblem(text: string): string | undefined {
  if (text.length < TOKEN_LENGTH) return `it has ${text.length} characters and needs at least ${TOKEN_LENGTH}`
  if (text.length > TOKEN_LENGTH_MAX) return `it has more than ${TOKEN_LENGTH_MAX} characters`
  if (!ALLOWED.test(text)) return 'it has characters other than letters, digits, ".", "_" and "-"'
  if (entropyBits(text) < ENTROPY_BITS_MIN) return 'it is too easy to guess: too few of its characters differ'
  return undefined
}

function entropyBits(text: string): number {
  const counts = new Map<string, number>()
  for (const character of text) counts.set(character, (counts.get(character) ?? 0) + 1)
  return [...counts.values()].reduce((bits, count) => bits - count * Math.log2(count / text.length), 0)
}

/** A token has so much entropy that one round of SHA-256 keeps it as safe as many would. */
export const hashSecret = (salt: string, text: string): string =>
  createHash('sha256').update(salt).update('\0').update(text).digest('hex')

/** In a time that tells nothing of where they differ. Both are SHA-256 in hexadecimal. */
export function sameHash(one: string, other: string): boolean {
  const [left, right] = [Buffer.from(one, 'hex'), Buffer.from(other, 'hex')]
  return left.length === 32 && right.length === 32 && timingSafeEqual(left, right)
}
