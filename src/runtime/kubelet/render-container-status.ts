/** A container's status (pure) as upstream writes it. */
import { formatTime } from '../../kube/time.ts'
import type { Container, ContainerState, ContainerStatus, Pod } from '../../kube/types.ts'
import { afterExit } from './container-restart.ts'
import { isSidecar, latestOf } from './plan-pod.ts'
import type { Requirements } from './resources/allocation.ts'
import type { ContainerStatus as RuntimeContainer } from './runtime/runtime.ts'
import { mountStatuses } from './volumes/mount-status.ts'

export interface Waiting {
  readonly reason: string
  readonly message?: string
}

/** What the kubelet knows beside the runtime's records. */
export interface ContainerFacts {
  /** Scheme of container ids. */
  readonly runtimeName: string
  /** What containers use can be limited, and changed. */
  readonly canResize?: boolean
  /** What a container has been given; undefined where nobody knows. */
  readonly actuated?: (container: RuntimeContainer) => Requirements | undefined
  /** The runtime can mount what lies below a read-only mount read-only too. */
  readonly canRecurse?: boolean
  /** Health of the devices that a container was given. */
  readonly devices?: (name: string) => NonNullable<ContainerStatus['allocatedResourcesStatus']>
  /** Why a container waits: CrashLoopBackOff, CreateContainerConfigError, … */
  readonly waiting: (name: string) => Waiting | undefined
  readonly isReady: (containerId: string) => boolean
  readonly isStarted: (containerId: string) => boolean
  /** What the program left in its termination message file, or why it could not be started. */
  readonly terminationMessage: (containerId: string) => string
}

export interface ContainerStatusInput {
  readonly pod: Pod
  readonly container: Container
  readonly isInit: boolean
  readonly containers: readonly RuntimeContainer[]
  readonly facts: ContainerFacts
}

export function renderContainerStatus(input: ContainerStatusInput): ContainerStatus {
  const { container, containers, facts } = input
  const latest = latestOf(container.name, containers)
  if (latest === undefined) return withoutRecord(input)
  const waiting = facts.waiting(container.name)
  const isOver = waiting !== undefined && FINAL.includes(waiting.reason) && !isRestarted(input)
  const isWaiting = latest.state !== 'running' && waiting !== undefined && !isOver
  const previous = isWaiting ? latest : containers.find(other => isPrevious(other, latest))
  const state: ContainerState = isWaiting ? { waiting } : stateOf(latest, facts, isOver)
  const started = latest.state === 'running' && facts.isStarted(latest.id)
  return {
    name: container.name,
    state,
    lastState: previous === undefined ? {} : { terminated: terminatedOf(previous, facts) },
    ready: readyOf(input, latest, { started, isWaiting }),
    restartCount: latest.attempt,
    image: latest.image,
    imageID: latest.imageId,
    containerID: `${facts.runtimeName}://${latest.id}`,
    started,
    ...resourcesOf(input, latest),
    ...devicesOf(input),
    ...userOf(latest),
    ...(latest.stopSignal === undefined ? {} : { stopSignal: latest.stopSignal }),
    ...mountStatuses(container, facts.canRecurse === true),
  }
}

/** What a container waits for that has been made and could not be started. */
const FINAL = ['RunContainerError', 'PostStartHookError']

const isRestarted = ({ pod, container, containers }: ContainerStatusInput) => {
  const latest = latestOf(container.name, containers)
  return latest !== undefined && afterExit(container, pod, latest) !== 'stay'
}

const isPrevious = (other: RuntimeContainer, latest: RuntimeContainer) =>
  other.name === latest.name && other.attempt === latest.attempt - 1

function readyOf(
  { container, isInit, facts }: ContainerStatusInput,
  latest: RuntimeContainer,
  { started, isWaiting }: { started: boolean; isWaiting: boolean },
): boolean {
  if (isInit && !isSidecar(container)) return !isWaiting && latest.state === 'exited' && latest.exitCode === 0
  return started && facts.isReady(latest.id)
}

function stateOf(container: RuntimeContainer, facts: ContainerFacts, isOver: boolean): ContainerState {
  if (container.state === 'running') return { running: { startedAt: formatTime(container.startedAt) } }
  if (container.state === 'created' && !isOver) return { waiting: { reason: 'ContainerCreating' } }
  return { terminated: terminatedOf(container, facts) }
}

type Terminated = NonNullable<ContainerState['terminated']>

function terminatedOf(container: RuntimeContainer, facts: ContainerFacts): Terminated {
  const message = facts.terminationMessage(container.id) || container.message
  const neverRan = container.state === 'created'
  const finishedAt = neverRan ? container.createdAt : container.finishedAt
  return {
    exitCode: neverRan ? 128 : container.exitCode,
    reason: neverRan ? 'StartError' : container.reason,
    ...(message === '' ? {} : { message }),
    startedAt: formatTime(neverRan ? 0 : container.startedAt),
    finishedAt: formatTime(finishedAt),
    containerID: `${facts.runtimeName}://${container.id}`,
  }
}

/** Nothing ran yet, or the runtime's records are lost: what was reported before tells which. */
function withoutRecord({ pod, container, isInit, facts }: ContainerStatusInput): ContainerStatus {
  const reported = [...(pod.status?.initContainerStatuses ?? []), ...(pod.status?.containerStatuses ?? [])]
  const before = reported.find(({ name }) => name === container.name)
  if (before?.state?.terminated) return before
  const hasInits = (pod.spec?.initContainers ?? []).length > 0
  const waiting = facts.waiting(container.name) ?? {
    reason: isInit || hasInits ? 'PodInitializing' : 'ContainerCreating',
  }
  const lost: ContainerState = {
    terminated: {
      exitCode: 137,
      reason: 'ContainerStatusUnknown',
      message: 'The container could not be located when the pod was terminated',
    },
  }
  return {
    name: container.name,
    state: { waiting },
    lastState: before?.state?.running ? lost : (before?.lastState ?? {}),
    ready: false,
    restartCount: before?.restartCount ?? 0,
    image: container.image ?? '',
    imageID: '',
    started: false,
    ...mountStatuses(container, facts.canRecurse === true),
  }
}

function userOf({ user }: RuntimeContainer): Pick<ContainerStatus, 'user'> {
  if (user === undefined) return {}
  const { uid, gid, groups } = user
  return { user: { linux: { uid, gid, supplementalGroups: [...groups] } } }
}

function devicesOf({
  container,
  facts,
}: ContainerStatusInput): Pick<ContainerStatus, 'allocatedResourcesStatus'> {
  const devices = facts.devices?.(container.name) ?? []
  return devices.length === 0 ? {} : { allocatedResourcesStatus: [...devices] }
}

/** Without `resources` a running container cannot be resized. */
function resourcesOf(
  { container, facts }: ContainerStatusInput,
  latest: RuntimeContainer,
): Pick<ContainerStatus, 'resources' | 'allocatedResources'> {
  const asked = container.resources?.requests
  const has = (latest.state === 'running' ? facts.actuated?.(latest) : undefined) ?? container.resources ?? {}
  const { requests, limits } = has
  return {
    ...(asked ? { allocatedResources: asked } : {}),
    ...(facts.canResize === false && !requests && !limits
      ? {}
      : { resources: { ...(limits ? { limits } : {}), ...(requests ? { requests } : {}) } }),
  }
}
