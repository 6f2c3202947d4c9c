/** Asks for the addresses of a name outside, and forgets those at which nothing is to be reached by routes. */
import { lookup } from 'node:dns'
import type { LookupFunction } from 'node:net'
import type { Cidr } from '../../kube/cidr.ts'
import { isReachable } from './pools.ts'

/** By the node's own resolver. Whoever writes an ExternalName may choose what its name leads to. */
export const reachableLookup =
  (loopbackPods: readonly Cidr[]): LookupFunction =>
  (host, options, done) =>
    lookup(host, { ...options, all: true }, (error, addresses) => {
      if (error !== null) return done(error, '')
      const good = addresses.filter(({ address }) => isReachable(address, loopbackPods))
      const [first] = good
      if (first === undefined) return done(new Error(`${host} has no address that may be reached`), '')
      if (options.all === true) done(null, good)
      else done(null, first.address, first.family)
    })
