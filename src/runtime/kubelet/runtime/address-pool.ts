/** Pod addresses of one node: the network's hosts in turn, so that a freed address rests before it is used again. */
import { Mk8sError } from '../../../base/errors.ts'

export { mirrorOf } from '../../../kube/mirror-address.ts'

/** The first node's part of the default pod network. */
export const DEFAULT_POD_CIDR = '10.1.0.0/24'

/** The node's range as it is now; null while the cluster has not given it one. */
export type RangeOfPods = () => string | null

export class AddressPool {
  readonly #range: RangeOfPods
  readonly #used = new Set<string>()
  #next = 0

  /** A range such as `10.1.0.0/24`; network, gateway (.1) and broadcast address are never handed out. */
  constructor(range: RangeOfPods) {
    this.#range = range
  }

  /** Marks an address as taken, as found at a restart. */
  adopt(address: string): void {
    this.#used.add(address)
  }

  allocate(): string {
    const cidr = this.#range()
    if (cidr === null) {
      throw new Mk8sError('kubelet/runtime', 'this node has no range of pod addresses yet', {
        why: 'the cluster gives one to each node that registers; its controllers may not be running',
      })
    }
    const [base = '', bits = ''] = cidr.split('/')
    const first = toNumber(base) + 2
    const count = 2 ** (32 - Number(bits)) - 3
    for (let tries = 0; tries < count; tries++) {
      const address = toText(first + (this.#next++ % count))
      if (this.#used.has(address)) continue
      this.#used.add(address)
      return address
    }
    throw new Mk8sError('kubelet/runtime', 'no pod address is free on this node', {
      hint: 'Delete pods, or install the node with a larger pod network.',
    })
  }

  release(address: string): void {
    this.#used.delete(address)
  }
}

function toNumber(address: string): number {
  return address.split('.').reduce((sum, part) => sum * 256 + Number(part), 0)
}

function toText(value: number): string {
  return [24, 16, 8, 0].map(shift => Math.floor(value / 2 ** shift) % 256).join('.')
}
