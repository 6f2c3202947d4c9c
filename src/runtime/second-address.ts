/** The address of IPv6 that a node is known by besides its own: on the same interface, and stable as long as that is. */
import { networkInterfaces } from 'node:os'

/** Undefined while the interface has none that others could reach. */
export function secondAddress(address: string, interfaces = networkInterfaces()): string | undefined {
  const own = Object.values(interfaces).find(list => list?.some(each => each.address === address)) ?? []
  const fit = own.filter(each => each.family === 'IPv6' && each.scopeid === 0 && each.address !== '::1')
  return fit.map(each => each.address)[0]
}
