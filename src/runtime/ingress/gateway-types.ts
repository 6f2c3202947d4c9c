/** The kinds of the Gateway API that are read here, as far as they are. */

import type { KubeObject, ObjectMeta } from '../../kube/object.ts'
import type { Condition } from '../../kube/types.ts'

interface Gatewayish extends KubeObject {
  metadata: ObjectMeta
}

export interface GatewayClass extends Gatewayish {
  readonly spec?: { readonly controllerName?: string }
  readonly status?: { readonly conditions?: readonly Condition[] }
}

export interface LabelSelector {
  readonly matchLabels?: Readonly<Record<string, string>>
  readonly matchExpressions?: readonly {
    readonly key: string
    readonly operator: string
    readonly values?: readonly string[]
  }[]
}

export interface Listener {
  readonly name: string
  readonly hostname?: string
  readonly port: number
  readonly protocol: string
  readonly tls?: {
    readonly mode?: string
    readonly certificateRefs?: readonly ObjectRef[]
  }
  readonly allowedRoutes?: {
    readonly namespaces?: { readonly from?: string; readonly selector?: LabelSelector }
    readonly kinds?: readonly { readonly group?: string; readonly kind: string }[]
  }
}

export interface ObjectRef {
  readonly group?: string
  readonly kind?: string
  readonly name: string
  readonly namespace?: string
}

export interface Gateway extends Gatewayish {
  readonly spec?: { readonly gatewayClassName?: string; readonly listeners?: readonly Listener[] }
  readonly status?: Readonly<Record<string, unknown>>
}

export interface ParentRef extends ObjectRef {
  readonly sectionName?: string
  readonly port?: number
}

export interface BackendRef extends ObjectRef {
  readonly port?: number
  readonly weight?: number
  readonly filters?: readonly Filter[]
}

export interface HeaderFilter {
  readonly set?: readonly { readonly name: string; readonly value: string }[]
  readonly add?: readonly { readonly name: string; readonly value: string }[]
  readonly remove?: readonly string[]
}

export interface PathModifier {
  readonly type: string
  readonly replaceFullPath?: string
  readonly replacePrefixMatch?: string
}

export interface Filter {
  readonly type: string
  readonly requestHeaderModifier?: HeaderFilter
  readonly responseHeaderModifier?: HeaderFilter
  readonly requestMirror?: { readonly backendRef: BackendRef }
  readonly requestRedirect?: {
    readonly scheme?: string
    readonly hostname?: string
    readonly path?: PathModifier
    readonly port?: number
    readonly statusCode?: number
  }
  readonly urlRewrite?: { readonly hostname?: string; readonly path?: PathModifier }
}

export interface NamedMatch {
  readonly type?: string
  readonly name: string
  readonly value: string
}

export interface RouteMatch {
  readonly path?: { readonly type?: string; readonly value?: string }
  readonly headers?: readonly NamedMatch[]
  readonly queryParams?: readonly NamedMatch[]
  readonly method?: string
}

export interface RouteRule {
  readonly name?: string
  readonly matches?: readonly RouteMatch[]
  readonly filters?: readonly Filter[]
  readonly backendRefs?: readonly BackendRef[]
  readonly timeouts?: { readonly request?: string; readonly backendRequest?: string }
}

export interface HttpRoute extends Gatewayish {
  readonly spec?: {
    readonly parentRefs?: readonly ParentRef[]
    readonly hostnames?: readonly string[]
    readonly rules?: readonly RouteRule[]
  }
  readonly status?: { readonly parents?: readonly Readonly<Record<string, unknown>>[] }
}

export interface GrpcMatch {
  readonly method?: { readonly type?: string; readonly service?: string; readonly method?: string }
  readonly headers?: readonly NamedMatch[]
}

export interface GrpcRoute extends Gatewayish {
  readonly spec?: {
    readonly parentRefs?: readonly ParentRef[]
    readonly hostnames?: readonly string[]
    readonly rules?: readonly (Omit<RouteRule, 'matches' | 'timeouts'> & {
      readonly matches?: readonly GrpcMatch[]
    })[]
  }
  readonly status?: HttpRoute['status']
}

/** Connections by the name that their handshake asks for. */
export interface TlsRoute extends Gatewayish {
  readonly spec?: {
    readonly parentRefs?: readonly ParentRef[]
    readonly hostnames?: readonly string[]
    readonly rules?: readonly Pick<RouteRule, 'name' | 'backendRefs' | 'filters'>[]
  }
  readonly status?: HttpRoute['status']
}

export type RouteKind = 'HTTPRoute' | 'GRPCRoute' | 'TLSRoute'
export type AnyRoute = HttpRoute | GrpcRoute | TlsRoute

export interface ReferenceGrant extends Gatewayish {
  readonly spec?: {
    readonly from?: readonly { readonly group: string; readonly kind: string; readonly namespace: string }[]
    readonly to?: readonly { readonly group: string; readonly kind: string; readonly name?: string }[]
  }
}

export const GATEWAY_GROUP = 'gateway.networking.k8s.io'
