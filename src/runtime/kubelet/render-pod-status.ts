/** A pod's status (pure): phase, conditions and addresses from its containers' statuses, as upstream writes them. */

import { observedGeneration } from '../../kube/observed-generation.ts'
import { qosClassOf } from '../../kube/qos.ts'
import { formatQuantity, type Quantity } from '../../kube/quantity.ts'
import { podTotal } from '../../kube/quota-usage.ts'
import { formatTime } from '../../kube/time.ts'
import type { Container, ContainerStatus, Pod, PodCondition, PodStatus } from '../../kube/types.ts'
import { afterExit, initAfterExit } from './container-restart.ts'
import { isSidecar, latestSandbox } from './plan-pod.ts'
import { inFamilyOrder } from './pod-addresses.ts'
import { ephemeralOf } from './pod-containers.ts'
import type { PodFailure } from './pod-failure.ts'
import { isOver } from './pod-states.ts'
import { type ContainerFacts, renderContainerStatus } from './render-container-status.ts'
import type { Requirements } from './resources/allocation.ts'
import type { ResizeState } from './resources/pod-resizer.ts'
import type { ContainerStatus as RuntimeContainer, SandboxStatus } from './runtime/runtime.ts'

export interface PodStatusInput {
  readonly pod: Pod
  readonly sandboxes: readonly SandboxStatus[]
  readonly containers: readonly RuntimeContainer[]
  readonly facts: ContainerFacts
  readonly hostAddress: string
  /** The node's address of the other family. */
  readonly secondAddress?: string | undefined
  readonly nowMs: number
  /** The kubelet ended the pod: DeadlineExceeded and the like. */
  readonly failure?: PodFailure | undefined
  readonly resize?: ResizeState | undefined
  /** What the pod as a whole has been given. */
  readonly whole?: Requirements | undefined
  /** Containers are being ended, and some still run: it is not over yet. */
  readonly isEnding?: boolean
  /** Everything has been stopped for good. */
  readonly isTerminated: boolean
}

export function renderPodStatus(input: PodStatusInput): PodStatus {
  const { pod, facts, containers, nowMs } = input
  if (input.failure?.isRejection) return rejectedStatus(input, input.failure)
  const render = (isInit: boolean) => (container: Container) =>
    renderContainerStatus({ pod, container, isInit, containers, facts })
  const inits = (pod.spec?.initContainers ?? []).map(render(true))
  const regulars = (pod.spec?.containers ?? []).map(render(false))
  const ephemeral = ephemeralOf(pod).map(container => renderEphemeral(input, container))
  const reached = input.failure ? 'Failed' : phaseOf(input, inits, regulars)
  // Whoever hears that it is over may count on nothing of it running.
  const failure = input.isEnding ? undefined : input.failure
  const phase = input.isEnding && isOver({ phase: reached }) ? (pod.status?.phase ?? 'Running') : reached
  return {
    ...observedGeneration(pod),
    phase,
    ...(failure ? { reason: failure.reason, message: failure.message } : {}),
    conditions: conditionsOf(
      { ...input, failure },
      { phase: input.failure?.isUnready ? reached : phase, inits, regulars },
    ),
    hostIP: input.hostAddress,
    hostIPs: hostAddresses(input).map(ip => ({ ip })),
    ...addressesOf(input),
    startTime: pod.status?.startTime ?? formatTime(nowMs),
    ...(inits.length > 0 ? { initContainerStatuses: inits } : {}),
    containerStatuses: regulars,
    ...(ephemeral.length > 0 ? { ephemeralContainerStatuses: ephemeral } : {}),
    qosClass: pod.status?.qosClass ?? qosClassOf(pod),
    ...wholeOf(input),
  }
}

/** What the node keeps for the pod, and what its own control group has. */
function wholeOf({
  pod,
  whole = pod.status?.resources,
}: PodStatusInput): Pick<PodStatus, 'resources' | 'allocatedResources'> {
  const requests = pod.spec === undefined ? new Map<string, Quantity>() : podTotal(pod.spec, 'requests')
  const asked = [...requests].map(([name, amount]) => [name, formatQuantity(amount)] as const)
  return {
    ...(asked.length > 0 ? { allocatedResources: Object.fromEntries(asked) } : {}),
    ...(whole && pod.spec?.resources ? { resources: whole } : {}),
  }
}

/** As upstream's: kubectl shows the reason then, and not what containers would wait for. */
function rejectedStatus({ pod, nowMs }: PodStatusInput, { reason, message }: PodFailure): PodStatus {
  const { generation } = pod.metadata
  return {
    ...(generation === undefined ? {} : { observedGeneration: generation }),
    ...{ phase: 'Failed', reason, message },
    startTime: pod.status?.startTime ?? formatTime(nowMs),
    qosClass: pod.status?.qosClass ?? qosClassOf(pod),
  }
}

/** Has no probes, so that it is neither ready nor said to have started. */
function renderEphemeral(input: PodStatusInput, container: Container): ContainerStatus {
  const { pod, containers, facts } = input
  const before = pod.status?.ephemeralContainerStatuses?.find(({ name }) => name === container.name)
  if (before?.state?.terminated) return before
  const { started: _started, ...status } = renderContainerStatus({
    pod,
    container,
    isInit: false,
    containers,
    facts,
  })
  return { ...status, ready: false }
}

const hostAddresses = ({ hostAddress, secondAddress }: PodStatusInput): string[] =>
  secondAddress === undefined ? [hostAddress] : [hostAddress, secondAddress]

function addressesOf(input: PodStatusInput): Pick<PodStatus, 'podIP' | 'podIPs'> {
  const { pod, sandboxes } = input
  const sandbox = latestSandbox(sandboxes)
  const current = inFamilyOrder(sandbox?.addresses ?? [], input.hostAddress)
  // A pod that has ended keeps the address that it had.
  const known = current.length > 0 ? current : (pod.status?.podIPs?.map(({ ip }) => ip) ?? [])
  const addresses = pod.spec?.hostNetwork && sandbox !== undefined ? hostAddresses(input) : known
  const [first] = addresses
  return first === undefined ? {} : { podIP: first, podIPs: addresses.map(ip => ({ ip })) }
}

interface Counts {
  waiting: number
  running: number
  stopped: number
  succeeded: number
}

function count(statuses: readonly ContainerStatus[]): Counts {
  const counts: Counts = { waiting: 0, running: 0, stopped: 0, succeeded: 0 }
  for (const { state, lastState } of statuses) {
    if (state?.running) counts.running += 1
    else if (state?.terminated) {
      counts.stopped += 1
      if (state.terminated.exitCode === 0) counts.succeeded += 1
    } else if (lastState?.terminated) counts.stopped += 1
    else counts.waiting += 1
  }
  return counts
}

function phaseOf(
  { pod, isTerminated }: PodStatusInput,
  inits: readonly ContainerStatus[],
  regulars: readonly ContainerStatus[],
): string {
  const specs = pod.spec?.initContainers ?? []
  const counts = count(regulars)
  const hasStarted = counts.running + counts.stopped > 0
  const pending = inits.some((status, index) => isInitPending(specs[index], status, hasStarted))
  // A sidecar is started again whatever the policy says, and how it ends decides nothing.
  const failedInit = inits.some(({ state }, index) => {
    const spec = specs[index]
    const exitCode = state?.terminated?.exitCode
    if (spec === undefined || isSidecar(spec) || exitCode === undefined) return false
    return initAfterExit(spec, pod, { state: 'exited', exitCode }) === 'stay'
  })
  if (failedInit) return 'Failed'
  if (isTerminated) return counts.stopped === regulars.length && allSucceeded(counts) ? 'Succeeded' : 'Failed'
  if (pending || counts.waiting > 0) return 'Pending'
  if (counts.running > 0) return 'Running'
  if (regulars.some(status => isRestarted(pod, status))) return 'Running'
  return allSucceeded(counts) ? 'Succeeded' : 'Failed'
}

function isRestarted(pod: Pod, { name, state, lastState }: ContainerStatus): boolean {
  const spec = pod.spec?.containers.find(container => container.name === name)
  const ended = state?.terminated ?? lastState?.terminated
  if (spec === undefined || ended === undefined) return false
  return afterExit(spec, pod, { state: 'exited', exitCode: ended.exitCode }) !== 'stay'
}

const allSucceeded = (counts: Counts) => counts.stopped > 0 && counts.stopped === counts.succeeded

function isInitPending(spec: Container | undefined, status: ContainerStatus, hasStarted: boolean): boolean {
  if (spec !== undefined && isSidecar(spec)) return !hasStarted && status.started !== true
  return !hasStarted && status.state?.terminated?.exitCode !== 0
}

interface Rendered {
  readonly phase: string
  readonly inits: readonly ContainerStatus[]
  readonly regulars: readonly ContainerStatus[]
}

interface Verdict {
  readonly isTrue: boolean
  readonly reason?: string
  readonly message?: string
}

const PENDING = 'PodResizePending'
const IN_PROGRESS = 'PodResizeInProgress'
/** Their absence says something too. */
export const PASSING_CONDITIONS = [PENDING, IN_PROGRESS]

/** What the kubelet says itself; all others belong to whoever set them. */
export const OWN_CONDITIONS: ReadonlySet<string> = new Set([
  'PodReadyToStartContainers',
  'Initialized',
  'Ready',
  'ContainersReady',
  'PodScheduled',
  PENDING,
  IN_PROGRESS,
])

const DISRUPTION = 'DisruptionTarget'

function conditionsOf(input: PodStatusInput, rendered: Rendered): PodCondition[] {
  const containersReady = containersReadyOf(input.pod, rendered)
  const sandbox = latestSandbox(input.sandboxes)
  const verdicts: [string, Verdict][] = [
    ['PodReadyToStartContainers', { isTrue: sandbox?.state === 'ready' && !input.isTerminated }],
    ['Initialized', initializedOf(input.pod, rendered)],
    ['Ready', readyOf(input.pod, containersReady)],
    ['ContainersReady', containersReady],
    ['PodScheduled', { isTrue: true }],
  ]
  const owned = [...resizeVerdicts(input), ...verdicts].map(each => conditionOf(...each, input))
  const foreign = (input.pod.status?.conditions ?? []).filter(({ type }) => !OWN_CONDITIONS.has(type))
  const isTold = foreign.some(({ type }) => type === DISRUPTION)
  if (input.failure?.isDisruption !== true || isTold) return [...owned, ...foreign]
  const verdict = {
    isTrue: true,
    reason: 'TerminationByKubelet',
    message: input.failure.disruptionMessage ?? input.failure.message,
  }
  return [...owned, ...foreign, conditionOf(DISRUPTION, verdict, input)]
}

/** There only while there is something to tell. */
function resizeVerdicts({ resize }: PodStatusInput): [string, Verdict][] {
  const { pending, inProgress } = resize ?? {}
  const error = inProgress?.error
  return [
    ...(pending ? [[PENDING, { isTrue: true, ...pending }] as [string, Verdict]] : []),
    ...(inProgress
      ? [
          [
            IN_PROGRESS,
            { isTrue: true, ...(error === undefined ? {} : { reason: 'Error', message: error }) },
          ] as [string, Verdict],
        ]
      : []),
  ]
}

/** The time moves only when the status does. */
function conditionOf(type: string, verdict: Verdict, { pod, nowMs }: PodStatusInput): PodCondition {
  const status = verdict.isTrue ? 'True' : 'False'
  const before = pod.status?.conditions?.find(condition => condition.type === type)
  const isSame = before?.status === status && before.lastTransitionTime !== undefined
  return {
    type,
    status,
    ...observedGeneration(pod),
    lastTransitionTime: isSame ? (before?.lastTransitionTime ?? '') : formatTime(nowMs),
    ...(verdict.reason === undefined ? {} : { reason: verdict.reason }),
    ...(verdict.message === undefined ? {} : { message: verdict.message }),
  }
}

function initializedOf(pod: Pod, { phase, inits, regulars }: Rendered): Verdict {
  if (phase === 'Succeeded') return { isTrue: true, reason: 'PodCompleted' }
  const counts = count(regulars)
  if (counts.running + counts.stopped > 0) return { isTrue: true }
  const specs = pod.spec?.initContainers ?? []
  const incomplete = inits.filter((status, index) => {
    const spec = specs[index]
    return spec !== undefined && isSidecar(spec) ? status.started !== true : !status.ready
  })
  if (incomplete.length === 0) return { isTrue: true }
  const message = `containers with incomplete status: [${names(incomplete)}]`
  return { isTrue: false, reason: 'ContainersNotInitialized', message }
}

function containersReadyOf(pod: Pod, { phase, inits, regulars }: Rendered): Verdict {
  if (phase === 'Succeeded') return { isTrue: false, reason: 'PodCompleted' }
  if (phase === 'Failed') return { isTrue: false, reason: 'PodFailed' }
  const sidecars = inits.filter((_status, index) => {
    const spec = pod.spec?.initContainers?.[index]
    return spec !== undefined && isSidecar(spec)
  })
  const unready = [...sidecars, ...regulars].filter(({ ready }) => !ready)
  if (unready.length === 0) return { isTrue: true }
  const message = `containers with unready status: [${names(unready)}]`
  return { isTrue: false, reason: 'ContainersNotReady', message }
}

function readyOf(pod: Pod, containersReady: Verdict): Verdict {
  if (!containersReady.isTrue) return containersReady
  const problems = (pod.spec?.readinessGates ?? []).flatMap(({ conditionType }) => {
    const gate = pod.status?.conditions?.find(({ type }) => type === conditionType)
    if (gate === undefined)
      return [`corresponding condition of pod readiness gate "${conditionType}" does not exist.`]
    if (gate.status === 'True') return []
    return [`the status of pod readiness gate "${conditionType}" is not "True", but ${gate.status}`]
  })
  if (problems.length === 0) return { isTrue: true }
  return { isTrue: false, reason: 'ReadinessGatesNotReady', message: problems.join(', ') }
}

const names = (statuses: readonly ContainerStatus[]) => statuses.map(({ name }) => name).join(' ')
