/** A node's share of the pod network: the first free /24. */

const NODE_PREFIX_BITS = 24

/** `10.1.0.0/16` → its /24 networks that nobody has, the first of them; null when all are taken. */
export function planPodCidr(podCidr: string, taken: ReadonlySet<string>): string | null {
  const [address = '', prefix = ''] = podCidr.split('/')
  const base = toNumber(address)
  const bits = Number(prefix)
  const count = 2 ** Math.max(0, NODE_PREFIX_BITS - bits)
  const step = 2 ** (32 - NODE_PREFIX_BITS)
  for (let index = 0; index < count; index++) {
    const candidate = `${toAddress(base + index * step)}/${Math.max(bits, NODE_PREFIX_BITS)}`
    if (!taken.has(candidate)) return candidate
  }
  return null
}

function toNumber(address: string): number {
  return address.split('.').reduce((value, octet) => value * 256 + Number(octet), 0)
}

function toAddress(value: number): string {
  return [24, 16, 8, 0].map(shift => Math.floor(value / 2 ** shift) % 256).join('.')
}
