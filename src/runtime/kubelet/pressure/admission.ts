/** Which pods a node under pressure refuses (pure), as upstream's eviction manager. */
import { tolerates } from '../../../client/taints.ts'
import { qosClassOf } from '../../../kube/qos.ts'
import type { Pod } from '../../../kube/types.ts'
import type { PodFailure } from '../pod-failure.ts'
import { isMirror, isStatic } from '../static/render-static-pod.ts'
import type { PressureType } from './thresholds.ts'

const SYSTEM_CRITICAL = 2_000_000_000

/** Static pods and those of the highest priorities are let in always, and never evicted. */
export function isCritical(pod: Pod): boolean {
  return isStatic(pod) || isMirror(pod) || (pod.spec?.priority ?? 0) >= SYSTEM_CRITICAL
}

export function refusalOf(pod: Pod, pressures: readonly PressureType[]): PodFailure | null {
  if (pressures.length === 0 || isCritical(pod)) return null
  if (pressures.length === 1 && pressures[0] === 'MemoryPressure') {
    const taint = { key: 'node.kubernetes.io/memory-pressure', effect: 'NoSchedule' } as const
    const isTolerated = (pod.spec?.tolerations ?? []).some(toleration => tolerates(toleration, taint))
    if (qosClassOf(pod) !== 'BestEffort' || isTolerated) return null
  }
  const message = `The node had condition: [${pressures.join(' ')}]. `
  return { reason: 'Evicted', message: `Pod was rejected: ${message}` }
}
