/** What routing is compiled out of: the objects of the cluster, and what the add-on was told. */
import type { ResourceRef } from '../../client/resources.ts'
import type { KubeObject } from '../../kube/object.ts'
import type { EndpointSlice, Ingress, IngressClass, Namespace, Service } from '../../kube/types.ts'
import {
  GATEWAY_GROUP,
  type Gateway,
  type GatewayClass,
  type GrpcRoute,
  type HttpRoute,
  type ReferenceGrant,
  type TlsRoute,
} from './gateway-types.ts'

/** Who serves a class: `spec.controller` of an IngressClass. */
export const INGRESS_CONTROLLER = 'mk8s.io/ingress'
/** The same of a GatewayClass. */
export const GATEWAY_CONTROLLER = 'mk8s.io/gateway'

export interface IngressSettings {
  readonly httpPort: number
  readonly httpsPort: number
  /** `namespace/name`, or empty for a certificate of the node's own. */
  readonly defaultCertificate: string
  /** 0: no limit. */
  readonly bodyBytesMax: number
  /** Whose X-Forwarded headers are believed. */
  readonly trustedProxies: string
  readonly proxyProtocol: boolean
  readonly accessLog: boolean
  /** Networks on loopback where pods are, with the runtime `process`; nothing else is reached there. */
  readonly loopbackPods: string
  /** Ports and ranges that Gateways may have for themselves, as `8443,9000-9099`. */
  readonly gatewayPorts: string
  readonly clusterDomain: string
}

export interface World {
  readonly ingresses: readonly Ingress[]
  readonly ingressClasses: readonly IngressClass[]
  readonly services: readonly Service[]
  readonly slices: readonly EndpointSlice[]
  readonly namespaces: readonly Namespace[]
  readonly gatewayClasses: readonly GatewayClass[]
  readonly gateways: readonly Gateway[]
  readonly routes: readonly HttpRoute[]
  readonly grpcRoutes: readonly GrpcRoute[]
  readonly tlsRoutes: readonly TlsRoute[]
  readonly grants: readonly ReferenceGrant[]
}

export type WorldKind = keyof World

export const EMPTY_WORLD: World = {
  ...{ ingresses: [], ingressClasses: [], services: [], slices: [], namespaces: [] },
  ...{ gatewayClasses: [], gateways: [], routes: [], grpcRoutes: [], tlsRoutes: [], grants: [] },
}

const ref = (group: string, resource: string, namespaced = true): ResourceRef =>
  Object.freeze({ group, version: 'v1', resource, namespaced })

export const WORLD_RESOURCES: Readonly<Record<WorldKind, ResourceRef>> = {
  ingresses: ref('networking.k8s.io', 'ingresses'),
  ingressClasses: ref('networking.k8s.io', 'ingressclasses', false),
  services: ref('', 'services'),
  slices: ref('discovery.k8s.io', 'endpointslices'),
  namespaces: ref('', 'namespaces', false),
  gatewayClasses: ref(GATEWAY_GROUP, 'gatewayclasses', false),
  gateways: ref(GATEWAY_GROUP, 'gateways'),
  routes: ref(GATEWAY_GROUP, 'httproutes'),
  grpcRoutes: ref(GATEWAY_GROUP, 'grpcroutes'),
  tlsRoutes: ref(GATEWAY_GROUP, 'tlsroutes'),
  grants: ref(GATEWAY_GROUP, 'referencegrants'),
}

export const WORLD_KINDS = Object.keys(WORLD_RESOURCES) as readonly WorldKind[]

/** PEM. */
export interface Certificate {
  readonly certificate: string
  readonly key: string
}

export const nameOf = ({ metadata: { namespace, name } }: KubeObject): string =>
  namespace ? `${namespace}/${name}` : (name ?? '')

/** The oldest first, then by name: whoever was first keeps what two claim. */
export function byAge(a: KubeObject, b: KubeObject): number {
  const [at, bt] = [a.metadata.creationTimestamp ?? '', b.metadata.creationTimestamp ?? '']
  if (at !== bt) return at < bt ? -1 : 1
  const [aName, bName] = [nameOf(a), nameOf(b)]
  if (aName === bName) return 0
  return aName < bName ? -1 : 1
}
