/** The PROXY protocol, versions 1 and 2: who is behind the load balancer. Pure. */
import { formatAddress, parseAddress } from '../../kube/cidr.ts'

/** Of a header with all that it may carry. */
export const PROXY_BYTES_MAX = 4_096

const SIGNATURE = Buffer.from([0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a])
const TEXT_BYTES_MAX = 107
const FIXED_BYTES = 16

/** An empty address: the balancer speaks for itself. `more`: it goes on. */
export function parseProxyHeader(
  bytes: Buffer,
): { readonly address: string; readonly bytes: number } | 'more' | 'bad' {
  const start = bytes.subarray(0, SIGNATURE.length)
  if (start.equals(SIGNATURE.subarray(0, start.length))) return binary(bytes)
  const text = bytes.subarray(0, TEXT_BYTES_MAX).toString('latin1')
  if (!text.startsWith('PROXY '.slice(0, text.length))) return 'bad'
  const end = text.indexOf('\r\n')
  if (end < 0) return bytes.length < TEXT_BYTES_MAX ? 'more' : 'bad'
  const [, family, source = ''] = text.slice(0, end).split(' ')
  if (family === 'UNKNOWN') return { address: '', bytes: end + 2 }
  if ((family !== 'TCP4' && family !== 'TCP6') || parseAddress(source) === null) return 'bad'
  return { address: source, bytes: end + 2 }
}

function binary(bytes: Buffer): ReturnType<typeof parseProxyHeader> {
  if (bytes.length < FIXED_BYTES) return 'more'
  const whole = FIXED_BYTES + bytes.readUInt16BE(14)
  if (whole > PROXY_BYTES_MAX || bytes.readUInt8(12) >> 4 !== 2) return 'bad'
  if (bytes.length < whole) return 'more'
  const isLocal = (bytes.readUInt8(12) & 0x0f) === 0
  const family = bytes.readUInt8(13) >> 4
  const size = family === 1 ? 4 : family === 2 ? 16 : 0
  if (isLocal || size === 0 || whole < FIXED_BYTES + size) return { address: '', bytes: whole }
  const hex = bytes.subarray(FIXED_BYTES, FIXED_BYTES + size).toString('hex')
  return { address: formatAddress({ family: family === 1 ? 4 : 6, value: BigInt(`0x${hex}`) }), bytes: whole }
}
