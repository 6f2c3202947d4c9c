/** Why the kubelet ends or refuses a pod by itself, as its status says it. */

export interface PodFailure {
  readonly reason: string
  readonly message: string
  /** The node needs what the pod has: a disruption, which jobs may leave uncounted. */
  readonly isDisruption?: boolean
  /** What is told of the disruption, where it is not the message. */
  readonly disruptionMessage?: string
  /** Its containers count as unready from now on, and not only once they have ended. */
  readonly isUnready?: boolean
  /** Instead of the pod's own grace period. */
  readonly graceMs?: number
  /** It was never taken in, so there is nothing to say of its containers. */
  readonly isRejection?: boolean
}
