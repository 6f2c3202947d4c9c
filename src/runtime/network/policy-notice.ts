/** Says plainly, on every network policy and in the node's status, that this node cannot enforce it. */
import { abortable } from '../../base/abortable.ts'
import type { Clock } from '../../base/clock.ts'
import type { Component, Health } from '../../base/component.ts'
import type { Log } from '../../base/log.ts'
import type { Random } from '../../base/random.ts'
import { EventRecorder } from '../../client/event-recorder.ts'
import { Informer } from '../../client/informer.ts'
import { KubeClient } from '../../client/kube-client.ts'
import { NETWORK_POLICIES } from '../../client/resources.ts'
import type { Transport } from '../../client/transport.ts'
import type { NetworkPolicy } from '../../kube/types.ts'
import { USER_AGENT } from './service-feed.ts'

export interface PolicyNoticeParts {
  readonly transport: Transport
  readonly nodeName: string
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
}

const WHY = 'its pods share the network of the machine (runtime "process")'

export function createPolicyNotice(parts: PolicyNoticeParts): Component {
  return new PolicyNotice(parts)
}

class PolicyNotice implements Component {
  readonly name = 'network-policies'
  readonly #policies: Informer<NetworkPolicy>
  readonly #recorder: EventRecorder
  readonly #nodeName: string
  readonly #aborter = new AbortController()

  constructor({ transport, nodeName, clock, random, log }: PolicyNoticeParts) {
    const client = new KubeClient(transport, { userAgent: USER_AGENT })
    const shared = { client, clock, random, log }
    this.#nodeName = nodeName
    this.#policies = new Informer<NetworkPolicy>({ ...shared, resource: NETWORK_POLICIES })
    this.#recorder = new EventRecorder({ ...shared, component: 'service-proxy', host: nodeName })
  }

  async prepare(): Promise<void> {}

  async start(signal: AbortSignal): Promise<void> {
    this.#policies.onChange((_, next, previous) => {
      if (next !== null && previous === null) this.#tell(next)
    })
    this.#policies.start(this.#aborter.signal)
    await abortable(this.#policies.synced, signal)
  }

  async stop(): Promise<void> {
    this.#aborter.abort()
    await this.#recorder.flush()
  }

  health(): Health {
    const { size } = this.#policies
    const count = size === 1 ? '1 network policy is' : `${size} network policies are`
    return { ok: true, reason: size === 0 ? '' : `${count} not enforced here: ${WHY}` }
  }

  #tell(policy: NetworkPolicy): void {
    const message = `Node ${this.#nodeName} does not enforce this policy: ${WHY}`
    this.#recorder.record(policy, 'Warning', 'NetworkPolicyNotEnforced', message)
  }
}
