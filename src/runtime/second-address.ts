/**
 * The address of the other family that a node is known by besides its own: on the same interface, and stable as long
 * as that is.
 */
import { networkInterfaces } from 'node:os'
import { isLinkLocal } from '../base/link-local.ts'

/** Undefined while the interface has none that others could reach. */
export function secondAddress(address: string, interfaces = networkInterfaces()): string | undefined {
  const own = Object.values(interfaces).find(list => list?.some(each => each.address === address)) ?? []
  const wanted = address.includes(':') ? 'IPv4' : 'IPv6'
  const fit = own.filter(
    each => each.family === wanted && !isLinkLocal(each.address) && each.address !== '::1',
  )
  return fit.map(each => each.address)[0]
}
