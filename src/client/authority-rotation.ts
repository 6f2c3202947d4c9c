/** What a server says of a cluster authority that is being replaced: asked over the admin socket, as JSON. */

export interface AuthorityRotationStatus {
  /** `trust`: all nodes get to know the next one; `sign`: it signs; `drop`: the earlier one is forgotten. */
  readonly stage: 'trust' | 'sign' | 'drop'
  /** Names of the nodes that the stage waits for, or of none. */
  readonly waitsFor: readonly string[]
  /** Every node uses the next one, and trusts both. */
  readonly inUse: boolean
  /** RFC 3339, as the other time. */
  readonly beganAt: string
  /** When the earlier one is dropped; null while that depends on nodes. */
  readonly dropsAt: string | null
}
