/**
 * Deals each flow a small hand of queues, so that a flow that fills its queues leaves most of the others' alone.
 * Pure, and the same for the same flow.
 */
const OFFSET = 0x811c9dc5
const PRIME = 0x01000193
const SECOND_SEED = 0x9e3779b9
const HIGH = 2 ** 21

/** A number below 2^53 that tells flows apart. */
export function flowHash(schema: string, distinguisher: string): number {
  let a = OFFSET
  let b = SECOND_SEED
  const text = `${schema}\0${distinguisher}`
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at)
    a = Math.imul(a ^ unit, PRIME)
    b = Math.imul(b ^ (unit + at), 0x85ebca6b)
    b ^= b >>> 13
  }
  return mixed(a) * HIGH + (mixed(b) >>> 11)
}

function mixed(value: number): number {
  let x = value
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b)
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35)
  return (x ^ (x >>> 16)) >>> 0
}

/** `size` different cards out of `deck`. */
export function deal(hash: number, deck: number, size: number): readonly number[] {
  const hand: number[] = []
  let rest = hash
  for (let dealt = 0; dealt < Math.min(size, deck); dealt++) {
    const left = deck - dealt
    let card = rest % left
    rest = Math.floor(rest / left)
    for (const taken of [...hand].sort((a, b) => a - b)) if (card >= taken) card += 1
    hand.push(card)
  }
  return hand
}
