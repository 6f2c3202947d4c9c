/** What `mk8s remove-node` and `mk8s leave` ask of a server's daemon over the admin socket, and the answer. */

export interface RemovalRequest {
  /** Of the node; absent: the one that is asked leaves. */
  readonly name?: string
  /** Disruption budgets are not heeded, nor is a node that still runs given time to end its pods. */
  readonly force: boolean
  /** How long disruption budgets are heeded. */
  readonly drainMs: number
}

export interface RemovalOutcome {
  readonly name: string
  /** False: there was no such node. */
  readonly removed: boolean
  readonly server: boolean
  readonly evicted: number
  /** Pods, `namespace/name`, that were deleted against their budget, or that did not end in time. */
  readonly forced: readonly string[]
}
