/** Before a daemon does anything else: the address that the node is known by has to be one of this machine's. */
import { type Clock, sleep } from '../base/clock.ts'
import { Mk8sError } from '../base/errors.ts'
import type { Log } from '../base/log.ts'
import type { NodeConfig } from '../config/node-config.ts'
import { isOwnAddress, ownAddresses } from '../host/own-address.ts'

/** After a power cut the network may come a little later than the daemon. */
const WAIT_MS_MAX = 10_000
const POLL_MS = 250

export interface OwnAddressParts {
  readonly config: Pick<NodeConfig, 'bindAddress' | 'nodeName'>
  readonly clock: Clock
  readonly log: Log
  readonly signal: AbortSignal
  readonly isOwn?: (address: string) => Promise<boolean>
}

/** Throws `host/address-gone` when the address is on no interface, nor comes within seconds. */
export async function waitForOwnAddress(parts: OwnAddressParts): Promise<void> {
  const { config, clock, log, signal, isOwn = isOwnAddress } = parts
  const { bindAddress } = config
  const deadline = clock.monotonic() + WAIT_MS_MAX
  for (let told = false; !(await isOwn(bindAddress)); told = true) {
    if (!told) log.warn('the address of this node is on no network interface yet', { address: bindAddress })
    if (clock.monotonic() >= deadline) throw goneError(config)
    await sleep(clock, POLL_MS, signal)
  }
}

function goneError({ bindAddress, nodeName }: OwnAddressParts['config']): Mk8sError {
  const present = ownAddresses()
  const [first = 'ADDRESS'] = present
  return new Mk8sError(
    'host/address-gone',
    `${bindAddress}, the address of ${nodeName}, is on no network interface`,
    {
      why: present.length === 0 ? 'this machine has no address' : `this machine has ${present.join(', ')}`,
      hint: `give it its address back; or, if the node has moved: mk8s node set-address ${first}`,
    },
  )
}
