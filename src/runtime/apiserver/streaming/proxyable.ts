/** Where a proxy may lead: not to the API server's own machine, nor to what a cloud keeps on link-local addresses. */
import { isIP } from 'node:net'
import { cidrContains, parseAddress, parseCidr } from '../../../kube/cidr.ts'
import { mirrorOf } from '../../../kube/mirror-address.ts'

const OWN_MACHINE = '127.0.0.1'
const forbidden = [/^127\./, /^0\./, /^169\.254\./, /^(22[4-9]|23\d)\./]
const forbidden6 = [/^::1?$/, /^fe[89ab]/i, /^ff/i]

/**
 * Loopback, unspecified, link-local and multicast addresses are forbidden, but for the mirrors of pods' addresses;
 * names are not looked up, and are forbidden too.
 */
export function isProxyable(host: string, podCidr: string): boolean {
  const family = isIP(host)
  if (family === 4) return !forbidden.some(one => one.test(host)) || isPodMirror(host, podCidr)
  if (family !== 6) return false
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(host)?.[1]
  return mapped === undefined ? !forbidden6.some(one => one.test(host)) : isProxyable(mapped, podCidr)
}

function isPodMirror(host: string, podCidr: string): boolean {
  const pods = parseCidr(podCidr)
  const address = parseAddress(`${podCidr.split('.')[0]}.${host.split('.').slice(1).join('.')}`)
  if (pods === null || address === null || host === OWN_MACHINE) return false
  return host === mirrorOf(host) && cidrContains(pods, address)
}
