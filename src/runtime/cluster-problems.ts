/** What is wrong in the cluster, each with its reason and what to do next: nodes and pods. Pure. */
import { compareTexts } from '../base/compare-texts.ts'
import type { Problem } from '../client/node-status.ts'
import type { ContainerStatus, Node, Pod, PodCondition } from '../kube/types.ts'

/** What is on its way is no problem yet. */
const PATIENCE_MS = 20_000
/** A pod that still ends so long after its grace period hangs. */
const OVERDUE_MS = 60_000
const PRESSURES = ['MemoryPressure', 'DiskPressure', 'PIDPressure', 'NetworkUnavailable']
const ON_THE_WAY = ['ContainerCreating', 'PodInitializing']

export interface ClusterFacts {
  readonly nodes: readonly Node[]
  readonly pods: readonly Pod[]
  readonly nowMs: number
}

/** Nodes first, then pods, those of kube-system before all others. */
export function findProblems({ nodes, pods, nowMs }: ClusterFacts): Problem[] {
  const sorted = [...pods].sort((a, b) => compareTexts(rankOf(a), rankOf(b)))
  return [
    ...nodes.flatMap(nodeProblems),
    ...versionProblems(nodes),
    ...sorted.flatMap(pod => {
      const problem = podProblem(pod, nowMs)
      return problem === undefined ? [] : [problem]
    }),
  ]
}

const rankOf = ({ metadata: { namespace = '', name = '' } }: Pod): string =>
  `${namespace === 'kube-system' ? 0 : 1}/${namespace}/${name}`

function nodeProblems(node: Node): Problem[] {
  const name = node.metadata.name ?? ''
  const next = `mk8s kubectl describe node ${name}`
  const object = `node/${name}`
  const conditions = node.status?.conditions ?? []
  const ready = conditions.find(({ type }) => type === 'Ready')
  const problems: Problem[] = []
  if (ready?.status !== 'True') {
    const message = ready?.message || 'the kubelet has not reported yet'
    problems.push({ object, reason: ready?.reason ?? 'NotReady', message, next })
  }
  for (const { type, status, message = '' } of conditions) {
    if (PRESSURES.includes(type) && status === 'True') problems.push({ object, reason: type, message, next })
  }
  return problems
}

/** As long as an upgrade is not at its end. */
function versionProblems(nodes: readonly Node[]): Problem[] {
  const byVersion = Map.groupBy(
    nodes.filter(({ status }) => status?.nodeInfo?.kubeletVersion),
    ({ status }) => (status?.nodeInfo?.kubeletVersion ?? '').replace(/^.*\+mk8s\./, ''),
  )
  if (byVersion.size < 2) return []
  const groups = [...byVersion].sort(([one], [other]) => compareTexts(one, other))
  const message = groups
    .map(([version, those]) => `${version} on ${those.map(({ metadata }) => metadata.name).join(', ')}`)
    .join('; ')
  return [{ object: 'cluster', reason: 'VersionsDiffer', message, next: 'mk8s upgrade --from PLACE' }]
}

/** The first thing that keeps the pod from being ready. */
function podProblem(pod: Pod, nowMs: number): Problem | undefined {
  const { namespace = '', name = '', deletionTimestamp } = pod.metadata
  const make = (reason: string, message: string, next = `describe pod ${name}`): Problem => ({
    object: `pod/${namespace}/${name}`,
    reason,
    message,
    next: `mk8s kubectl -n ${namespace} ${next}`,
  })
  if (deletionTimestamp !== undefined) {
    const isOverdue = nowMs - Date.parse(deletionTimestamp) > OVERDUE_MS
    return isOverdue ? make('Terminating', `it should have ended at ${deletionTimestamp}`) : undefined
  }
  if (pod.status?.phase === 'Succeeded') return undefined
  if (pod.status?.phase === 'Failed') return failedProblem(pod, make)
  return unscheduledProblem(pod, nowMs, make) ?? containerProblem(pod, make) ?? slowProblem(pod, nowMs, make)
}

type Make = (reason: string, message: string, next?: string) => Problem

/** The failed pods of a job are the job's own affair. */
function failedProblem(pod: Pod, make: Make): Problem | undefined {
  if (pod.metadata.ownerReferences?.some(owner => owner.kind === 'Job')) return undefined
  const failed = statusesOf(pod).find(({ state }) => (state?.terminated?.exitCode ?? 0) !== 0)
  const why = failed === undefined ? '' : exitText(failed, failed.state?.terminated)
  return make(pod.status?.reason ?? 'Failed', pod.status?.message || why || 'the pod has failed')
}

function unscheduledProblem(pod: Pod, nowMs: number, make: Make): Problem | undefined {
  if (pod.spec?.nodeName) return undefined
  const scheduled = conditionOf(pod, 'PodScheduled')
  if (scheduled?.status === 'False') return make(scheduled.reason ?? 'Unschedulable', scheduled.message ?? '')
  const age = nowMs - Date.parse(pod.metadata.creationTimestamp ?? '')
  return age > PATIENCE_MS ? make('Pending', 'the scheduler has not looked at it yet') : undefined
}

function containerProblem(pod: Pod, make: Make): Problem | undefined {
  const { name = '' } = pod.metadata
  for (const status of statusesOf(pod)) {
    const waiting = status.state?.waiting
    if (waiting === undefined || ON_THE_WAY.includes(waiting.reason ?? '')) continue
    const last = status.lastState?.terminated
    if (last === undefined) return make(waiting.reason ?? 'Waiting', waiting.message ?? '')
    const times = status.restartCount === 1 ? 'once' : `${status.restartCount} times`
    const message = `${exitText(status, last)}, restarted ${times}`
    return make(waiting.reason ?? 'Waiting', message, `logs ${name} -c ${status.name} --previous`)
  }
  return undefined
}

/** Neither ready nor in any trouble that it tells, for longer than a start takes. */
function slowProblem(pod: Pod, nowMs: number, make: Make): Problem | undefined {
  const ready = conditionOf(pod, 'Ready')
  if (ready?.status === 'True') return undefined
  const since = ready?.lastTransitionTime ?? pod.status?.startTime ?? pod.metadata.creationTimestamp ?? ''
  if (nowMs - Date.parse(since) <= PATIENCE_MS) return undefined
  const waiting = statusesOf(pod).find(({ state }) => state?.waiting !== undefined)?.state?.waiting
  const reason = waiting?.reason ?? ready?.reason ?? 'NotReady'
  return make(reason, waiting?.message || ready?.message || 'it does not become ready')
}

const conditionOf = (pod: Pod, type: string): PodCondition | undefined =>
  pod.status?.conditions?.find(condition => condition.type === type)

const statusesOf = ({ status }: Pod): ContainerStatus[] => [
  ...(status?.initContainerStatuses ?? []),
  ...(status?.containerStatuses ?? []),
]

function exitText(
  { name }: ContainerStatus,
  ended: { readonly exitCode: number; readonly reason?: string } | undefined,
): string {
  const reason = ended?.reason && ended.reason !== 'Error' ? ` (${ended.reason})` : ''
  return `container ${name} exited with code ${ended?.exitCode ?? '?'}${reason}`
}
