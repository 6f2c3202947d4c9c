/** The hash and the random suffixes that generated names are made of. */

import { must } from '../base/assert.ts'
import type { Random } from '../base/random.ts'

/** Letters and digits without vowels and look-alikes, so that no words appear. */
const ALPHABET = 'bcdfghjklmnpqrstvwxz2456789'
const SUFFIX_LENGTH = 5
const GENERATED_NAME_LENGTH_MAX = 63
const FNV_OFFSET = 0x811c9dc5
const FNV_PRIME = 0x01000193

/** FNV-1a over the text's UTF-8, 32 bits. */
export function fnv32a(text: string): number {
  let hash = FNV_OFFSET
  for (const byte of Buffer.from(text, 'utf8')) hash = Math.imul(hash ^ byte, FNV_PRIME)
  return hash >>> 0
}

/** The text with every byte mapped into the alphabet of generated names. */
export function safeEncode(text: string): string {
  let out = ''
  for (const byte of Buffer.from(text, 'utf8')) out += ALPHABET[byte % ALPHABET.length]
  return out
}

/**
 * Names the content of a pod template: the same template gives the same hash, whatever the order of its keys.
 * `collisionCount` changes it when another template already has the name.
 */
export function templateHash(template: unknown, collisionCount?: number): string {
  const seed = collisionCount === undefined ? '' : `#${collisionCount}`
  return safeEncode(String(fnv32a(stableText(template) + seed)))
}

/** JSON with sorted keys and without absent and null fields. */
export function stableText(value: unknown): string {
  if (typeof value !== 'object' || value === null) return JSON.stringify(value ?? null)
  if (Array.isArray(value)) return `[${value.map(stableText).join(',')}]`
  const from = value as Record<string, unknown>
  const keys = Object.keys(from).filter(key => from[key] !== undefined && from[key] !== null)
  return `{${keys
    .sort()
    .map(key => `${JSON.stringify(key)}:${stableText(from[key])}`)
    .join(',')}}`
}

/** `length` random characters of the alphabet. */
export function randomSuffix(random: Pick<Random, 'float'>, length = SUFFIX_LENGTH): string {
  const pick = () => must(ALPHABET[Math.floor(random.float() * ALPHABET.length)], 'a letter')
  return Array.from({ length }, pick).join('')
}

/** A name out of a generateName prefix, which is cut so that the whole fits. */
export function generateName(prefix: string, random: Pick<Random, 'float'>): string {
  return prefix.slice(0, GENERATED_NAME_LENGTH_MAX - SUFFIX_LENGTH) + randomSuffix(random)
}
