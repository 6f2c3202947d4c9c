/** What the main thread and the registry's thread tell each other: plain values. */
import type { MessagePort } from 'node:worker_threads'
import type { LogLine } from '../../base/thread-log.ts'
import type { AccessRules, Asked } from './access.ts'
import type { Collected } from './collector.ts'
import type { MirrorConfig } from './mirror.ts'

export interface RegistryConfig {
  /** On the volume; nobody else writes there. */
  readonly directory: string
  readonly addresses: readonly string[]
  readonly port: number
  /** The quota. */
  readonly bytesMax: number
  readonly access: AccessRules
  /** Of the cluster, besides loopback. */
  readonly trusted: readonly string[]
  /** PEM; null: plain HTTP. */
  readonly tls: { readonly certificate: string; readonly key: string } | null
  /** A registry that mirrors takes no pushes. */
  readonly mirror: MirrorConfig | null
  readonly garbage: {
    readonly intervalMs: number
    readonly graceMs: number
    readonly untagged: boolean
  }
}

export type ToRegistry =
  /** `hashes`: the thread that hashes; null: there is none. */
  | { readonly type: 'open'; readonly config: RegistryConfig; readonly hashes: MessagePort | null }
  | { readonly type: 'trust'; readonly trusted: readonly string[] }
  | { readonly type: 'collect'; readonly id: number; readonly graceMs: number; readonly untagged: boolean }
  | { readonly type: 'reviewed'; readonly id: number; readonly verdict: boolean }
  | { readonly type: 'close' }

export interface RegistryState {
  readonly usedBytes: number
  readonly bytesMax: number
  readonly repositories: number
  readonly uploads: number
}

export type FromRegistry =
  | { readonly type: 'listening'; readonly port: number }
  | { readonly type: 'problem'; readonly text: string }
  | { readonly type: 'state'; readonly state: RegistryState }
  | {
      readonly type: 'collected'
      readonly id: number
      readonly collected: Collected | null
      readonly problem: string
    }
  | { readonly type: 'review'; readonly id: number; readonly token: string; readonly asked: Asked }
  | LogLine
  | { readonly type: 'closed' }
