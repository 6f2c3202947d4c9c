/** Blocks in the format of LZ4, which the few instructions at an executable's start can unpack. */

const SHORTEST = 4
const FARTHEST = 0xffff
/** The format ends with this many bytes as they are. */
const LAST_LITERALS = 5
/** And no match begins in the last twelve. */
const LAST_MATCH = 12
const HASH_BITS = 16

/** Each match the longest at the latest place with the same four bytes: quick, and the same every time. */
export function pack(bytes: Buffer): Buffer {
  const latest = new Int32Array(1 << HASH_BITS).fill(-1)
  const parts: Buffer[] = []
  let literals = 0
  for (let at = 0; at < bytes.length - LAST_MATCH; ) {
    const word = bytes.readUInt32LE(at)
    const slot = Math.imul(word, 0x9e3779b1) >>> (32 - HASH_BITS)
    const match = latest[slot] ?? -1
    latest[slot] = at
    if (match < 0 || at - match > FARTHEST || bytes.readUInt32LE(match) !== word) {
      at++
      continue
    }
    let length = SHORTEST
    while (at + length < bytes.length - LAST_LITERALS && bytes[match + length] === bytes[at + length])
      length++
    parts.push(sequence(bytes.subarray(literals, at), length, at - match))
    at += length
    literals = at
  }
  parts.push(sequence(bytes.subarray(literals), 0, 0))
  return Buffer.concat(parts)
}

/** A match of length 0 ends the block. */
function sequence(literals: Buffer, length: number, distance: number): Buffer {
  const extra = length === 0 ? 0 : length - SHORTEST
  const token = (Math.min(literals.length, 15) << 4) | Math.min(extra, 15)
  const match = length === 0 ? [] : [distance & 255, distance >> 8, ...rest(extra)]
  return Buffer.concat([Buffer.from([token, ...rest(literals.length)]), literals, Buffer.from(match)])
}

/** What does not fit into the four bits of the token. */
function rest(length: number): number[] {
  if (length < 15) return []
  const over = length - 15
  return [...Array<number>(Math.floor(over / 255)).fill(255), over % 255]
}
