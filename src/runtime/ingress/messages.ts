/** What the main thread and the routing's thread tell each other: plain values. */
import type { LogLine } from '../../base/thread-log.ts'
import type { KubeObject } from '../../kube/object.ts'
import type { Certificate, IngressSettings, WorldKind } from './world.ts'

/** An object, or null where it has gone. */
export type Change = readonly [kind: WorldKind, key: string, object: KubeObject | null]

export type ToIngress =
  | {
      readonly type: 'open'
      readonly settings: IngressSettings
      /** Where to listen; empty: on every address. */
      readonly address: string
      /** For names that have no other. */
      readonly own: Certificate
      readonly changes: readonly Change[]
      readonly certificates: readonly (readonly [name: string, certificate: Certificate])[]
    }
  | { readonly type: 'change'; readonly changes: readonly Change[] }
  /** All that there are. */
  | {
      readonly type: 'certificates'
      readonly certificates: readonly (readonly [name: string, certificate: Certificate])[]
    }
  | { readonly type: 'close' }

export type FromIngress =
  | { readonly type: 'listening'; readonly http: number; readonly https: number }
  | { readonly type: 'problem'; readonly text: string }
  /** Ports of Gateways that cannot be opened, in words. */
  | { readonly type: 'closed-ports'; readonly text: string }
  | LogLine
  | { readonly type: 'closed' }
