/** What both forms of the service proxy follow: all Services and all endpoint slices, as the API server has them. */
import { abortable } from '../../base/abortable.ts'
import { Informer, type InformerParts } from '../../client/informer.ts'
import { ENDPOINT_SLICES, SERVICES } from '../../client/resources.ts'
import { SERVICE_NAME_LABEL } from '../../kube/endpoint-slice-labels.ts'
import type { EndpointSlice, Service } from '../../kube/types.ts'
import { serviceKeyOf } from './port-plan.ts'

export type ServiceFeedParts = Pick<InformerParts<Service>, 'client' | 'clock' | 'random' | 'log'>

/** As the client of the proxies calls itself. */
export const USER_AGENT = 'mk8s-service-proxy'

const serviceOf = (slice: EndpointSlice) => serviceKeyOf(slice, slice.metadata.labels?.[SERVICE_NAME_LABEL])
const BY_SERVICE = 'proxied-service'

export class ServiceFeed {
  readonly services: Informer<Service>
  readonly slices: Informer<EndpointSlice>

  constructor(parts: ServiceFeedParts) {
    this.services = new Informer<Service>({ ...parts, resource: SERVICES })
    this.slices = new Informer<EndpointSlice>({ ...parts, resource: ENDPOINT_SLICES })
    this.slices.addIndex(BY_SERVICE, slice => [serviceOf(slice)])
  }

  slicesOf(serviceKey: string): EndpointSlice[] {
    return this.slices.byIndex(BY_SERVICE, serviceKey)
  }

  get isSynced(): boolean {
    return this.services.isSynced && this.slices.isSynced
  }

  /** Follows until `ending` fires; returns once everything is listed, or rejects when `signal` fires first. */
  async start(
    onChange: (serviceKey: string) => void,
    { ending, signal }: Record<'ending' | 'signal', AbortSignal>,
  ): Promise<void> {
    this.services.onChange(onChange)
    this.slices.onChange((_, next, previous) => {
      const [now, before] = [next, previous].map(slice => (slice === null ? null : serviceOf(slice)))
      if (now) onChange(now)
      if (before && before !== now) onChange(before)
    })
    this.services.start(ending)
    this.slices.start(ending)
    await abortable(Promise.all([this.services.synced, this.slices.synced]), signal)
  }
}
