/** Which endpoints a Service's port has, out of its EndpointSlices. Pure. */
import { type Cidr, cidrContains, parseAddress } from '../../kube/cidr.ts'
import { SERVICE_NAME_LABEL } from '../../kube/endpoint-slice-labels.ts'
import type { EndpointSlice, Service } from '../../kube/types.ts'
import type { Protocol } from './route.ts'

export interface Endpoint {
  /** Of an ExternalName: a name. */
  readonly address: string
  readonly port: number
}

export interface ServicePort {
  /** `namespace/service:port name`. */
  readonly pool: string
  /** What the Service says of its port; null: nothing that is understood. */
  readonly protocol: Protocol | null
}

const APP_PROTOCOLS: Readonly<Record<string, Protocol>> = {
  'kubernetes.io/h2c': 'h2c',
  ...{ http: 'http', https: 'https', grpc: 'h2c', http2: 'h2c' },
}

export interface PoolSettings {
  readonly loopbackPods: readonly Cidr[]
  readonly clusterDomain: string
}

export class ServicePools {
  readonly #services: ReadonlyMap<string, Service>
  readonly #slices = new Map<string, EndpointSlice[]>()
  readonly #settings: PoolSettings
  /** Those that a route has asked for. */
  readonly pools = new Map<string, readonly Endpoint[]>()

  constructor(
    services: readonly Service[],
    slices: readonly EndpointSlice[],
    settings: PoolSettings = { loopbackPods: [], clusterDomain: 'cluster.local' },
  ) {
    this.#settings = settings
    this.#services = new Map(services.map(service => [keyOf(service.metadata), service]))
    for (const slice of slices) {
      const name = slice.metadata.labels?.[SERVICE_NAME_LABEL]
      if (name === undefined || slice.addressType === 'FQDN') continue
      const key = `${slice.metadata.namespace}/${name}`
      const known = this.#slices.get(key)
      if (known === undefined) this.#slices.set(key, [slice])
      else known.push(slice)
    }
  }

  /** null: there is no such Service or port. */
  find(namespace: string, name: string, port: number | string): ServicePort | null {
    const key = `${namespace}/${name}`
    const spec = this.#services.get(key)?.spec
    if (spec === undefined) return null
    if (spec.type === 'ExternalName') return this.#external(key, spec, port)
    const found = spec.ports?.find(one => one.port === port || one.name === port)
    if (found === undefined) return null
    const pool = `${key}:${found.name ?? ''}`
    if (!this.pools.has(pool)) this.pools.set(pool, this.#endpointsOf(key, found.name ?? ''))
    return { pool, protocol: APP_PROTOCOLS[found.appProtocol ?? ''] ?? null }
  }

  /** As with nginx, the Service need not name the port. Names of the cluster lead to the Services themselves. */
  #external(key: string, spec: NonNullable<Service['spec']>, port: number | string): ServicePort | null {
    const found = spec.ports?.find(one => one.port === port || one.name === port)
    const { targetPort, appProtocol = '' } = found ?? {}
    const number = Number(targetPort ?? found?.port ?? port)
    const host = (spec.externalName ?? '').toLowerCase().replace(/\.$/, '')
    if (!Number.isInteger(number) || number < 1 || host === '') return null
    const [service = '', namespace = ''] = host.split('.')
    if (host === `${service}.${namespace}.svc.${this.#settings.clusterDomain}`) {
      const inner = this.#services.get(`${namespace}/${service}`)?.spec
      return inner?.type === 'ExternalName' ? null : this.find(namespace, service, number)
    }
    const pool = `${key}:${number}`
    if (!this.pools.has(pool)) this.pools.set(pool, [{ address: host, port: number }])
    return { pool, protocol: APP_PROTOCOLS[appProtocol] ?? null }
  }

  /** Ready ones; while there is none, those that still serve although they end. */
  #endpointsOf(service: string, portName: string): readonly Endpoint[] {
    const ready = new Map<string, Endpoint>()
    const ending = new Map<string, Endpoint>()
    for (const slice of this.#slices.get(service) ?? []) {
      const port = slice.ports?.find(one => (one.name ?? '') === portName)?.port
      if (port === undefined) continue
      for (const { addresses, conditions } of slice.endpoints ?? []) {
        const address = addresses[0]
        if (address === undefined || !isReachable(address, this.#settings.loopbackPods)) continue
        const endpoint = { address, port }
        if (conditions?.ready !== false) ready.set(`${address} ${port}`, endpoint)
        else if (conditions.serving === true) ending.set(`${address} ${port}`, endpoint)
      }
    }
    return [...(ready.size > 0 ? ready : ending).values()]
  }
}

const keyOf = ({ namespace, name }: Service['metadata']): string => `${namespace}/${name}`

const FORBIDDEN = [
  /^(127|0)\./,
  /^169\.254\./,
  /^(22[4-9]|2[3-5]\d)\./,
  /^::1?$/,
  /^fe[89ab]/i,
  /^ff/i,
  /^::ffff:/i,
]

/** Whoever writes EndpointSlices must not reach the nodes' own loopback or a cloud's metadata by them. */
export function isReachable(address: string, loopbackPods: readonly Cidr[]): boolean {
  if (!FORBIDDEN.some(pattern => pattern.test(address))) return true
  const parsed = parseAddress(address)
  return parsed !== null && loopbackPods.some(cidr => cidrContains(cidr, parsed))
}
