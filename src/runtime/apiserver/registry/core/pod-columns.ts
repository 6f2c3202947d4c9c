/** The table of pods: READY, the one word that says how a pod is, restarts, and where it runs. */
import type { ContainerState, ContainerStatus, Pod } from '../../../../kube/types.ts'
import { ageColumn, column, NONE, nameColumn, since, tableOf, wide } from '../columns.ts'

interface Progress {
  ready: number
  restarts: number
  lastRestart: string
  reason: string
}

export const podTable = tableOf<Pod>(
  [
    nameColumn,
    column('Ready', 'Containers that are ready, of those that the pod has'),
    column('Status', 'Where the pod is in its life, or why it is not further'),
    column('Restarts', 'How often containers were started again, and when last'),
    ageColumn,
    wide('IP', 'Address of the pod'),
    wide('Node', 'Node that the pod is bound to'),
    wide('Nominated Node', 'Node on which preemption makes room for the pod'),
    wide('Readiness Gates', 'Readiness gates that are true, of those that the pod has'),
  ],
  (pod, nowMs) => {
    const progress = podProgress(pod)
    const total = (pod.spec?.containers?.length ?? 0) + restartableNames(pod).size
    const restarts =
      progress.restarts !== 0 && progress.lastRestart !== ''
        ? `${progress.restarts} (${since(progress.lastRestart, nowMs)} ago)`
        : String(progress.restarts)
    return [
      pod.metadata.name ?? '',
      `${progress.ready}/${total}`,
      progress.reason,
      restarts,
      since(pod.metadata.creationTimestamp, nowMs),
      pod.status?.podIPs?.[0]?.ip || pod.status?.podIP || NONE,
      pod.spec?.nodeName || NONE,
      pod.status?.nominatedNodeName || NONE,
      readinessGates(pod),
    ]
  },
)

function restartableNames(pod: Pod): ReadonlySet<string> {
  const sidecars = (pod.spec?.initContainers ?? []).filter(item => item.restartPolicy === 'Always')
  return new Set(sidecars.map(item => item.name))
}

/** What STATUS, READY and RESTARTS say: from the init containers while they run, else from the containers. */
export function podProgress(pod: Pod): Progress {
  const status = pod.status
  const conditions = status?.conditions ?? []
  let reason = status?.reason || status?.phase || ''
  if (conditions.some(item => item.type === 'PodScheduled' && item.reason === 'SchedulingGated')) {
    reason = 'SchedulingGated'
  }
  const init = initProgress(pod, reason)
  const initialized = conditions.some(item => item.type === 'Initialized' && item.status === 'True')
  const progress = !init.initializing || initialized ? mainProgress(pod, init) : init.whole
  if (pod.metadata.deletionTimestamp) progress.reason = deletedReason(pod, progress.reason)
  return progress
}

function deletedReason(pod: Pod, reason: string): string {
  if (pod.status?.reason === 'NodeLost') return 'Unknown'
  const finished = pod.status?.phase === 'Succeeded' || pod.status?.phase === 'Failed'
  return finished ? reason : 'Terminating'
}

interface InitProgress {
  initializing: boolean
  /** Counting every init container. */
  whole: Progress
  /** Counting the restartable ones (sidecars) only. */
  sidecars: Progress
}

function initProgress(pod: Pod, reason: string): InitProgress {
  const sidecarNames = restartableNames(pod)
  const whole: Progress = { ready: 0, restarts: 0, lastRestart: '', reason }
  const sidecars: Progress = { ready: 0, restarts: 0, lastRestart: '', reason }
  const total = pod.spec?.initContainers?.length ?? 0
  for (const [index, container] of (pod.status?.initContainerStatuses ?? []).entries()) {
    const isSidecar = sidecarNames.has(container.name)
    countRestarts(whole, container)
    if (isSidecar) countRestarts(sidecars, container)
    if (container.state?.terminated?.exitCode === 0) continue
    if (isSidecar && container.started === true) {
      if (container.ready) whole.ready++
      continue
    }
    whole.reason = initReason(container.state) ?? `Init:${index}/${total}`
    return { initializing: true, whole, sidecars }
  }
  return { initializing: false, whole, sidecars }
}

function initReason(state: ContainerState | undefined): string | null {
  if (state?.terminated) return `Init:${terminatedReason(state.terminated)}`
  const waiting = state?.waiting?.reason
  return waiting && waiting !== 'PodInitializing' ? `Init:${waiting}` : null
}

function terminatedReason(terminated: { reason?: string; signal?: number; exitCode: number }): string {
  if (terminated.reason) return terminated.reason
  return terminated.signal ? `Signal:${terminated.signal}` : `ExitCode:${terminated.exitCode}`
}

function countRestarts(progress: Progress, container: ContainerStatus): void {
  progress.restarts += container.restartCount ?? 0
  const finished = container.lastState?.terminated?.finishedAt ?? ''
  if (finished > progress.lastRestart) progress.lastRestart = finished
}

function mainProgress(pod: Pod, init: InitProgress): Progress {
  const { restarts, lastRestart } = init.sidecars
  const progress: Progress = { ready: init.whole.ready, restarts, lastRestart, reason: init.whole.reason }
  let hasRunning = false
  for (const container of (pod.status?.containerStatuses ?? []).toReversed()) {
    countRestarts(progress, container)
    const state = container.state
    if (state?.waiting?.reason) progress.reason = state.waiting.reason
    else if (state?.terminated) progress.reason = terminatedReason(state.terminated)
    else if (container.ready && state?.running) {
      hasRunning = true
      progress.ready++
    }
  }
  if (progress.reason === 'Completed' && hasRunning) progress.reason = isReady(pod) ? 'Running' : 'NotReady'
  return progress
}

function isReady(pod: Pod): boolean {
  return (pod.status?.conditions ?? []).some(item => item.type === 'Ready' && item.status === 'True')
}

function readinessGates(pod: Pod): string {
  const gates = pod.spec?.readinessGates ?? []
  if (gates.length === 0) return NONE
  const conditions = pod.status?.conditions ?? []
  const met = gates.filter(gate =>
    conditions.some(item => item.type === gate.conditionType && item.status === 'True'),
  )
  return `${met.length}/${gates.length}`
}
