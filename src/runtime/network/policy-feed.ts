/**
 * What network policies are made of: the policies themselves, and once there is one, all pods and namespaces, since
 * any of them may be meant by a selector.
 */
import { abortable } from '../../base/abortable.ts'
import { Informer, type InformerParts } from '../../client/informer.ts'
import { NAMESPACES, NETWORK_POLICIES, PODS } from '../../client/resources.ts'
import type { Namespace, NetworkPolicy, Pod } from '../../kube/types.ts'
import { slimPod } from './policy-pods.ts'

export type PolicyFeedParts = Pick<InformerParts<Pod>, 'client' | 'clock' | 'random' | 'log'>

export class PolicyFeed {
  readonly policies: Informer<NetworkPolicy>
  readonly pods: Informer<Pod>
  readonly namespaces: Informer<Namespace>

  constructor(parts: PolicyFeedParts) {
    this.policies = new Informer<NetworkPolicy>({ ...parts, resource: NETWORK_POLICIES })
    this.pods = new Informer<Pod>({ ...parts, resource: PODS, transform: slimPod })
    this.namespaces = new Informer<Namespace>({ ...parts, resource: NAMESPACES })
  }

  /** Everything is known that the policies need. */
  get isSynced(): boolean {
    if (!this.policies.isSynced) return false
    return this.policies.size === 0 || (this.pods.isSynced && this.namespaces.isSynced)
  }

  /** Follows until `ending` fires; returns once it is synced, or rejects when `signal` fires first. */
  async start(
    onChange: () => void,
    { ending, signal }: Record<'ending' | 'signal', AbortSignal>,
  ): Promise<void> {
    const others = [this.pods, this.namespaces]
    const follow = () => {
      for (const informer of others) informer.start(ending)
    }
    for (const informer of others) {
      informer.onChange(onChange)
      void informer.synced.then(onChange)
    }
    this.policies.onChange(() => {
      follow()
      onChange()
    })
    this.policies.start(ending)
    await abortable(this.policies.synced, signal)
    if (this.policies.size === 0) return
    follow()
    await abortable(Promise.all(others.map(({ synced }) => synced)), signal)
  }
}
