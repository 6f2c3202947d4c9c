/** `/mk8s/status`: what `mk8s status` shows, asked of this server while somebody looks. */
import { type Polled, usePolled } from './polling.ts'

export interface Member {
  readonly name: string
  readonly id: string
  readonly address: string
  readonly role: string
  readonly leader: boolean
  readonly alive: boolean
  readonly stopped: boolean
  readonly silentMs: number | null
  readonly lag: number | null
  readonly version: string | null
  readonly failureDomain: string
  readonly leaving: boolean
}

interface Run {
  readonly outcome: string
  readonly finishedAt: string
  readonly durationMs: number
  readonly file: string
  readonly bytes: number
  readonly node: string
  readonly error: { readonly message: string; readonly why: string; readonly hint: string } | null
}

export interface Schedule {
  readonly name: string
  readonly state: string
  readonly spec: { readonly cron: string; readonly timeZone: string; readonly to: string }
  readonly nextRunAt: string | null
  readonly running: { readonly startedAt: string; readonly node: string } | null
  readonly lastSuccess: Run | null
  readonly runs: readonly Run[]
}

export interface ClusterStatus {
  readonly version: string
  readonly kubernetesVersion: string
  readonly ready: boolean
  readonly node: { readonly name: string; readonly address: string }
  readonly datastore: {
    readonly healthy: boolean
    readonly term: number
    readonly revision: number
    readonly members: readonly Member[]
    readonly highAvailability: { readonly state: string; readonly why: string }
  } | null
  readonly problems: readonly {
    readonly object: string
    readonly reason: string
    readonly message: string
    readonly next: string
  }[]
  readonly addons: readonly {
    readonly name: string
    readonly repository: string
    readonly description: string
    readonly version: string
    readonly enabled: boolean
  }[]
  readonly backups: readonly Schedule[]
}

const EVERY_MS = 4_000

export const useClusterStatus = (): Polled<ClusterStatus> =>
  usePolled<ClusterStatus>('/mk8s/status', EVERY_MS)
