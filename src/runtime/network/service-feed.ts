/** What both forms of the service proxy follow: all Services and all endpoint slices, as the API server has them. */
import { abortable } from '../../base/abortable.ts'
import { Informer, type InformerParts } from '../../client/informer.ts'
import { ENDPOINT_SLICES, SERVICES } from '../../client/resources.ts'
import type { EndpointSlice, Service } from '../../kube/types.ts'

export type ServiceFeedParts = Pick<InformerParts<Service>, 'client' | 'clock' | 'random' | 'log'>

/** As the client of the proxies calls itself. */
export const USER_AGENT = 'mk8s-service-proxy'

export class ServiceFeed {
  readonly services: Informer<Service>
  readonly slices: Informer<EndpointSlice>

  constructor(parts: ServiceFeedParts) {
    this.services = new Informer<Service>({ ...parts, resource: SERVICES })
    this.slices = new Informer<EndpointSlice>({ ...parts, resource: ENDPOINT_SLICES })
  }

  get isSynced(): boolean {
    return this.services.isSynced && this.slices.isSynced
  }

  /** Follows until `ending` fires; returns once everything is listed, or rejects when `signal` fires first. */
  async start(
    onChange: () => void,
    { ending, signal }: Record<'ending' | 'signal', AbortSignal>,
  ): Promise<void> {
    for (const informer of [this.services, this.slices]) {
      informer.onChange(onChange)
      informer.start(ending)
    }
    await abortable(Promise.all([this.services.synced, this.slices.synced]), signal)
  }
}
