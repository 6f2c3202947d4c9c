/**
 * How soon a silent node counts as dead and its pods are made anew elsewhere: one choice for the whole cluster,
 * because kubelets, controllers and admission have to agree.
 */

export type Failover = 'normal' | 'fast'

export interface FailoverTimes {
  /** How long a node's lease holds; its kubelet renews it four times as often. */
  readonly leaseSeconds: number
  /** A node that is silent for so long is not ready, and tainted. */
  readonly nodeMonitorGraceMs: number
  /** How long pods that say nothing else stay on a node that is not ready or not reachable. */
  readonly tolerationSeconds: number
}

const TIMES: Readonly<Record<Failover, FailoverTimes>> = {
  normal: { leaseSeconds: 10, nodeMonitorGraceMs: 9_000, tolerationSeconds: 300 },
  fast: { leaseSeconds: 4, nodeMonitorGraceMs: 4_000, tolerationSeconds: 20 },
}

export function failoverTimes(failover: Failover): FailoverTimes {
  return TIMES[failover]
}
