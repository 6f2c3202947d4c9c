/** IP addresses and networks. */
import {
  type Address,
  type Cidr,
  cidrContains,
  formatAddress,
  formatCidr,
  parseAddress,
  parseCidr,
} from '../../cidr.ts'
import { fn, method, type Overload, traversal } from '../functions.ts'
import { BOOL, INT, opaque, STRING } from '../types.ts'
import { CelError, OpaqueValue } from '../values.ts'

const IP = opaque('net.IP')
const CIDR = opaque('net.CIDR')

class IpValue extends OpaqueValue {
  readonly type = IP
  readonly address: Address

  constructor(address: Address) {
    super()
    this.address = address
  }

  equals(other: OpaqueValue): boolean {
    if (!(other instanceof IpValue)) return false
    return other.address.family === this.address.family && other.address.value === this.address.value
  }
}

class CidrValue extends OpaqueValue {
  readonly type = CIDR
  readonly network: Cidr
  /** With the bits behind the prefix. */
  readonly address: Address

  constructor(network: Cidr, address: Address) {
    super()
    this.network = network
    this.address = address
  }

  equals(other: OpaqueValue): boolean {
    if (!(other instanceof CidrValue)) return false
    return (
      other.network.prefixLength === this.network.prefixLength &&
      other.address.family === this.address.family &&
      other.address.value === this.address.value
    )
  }
}

const MAPPED = /^::ffff:/i

function readIp(text: string): IpValue | string {
  const address = parseAddress(text)
  if (address === null)
    return `IP Address ${JSON.stringify(text)} parse error during conversion from string: ParseAddr(${JSON.stringify(text)}): unable to parse IP`
  if (text.includes(':') && address.family === 4)
    return `IPv4-mapped IPv6 address ${JSON.stringify(text)} is not allowed`
  return new IpValue(address)
}

function parseIp(text: string): IpValue {
  const found = readIp(text)
  if (typeof found === 'string') throw new CelError(found)
  return found
}

function readCidr(text: string): CidrValue | null {
  const network = parseCidr(text)
  const address = parseAddress(text.slice(0, text.indexOf('/')))
  if (network === null || address === null || MAPPED.test(text)) return null
  return new CidrValue(network, address)
}

function parseNetwork(text: string): CidrValue {
  const found = readCidr(text)
  if (found === null) {
    throw new CelError(
      `network address parse error during conversion from string: netip.ParsePrefix(${JSON.stringify(text)}): unable to parse`,
    )
  }
  return found
}

const V6_BITS = 128n
const top = ({ value }: Address, bits: bigint): bigint => value >> (V6_BITS - bits)
const isV4In = ({ family, value }: Address, first: number): boolean =>
  family === 4 && value >> 24n === BigInt(first)

const isUnspecified = ({ value }: Address): boolean => value === 0n
const isLoopback = (address: Address): boolean =>
  address.family === 4 ? isV4In(address, 127) : address.value === 1n
const isLinkLocalMulticast = (address: Address): boolean =>
  address.family === 4 ? address.value >> 8n === 0xe00000n : (top(address, 16n) & 0xff0fn) === 0xff02n
const isLinkLocalUnicast = (address: Address): boolean =>
  address.family === 4 ? address.value >> 16n === 0xa9fen : top(address, 10n) === 0x3fan
const isMulticast = (address: Address): boolean =>
  address.family === 4 ? address.value >> 28n === 0xen : top(address, 8n) === 0xffn
const BROADCAST = 0xffffffffn

const isGlobalUnicast = (address: Address): boolean =>
  !(address.family === 4 && address.value === BROADCAST) &&
  !isUnspecified(address) &&
  !isLoopback(address) &&
  !isMulticast(address) &&
  !isLinkLocalUnicast(address)

const test = (name: string, holds: (address: Address) => boolean): Overload =>
  method(name, [[IP], BOOL], ({ address }: IpValue) => holds(address))

const containsIp = ({ network }: CidrValue, { address }: IpValue): boolean => cidrContains(network, address)

function containsCidr(outer: CidrValue, inner: CidrValue): boolean {
  const { family } = inner.network
  const isInside = cidrContains(outer.network, { family, value: inner.network.base })
  return isInside && outer.network.prefixLength <= inner.network.prefixLength
}

const walked = { cost: (size = 0) => traversal(size) }
const walkedSecond = { cost: (_cidr = 0, size = 0) => traversal(size) + 1 }
const format = ({ address }: IpValue): string => formatAddress(address)
const formatNetwork = ({ network, address }: CidrValue): string =>
  `${formatAddress(address)}/${network.prefixLength}`

export const net: readonly Overload[] = [
  fn('ip', [[STRING], IP], parseIp, walked),
  fn('isIP', [[STRING], BOOL], (text: string) => typeof readIp(text) !== 'string', walked),
  fn('ip.isCanonical', [[STRING], BOOL], (text: string) => format(parseIp(text)) === text, walked),
  fn('string', [[IP], STRING], format),
  method('family', [[IP], INT], ({ address }: IpValue) => BigInt(address.family)),
  test('isUnspecified', isUnspecified),
  test('isLoopback', isLoopback),
  test('isLinkLocalMulticast', isLinkLocalMulticast),
  test('isLinkLocalUnicast', isLinkLocalUnicast),
  test('isGlobalUnicast', isGlobalUnicast),
  fn('cidr', [[STRING], CIDR], parseNetwork, walked),
  fn('isCIDR', [[STRING], BOOL], (text: string) => readCidr(text) !== null, walked),
  fn('string', [[CIDR], STRING], formatNetwork),
  method('containsIP', [[CIDR, IP], BOOL], containsIp),
  method(
    'containsIP',
    [[CIDR, STRING], BOOL],
    (a: CidrValue, b: string) => containsIp(a, parseIp(b)),
    walkedSecond,
  ),
  method('containsCIDR', [[CIDR, CIDR], BOOL], containsCidr),
  method(
    'containsCIDR',
    [[CIDR, STRING], BOOL],
    (a: CidrValue, b: string) => containsCidr(a, parseNetwork(b)),
    walkedSecond,
  ),
  method('ip', [[CIDR], IP], ({ address }: CidrValue) => new IpValue(address)),
  method('masked', [[CIDR], CIDR], ({ network }: CidrValue) => parseNetwork(formatCidr(network))),
  method('prefixLength', [[CIDR], INT], ({ network }: CidrValue) => BigInt(network.prefixLength)),
]
