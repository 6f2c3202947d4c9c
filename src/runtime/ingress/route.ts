/** What a request is done with, once it has been matched: plain values that the compilers make and the proxy obeys. */
import type { RE2JS } from 're2js'
import type { Cidr } from '../../kube/cidr.ts'

export type Protocol = 'http' | 'https' | 'h2c' | 'h2'

export interface Backend {
  /** Of the pool of endpoints: `namespace/service:port`. Empty: there is none, and the answer is `status`. */
  readonly pool: string
  readonly protocol: Protocol
  readonly weight: number
  /** What is answered when nothing can be reached there. */
  readonly status: number
  readonly requestHeaders: HeaderChanges | null
}

export type ValueMatch =
  | { readonly kind: 'exact'; readonly value: string }
  | { readonly kind: 'pattern'; readonly pattern: RE2JS }
  | { readonly kind: 'any' }

export interface Conditions {
  readonly method: string
  readonly headers: readonly { readonly name: string; readonly match: ValueMatch }[]
  readonly query: readonly { readonly name: string; readonly match: ValueMatch }[]
}

export interface HeaderChanges {
  readonly set: readonly (readonly [name: string, value: string])[]
  readonly add: readonly (readonly [name: string, value: string])[]
  readonly remove: readonly string[]
}

export interface Canary {
  readonly header: string
  readonly headerValue: ValueMatch | null
  readonly cookie: string
  readonly weight: number
  readonly weightTotal: number
  readonly backends: readonly Backend[]
}

export type PathRewrite =
  | { readonly kind: 'whole'; readonly path: string }
  | { readonly kind: 'prefix'; readonly prefix: string; readonly replacement: string }
  /** `$1` stands for what the first group of the expression has matched. */
  | { readonly kind: 'groups'; readonly pattern: RE2JS; readonly template: string }

export interface Redirect {
  readonly scheme: string
  readonly host: string
  /** 0: that of the scheme, or of the request when it keeps its scheme. */
  readonly port: number
  readonly path: PathRewrite | null
  readonly status: number
}

export interface Route {
  /** For logs: `Ingress default/web`. */
  readonly owner: string
  readonly conditions: Conditions | null
  /** Networks that may ask; null: all. */
  readonly sources: readonly Cidr[] | null
  readonly redirectsToHttps: boolean
  readonly redirect: Redirect | null
  readonly rewrite: PathRewrite | null
  /** Replaces Host; empty: as it came. */
  readonly host: string
  readonly requestHeaders: HeaderChanges | null
  readonly responseHeaders: HeaderChanges | null
  readonly backends: readonly Backend[]
  readonly canaries: Canary[]
  readonly mirrors: readonly Backend[]
  /** 0: no limit. */
  readonly bodyBytesMax: number
  readonly connectMs: number
  /** Between two reads from the backend. */
  readonly readMs: number
  /** Of the whole exchange, and of one try; 0: no limit. */
  readonly requestMs: number
  readonly backendRequestMs: number
}

export const CONNECT_MS = 5_000
export const READ_MS = 60_000

export const PLAIN_ROUTE: Omit<Route, 'canaries'> = {
  ...{ owner: '', conditions: null, sources: null, redirectsToHttps: false, redirect: null, rewrite: null },
  ...{ host: '', requestHeaders: null, responseHeaders: null, backends: [], mirrors: [] },
  ...{ bodyBytesMax: 0, connectMs: CONNECT_MS, readMs: READ_MS, requestMs: 0, backendRequestMs: 0 },
}
