/** What to do next about a pod (pure): its spec and what the runtime has become a list of actions. */

import type { Container, Pod } from '../../kube/types.ts'
import { afterExit, initAfterExit, restartOfAll } from './container-restart.ts'
import { containerNamed, ephemeralOf } from './pod-containers.ts'
import { decideRestart, type RestartBackoff } from './restart-backoff.ts'
import type { ContainerStatus, SandboxStatus } from './runtime/runtime.ts'

export type ProbeVerdict = 'unknown' | 'success' | 'failure'

export interface PodPlanInput {
  readonly pod: Pod
  readonly sandboxes: readonly SandboxStatus[]
  readonly containers: readonly ContainerStatus[]
  readonly nowMs: number
  readonly startup: (containerId: string) => ProbeVerdict
  readonly liveness: (containerId: string) => ProbeVerdict
  /** It was ended to be started anew. */
  readonly isToStart?: (containerId: string) => boolean
  readonly backoff: (name: string) => RestartBackoff | undefined
}

export type PodAction =
  /** Everything has ended and nothing is to be started again. */
  | { readonly kind: 'finish' }
  | { readonly kind: 'create-sandbox'; readonly attempt: number; readonly stale: readonly string[] }
  | {
      readonly kind: 'kill-container'
      readonly id: string
      readonly name: string
      readonly message: string
      /** Which probe failed; absent for another reason. */
      readonly probe?: 'startup' | 'liveness'
      /** Whatever the policy, it is started again. */
      readonly isRedefined?: boolean
    }
  | {
      readonly kind: 'start-container'
      readonly name: string
      readonly attempt: number
      /** Remembered for the next time; absent for a first start. */
      readonly backoff?: RestartBackoff
    }
  | { readonly kind: 'back-off'; readonly name: string; readonly untilMs: number; readonly delayMs: number }

/** What the pod's spec called its image when the container was made. */
export const IMAGE_ANNOTATION = 'io.kubernetes.container.image'

/** A restartable init container, which runs beside the others. */
export function isSidecar(container: Container): boolean {
  return container.restartPolicy === 'Always'
}

/** The newest of a container's attempts, or undefined. */
export function latestOf(name: string, containers: readonly ContainerStatus[]): ContainerStatus | undefined {
  let latest: ContainerStatus | undefined
  for (const container of containers) {
    if (container.name === name && (latest === undefined || container.attempt >= latest.attempt)) {
      latest = container
    }
  }
  return latest
}

export function latestSandbox(sandboxes: readonly SandboxStatus[]): SandboxStatus | undefined {
  return sandboxes.toSorted((a, b) => b.metadata.attempt - a.metadata.attempt)[0]
}

export function planPod(input: PodPlanInput): readonly PodAction[] {
  const sandbox = latestSandbox(input.sandboxes)
  if (sandbox === undefined || sandbox.state !== 'ready') return planSandbox(input, sandbox)
  const inside = input.containers.filter(container => container.sandboxId === sandbox.id)
  const cause = restartOfAll(input.pod, inside)
  if (cause === undefined) return planContainers(input, inside)
  const fresh = freshOf(input.pod, inside, cause)
  const before = inside.filter(container => !fresh.includes(container))
  return planRestartOfAll(input, cause, { before, fresh }) ?? planContainers(input, fresh)
}

/**
 * What was started because all are to be. A container whose start was under way when the cause ended is none of it, if
 * the init containers had not done their work again by then.
 */
function freshOf(
  { spec }: Pick<Pod, 'spec'>,
  inside: readonly ContainerStatus[],
  cause: ContainerStatus,
): readonly ContainerStatus[] {
  const later = inside.filter(({ createdAt }) => createdAt >= cause.finishedAt)
  const inits = spec?.initContainers ?? []
  const ends = inits
    .filter(init => !isSidecar(init))
    .map(({ name }) => {
      const latest = latestOf(name, later)
      return latest?.state === 'exited' && latest.exitCode === 0
        ? latest.finishedAt
        : Number.POSITIVE_INFINITY
    })
  const initialized = Math.max(cause.finishedAt, ...ends)
  const isInit = (name: string) => inits.some(init => init.name === name)
  return later.filter(({ name, createdAt }) => isInit(name) || createdAt >= initialized)
}

/** Everything of before ends first, and the one that asked for it waits as it would by itself; null: begin. */
function planRestartOfAll(
  input: PodPlanInput,
  cause: ContainerStatus,
  { before, fresh }: Readonly<Record<'before' | 'fresh', readonly ContainerStatus[]>>,
): readonly PodAction[] | null {
  const running = before.filter(({ state }) => state === 'running')
  if (running.length > 0) {
    return running.map(({ id, name }) => {
      const message = `Container ${name} will be restarted, as container ${cause.name} exited`
      return { kind: 'kill-container', id, name, message }
    })
  }
  if (fresh.length > 0) return null
  const again = restartOf(cause, input)
  return again.kind === 'back-off' ? [again] : null
}

function planContainers(input: PodPlanInput, present: readonly ContainerStatus[]): readonly PodAction[] {
  const inits = input.pod.spec?.initContainers ?? []
  const regulars = input.pod.spec?.containers ?? []
  const hasInitialized = regulars.some(({ name }) => latestOf(name, present) !== undefined)
  const actions: PodAction[] = planEphemeral(input)
  for (const init of inits) {
    if (isSidecar(init)) {
      const plan = planContainer(init, present, input)
      actions.push(...plan.actions)
      if (!hasInitialized && !plan.isUp) return actions
    } else if (!hasInitialized) {
      const plan = planInit(init, present, input)
      if (plan === 'failed') return planEnd(input, present)
      if (plan !== 'done') return [...actions, ...plan]
    }
  }
  const plans = regulars.map(container => planContainer(container, present, input))
  if (plans.every(plan => plan.hasEnded)) return [{ kind: 'finish' }]
  return [...actions, ...plans.flatMap(plan => plan.actions)]
}

/** Started once, as soon as they are there, and never again. */
function planEphemeral({ pod, containers }: PodPlanInput): PodAction[] {
  const known = (name: string) =>
    latestOf(name, containers) !== undefined ||
    pod.status?.ephemeralContainerStatuses?.some(status => status.name === name && status.containerID)
  const added = ephemeralOf(pod).filter(({ name }) => !known(name))
  return added.map(({ name }) => ({ kind: 'start-container', name, attempt: 0 }))
}

/** A pod that is over for good keeps its dead sandbox; any other gets a new one. */
function planSandbox(input: PodPlanInput, dead: SandboxStatus | undefined): PodAction[] {
  const policy = input.pod.spec?.restartPolicy ?? 'Always'
  const regulars = input.pod.spec?.containers ?? []
  if (dead !== undefined && input.containers.length > 0) {
    const isOver = (container: Container) => {
      const latest = latestOf(container.name, input.containers)
      if (latest === undefined) return policy === 'Never'
      return afterExit(container, input.pod, latest) === 'stay'
    }
    if (regulars.every(isOver)) return [{ kind: 'finish' }]
  }
  const attempt = dead === undefined ? 0 : dead.metadata.attempt + 1
  return [{ kind: 'create-sandbox', attempt, stale: input.sandboxes.map(({ id }) => id) }]
}

/** `done` lets the next one start. */
function planInit(
  init: Container,
  present: readonly ContainerStatus[],
  input: PodPlanInput,
): 'done' | 'failed' | PodAction[] {
  const latest = latestOf(init.name, present)
  if (latest === undefined) return [startOf(init.name, input)]
  if (latest.state === 'running') return []
  const next = initAfterExit(init, input.pod, latest)
  if (next === 'done') return 'done'
  return next === 'stay' ? 'failed' : [restartOf(latest, input)]
}

function planEnd(input: PodPlanInput, present: readonly ContainerStatus[]): PodAction[] {
  const hasRunning = present.some(({ state }) => state === 'running')
  return hasRunning || input.sandboxes.length > 0 ? [{ kind: 'finish' }] : []
}

interface ContainerPlan {
  readonly actions: readonly PodAction[]
  /** Has ended and stays so. */
  readonly hasEnded: boolean
  /** Runs and has passed its startup probe. */
  readonly isUp: boolean
}

function planContainer(
  container: Container,
  present: readonly ContainerStatus[],
  input: PodPlanInput,
): ContainerPlan {
  const latest = latestOf(container.name, present)
  if (latest === undefined) {
    return { actions: [startOf(container.name, input)], hasEnded: false, isUp: false }
  }
  if (latest.state === 'running') return planRedefined(container, latest) ?? planRunning(latest, input)
  if (input.isToStart?.(latest.id)) {
    return { actions: [startOf(container.name, input)], hasEnded: false, isUp: false }
  }
  if (afterExit(container, input.pod, latest) === 'stay') return { actions: [], hasEnded: true, isUp: false }
  return { actions: [restartOf(latest, input)], hasEnded: false, isUp: false }
}

/** Its image in the pod's spec is another one by now. */
function planRedefined(
  { image = '' }: Container,
  { id, name, annotations }: ContainerStatus,
): ContainerPlan | null {
  const before = annotations[IMAGE_ANNOTATION]
  if (before === undefined || before === image) return null
  const message = `Container ${name} definition changed, will be restarted`
  const kill: PodAction = { kind: 'kill-container', id, name, message, isRedefined: true }
  return { actions: [kill], hasEnded: false, isUp: false }
}

function planRunning(latest: ContainerStatus, input: PodPlanInput): ContainerPlan {
  const startup = input.startup(latest.id)
  const failed =
    startup === 'failure' ? 'startup' : input.liveness(latest.id) === 'failure' ? 'liveness' : null
  if (failed === null) return { actions: [], hasEnded: false, isUp: startup === 'success' }
  const spec = containerNamed(input.pod, latest.name)
  const isFinal = (spec?.restartPolicy ?? input.pod.spec?.restartPolicy) === 'Never'
  const message = `Container ${latest.name} failed ${failed} probe${isFinal ? '' : ', will be restarted'}`
  const { id, name } = latest
  const kill: PodAction = { kind: 'kill-container', id, name, message, probe: failed }
  return { actions: [kill], hasEnded: false, isUp: false }
}

/** Counts on from whatever is known of earlier attempts, also of another sandbox or of lost records. */
function startOf(name: string, input: PodPlanInput): PodAction {
  const { pod, containers } = input
  const earlier = latestOf(name, containers)
  const statuses = [...(pod.status?.initContainerStatuses ?? []), ...(pod.status?.containerStatuses ?? [])]
  const reported = statuses.find(status => status.name === name)
  const reportedNext = reported?.containerID ? reported.restartCount + 1 : 0
  const attempt = earlier === undefined ? reportedNext : earlier.attempt + 1
  const cause = restartOfAll(pod, input.containers)
  const again = cause !== undefined && cause.id === earlier?.id ? restartOf(cause, input) : undefined
  const backoff = again?.kind === 'start-container' ? again.backoff : undefined
  return { kind: 'start-container', name, attempt, ...(backoff === undefined ? {} : { backoff }) }
}

function restartOf(latest: ContainerStatus, input: PodPlanInput): PodAction {
  // A container that could not be started has no end of its own.
  const finishedAtMs = latest.finishedAt || latest.createdAt
  const decision = decideRestart(input.backoff(latest.name), { finishedAtMs, nowMs: input.nowMs })
  if (decision.kind === 'wait') {
    return { kind: 'back-off', name: latest.name, untilMs: decision.untilMs, delayMs: decision.delayMs }
  }
  const attempt = latest.attempt + 1
  return { kind: 'start-container', name: latest.name, attempt, backoff: decision.next }
}
