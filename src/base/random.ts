/** Randomness as an argument, so that simulations and tests replay. */
import { randomBytes, randomUUID } from 'node:crypto'

export interface Random {
  /** A float in [0, 1). */
  float(): number
  /** An RFC 4122 version 4 UUID in lower case. */
  uuid(): string
  bytes(length: number): Uint8Array
}

export const systemRandom: Random = {
  float: () => Math.random(),
  uuid: () => randomUUID(),
  bytes: length => randomBytes(length),
}

/** A small seeded generator (mulberry32): for tests and simulations only, never for secrets. */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0
  const float = () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
  const bytes = (length: number) => Uint8Array.from({ length }, () => Math.floor(float() * 256))
  return {
    float,
    bytes,
    uuid() {
      const raw = Buffer.from(bytes(16))
      raw[6] = ((raw[6] ?? 0) & 0x0f) | 0x40
      raw[8] = ((raw[8] ?? 0) & 0x3f) | 0x80
      const hex = raw.toString('hex')
      return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join(
        '-',
      )
    },
  }
}
