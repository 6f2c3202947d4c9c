/** IP addresses and networks as numbers: parse, print canonically, contain, count. */

export interface Address {
  readonly family: 4 | 6
  readonly value: bigint
}

export interface Cidr {
  readonly family: 4 | 6
  /** The network's first address. */
  readonly base: bigint
  readonly prefixLength: number
}

const bitsOf = (family: 4 | 6): number => (family === 4 ? 32 : 128)

/** An IPv4 or IPv6 address, or null. Leading zeros in IPv4 parts and zones are refused, as upstream does. */
export function parseAddress(text: string): Address | null {
  if (text.includes(':')) return parseV6(text)
  const value = parseV4(text)
  return value === null ? null : { family: 4, value }
}

function parseV4(text: string): bigint | null {
  const parts = text.split('.')
  if (parts.length !== 4) return null
  let value = 0n
  for (const part of parts) {
    if (!/^(0|[1-9]\d{0,2})$/.test(part) || Number(part) > 255) return null
    value = (value << 8n) | BigInt(part)
  }
  return value
}

function parseV6(text: string): Address | null {
  const halves = text.split('::')
  if (halves.length > 2) return null
  const [head = [], tail] = halves.map(parseGroups)
  if (head === null || tail === null) return null
  const given = head.length + (tail?.length ?? 0)
  if (tail === undefined ? given !== 8 : given > 7) return null
  const groups = [...head, ...new Array<number>(8 - given).fill(0), ...(tail ?? [])]
  const value = groups.reduce((sum, group) => (sum << 16n) | BigInt(group), 0n)
  // An IPv4 address in IPv6 clothes is an IPv4 address, as in Go.
  if (value >> 32n === 0xffffn) return { family: 4, value: value & 0xffffffffn }
  return { family: 6, value }
}

/** The 16-bit groups of one side of `::`; a last part in dotted form counts as two. */
function parseGroups(text: string): number[] | null {
  if (text === '') return []
  const parts = text.split(':')
  const groups: number[] = []
  for (const [index, part] of parts.entries()) {
    if (part.includes('.') && index === parts.length - 1) {
      const v4 = parseV4(part)
      if (v4 === null) return null
      groups.push(Number(v4 >> 16n), Number(v4 & 0xffffn))
    } else if (/^[0-9a-fA-F]{1,4}$/.test(part)) groups.push(Number.parseInt(part, 16))
    else return null
  }
  return groups
}

/** Canonical text: dotted, or RFC 5952 with the longest run of zeros shortened. */
export function formatAddress({ family, value }: Address): string {
  if (family === 4) return [24n, 16n, 8n, 0n].map(shift => (value >> shift) & 0xffn).join('.')
  const groups = Array.from({ length: 8 }, (_, index) => (value >> BigInt(112 - 16 * index)) & 0xffffn)
  const texts = groups.map(group => group.toString(16))
  const run = longestZeros(groups)
  if (run.length < 2) return texts.join(':')
  return `${texts.slice(0, run.start).join(':')}::${texts.slice(run.start + run.length).join(':')}`
}

function longestZeros(groups: readonly bigint[]): { start: number; length: number } {
  let best = { start: 0, length: 0 }
  let start = 0
  groups.forEach((group, index) => {
    if (group !== 0n) start = index + 1
    else if (index + 1 - start > best.length) best = { start, length: index + 1 - start }
  })
  return best
}

/** The same address in canonical text, or null when it is none. */
export function canonicalAddress(text: string): string | null {
  const address = parseAddress(text)
  return address === null ? null : formatAddress(address)
}

/** `10.1.0.0/16`, or null. Bits behind the prefix are cut off. */
export function parseCidr(text: string): Cidr | null {
  const [addressText = '', lengthText = '', rest] = text.split('/')
  const address = parseAddress(addressText)
  if (address === null || rest !== undefined || !/^(0|[1-9]\d{0,2})$/.test(lengthText)) return null
  const prefixLength = Number(lengthText)
  const bits = bitsOf(address.family)
  if (prefixLength > bits) return null
  const host = BigInt(bits - prefixLength)
  return { family: address.family, base: (address.value >> host) << host, prefixLength }
}

export function formatCidr({ family, base, prefixLength }: Cidr): string {
  return `${formatAddress({ family, value: base })}/${prefixLength}`
}

/** How many addresses the network has. */
export const cidrSize = ({ family, prefixLength }: Cidr): bigint =>
  1n << BigInt(bitsOf(family) - prefixLength)

export function cidrContains(cidr: Cidr, address: Address): boolean {
  if (cidr.family !== address.family) return false
  const host = BigInt(bitsOf(cidr.family) - cidr.prefixLength)
  return address.value >> host === cidr.base >> host
}

/** Two networks share addresses. */
export function cidrsOverlap(a: Cidr, b: Cidr): boolean {
  return (
    cidrContains(a, { family: b.family, value: b.base }) ||
    cidrContains(b, { family: a.family, value: a.base })
  )
}

/** The nth address, 0 being the network's own; null behind its end. */
export function cidrAddress(cidr: Cidr, index: number | bigint): string | null {
  const offset = BigInt(index)
  if (offset < 0n || offset >= cidrSize(cidr)) return null
  return formatAddress({ family: cidr.family, value: cidr.base + offset })
}

/** Which address of the network it is, or null when it is none of it. */
export function cidrIndexOf(cidr: Cidr, text: string): bigint | null {
  const address = parseAddress(text)
  return address !== null && cidrContains(cidr, address) ? address.value - cidr.base : null
}

/** The nth network of the given length inside a larger one: the pod network of node n. */
export function subnet(cidr: Cidr, prefixLength: number, index: number): Cidr | null {
  const bits = bitsOf(cidr.family)
  if (prefixLength < cidr.prefixLength || prefixLength > bits) return null
  if (index < 0 || BigInt(index) >= 1n << BigInt(prefixLength - cidr.prefixLength)) return null
  return {
    family: cidr.family,
    base: cidr.base + (BigInt(index) << BigInt(bits - prefixLength)),
    prefixLength,
  }
}
