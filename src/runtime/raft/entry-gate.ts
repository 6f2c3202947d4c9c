/**
 * Which entries may be proposed. A member that meets an entry it does not know stops, so a new type, or a new
 * format of one, enters the log only when the replicated cluster version says that every member knows it.
 */

import { ENTRY_FORMAT_VERSION, entryTypes, readEntryHeader } from './entry.ts'
import type { EntryVersions, ProposeOutcome } from './ready.ts'

/** What every cluster starts with, and what this program knows. */
export const CLUSTER_VERSION_MIN = 1
export const CLUSTER_VERSION_MAX = 1

const entryVersions: EntryVersions = new Map(
  Object.values(entryTypes).map(type => [type, [CLUSTER_VERSION_MIN]]),
)

export class EntryGate {
  readonly #versions: EntryVersions
  #clusterVersion = CLUSTER_VERSION_MIN

  constructor(versions: EntryVersions = entryVersions) {
    this.#versions = versions
  }

  get clusterVersion(): number {
    return this.#clusterVersion
  }

  /** The cluster version that the state holds; it never goes back. */
  raise(clusterVersion: number): void {
    this.#clusterVersion = Math.max(this.#clusterVersion, clusterVersion)
  }

  /** Why these may not enter the log; null when all may. */
  refuse(proposals: readonly Buffer[]): ProposeOutcome | null {
    const needs = Math.max(...proposals.map(proposal => this.#neededFor(proposal)))
    return needs > this.#clusterVersion ? { kind: 'too-new', needs } : null
  }

  #neededFor(proposal: Buffer): number {
    const { type, version } = readEntryHeader(proposal) ?? { type: 0, version: ENTRY_FORMAT_VERSION }
    return this.#versions.get(type)?.[version - 1] ?? Number.POSITIVE_INFINITY
  }
}
