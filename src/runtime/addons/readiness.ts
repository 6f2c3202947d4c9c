/** Whether an object of an add-on does its work, in upstream's own terms, and why not. Pure. */
import type { KubeObject } from '../../kube/object.ts'
import type { Pod } from '../../kube/types.ts'

export type Verdict = { readonly ready: true } | { readonly ready: false; readonly reason: string }

const READY: Verdict = { ready: true }
const notYet = (reason: string): Verdict => ({ ready: false, reason })

interface Condition {
  readonly type: string
  readonly status: string
  readonly reason?: string
  readonly message?: string
}

interface Workload extends KubeObject {
  readonly spec?: { readonly replicas?: number; readonly completions?: number }
  readonly status?: Readonly<Record<string, number>> & { readonly conditions?: readonly Condition[] }
}

export function judge(object: KubeObject): Verdict {
  const { metadata } = object
  if (metadata.deletionTimestamp !== undefined) return notYet('it is being deleted')
  const workload = object as Workload
  const status = workload.status ?? {}
  const seen = Number((status as { observedGeneration?: number }).observedGeneration ?? 0)
  switch (object.kind) {
    case 'Deployment':
    case 'StatefulSet':
    case 'ReplicaSet':
      return seen < (metadata.generation ?? 0)
        ? notYet('its controller has not seen it yet')
        : counted(
            workload.spec?.replicas ?? 1,
            // None that is updated is left out of a status.
            object.kind === 'ReplicaSet' ? status['replicas'] : status['updatedReplicas'],
            status['readyReplicas'],
          )
    case 'DaemonSet': {
      if (seen < (metadata.generation ?? 0)) return notYet('its controller has not seen it yet')
      return counted(
        status['desiredNumberScheduled'] ?? 0,
        status['updatedNumberScheduled'],
        status['numberReady'],
      )
    }
    case 'Job':
      return judgeCondition(object, 'Complete')
    case 'CustomResourceDefinition':
      return judgeCondition(object, 'Established')
    case 'APIService':
      return judgeCondition(object, 'Available')
    case 'Pod':
      return judgeCondition(object, 'Ready')
    default:
      return READY
  }
}

function counted(wanted: number, updated = 0, ready = 0): Verdict {
  if (updated >= wanted && ready >= wanted) return READY
  return notYet(`${Math.min(updated, ready)} of ${wanted} pods are ready`)
}

export function judgeCondition(object: KubeObject, type: string): Verdict {
  const conditions = (object as Workload).status?.conditions ?? []
  const failed = conditions.find(one => one.type === 'Failed' && one.status === 'True')
  const found = failed ?? conditions.find(one => one.type === type)
  if (found !== undefined && found.type === type && found.status === 'True') return READY
  if (found === undefined) return notYet(`its condition ${type} is not known yet`)
  const words = [found.reason, found.message].filter(word => word !== undefined && word !== '')
  return notYet(words.join(': ') || `its condition ${type} is ${found.status}`)
}

/** What is most telling about these pods: why a container waits, or why no node takes them; else null. */
export function podTrouble(pods: readonly Pod[]): string | null {
  for (const pod of pods) {
    const name = `pod ${pod.metadata.namespace}/${pod.metadata.name}`
    const statuses = [...(pod.status?.initContainerStatuses ?? []), ...(pod.status?.containerStatuses ?? [])]
    for (const { state } of statuses) {
      const { reason = '', message = '' } = state?.waiting ?? {}
      const isRoutine = ['', 'ContainerCreating', 'PodInitializing'].includes(reason)
      if (!isRoutine) return `${name}: ${[reason, message].filter(word => word !== '').join(': ')}`
    }
    const scheduled = pod.status?.conditions?.find(({ type }) => type === 'PodScheduled')
    if (scheduled?.status === 'False') return `${name}: ${scheduled.reason ?? ''}: ${scheduled.message ?? ''}`
  }
  return null
}
