/** How containers of a pod are stopped: preStop, SIGTERM, the grace period, SIGKILL. */

import type { Container, Pod } from '../../kube/types.ts'
import { runHook } from './lifecycle-hooks.ts'
import { isSidecar, latestSandbox } from './plan-pod.ts'
import { containerNamed } from './pod-containers.ts'
import type { PodContext } from './pod-context.ts'
import { recordPodEvent } from './pod-context.ts'
import { podText } from './pod-identity.ts'
import type { ContainerStatus } from './runtime/runtime.ts'

/** What a container gets for its end even when a preStop hook used up the grace period. */
const LEAST_GRACE_MS = 2_000

export interface StopRequest {
  readonly pod: Pod
  readonly containers: readonly ContainerStatus[]
  readonly graceMs: number
  /** The caller has said why already. */
  readonly isQuiet?: boolean
}

/** Stops running containers together; sidecars after the others, last started first. */
export async function stopContainers(request: StopRequest, context: PodContext): Promise<void> {
  const startedMs = context.clock.monotonic()
  const sidecars = (request.pod.spec?.initContainers ?? []).filter(isSidecar).map(({ name }) => name)
  const running = request.containers.filter(({ state }) => state === 'running')
  const first = running.filter(({ name }) => !sidecars.includes(name))
  await Promise.all(first.map(container => stopOne(container, request, context)))
  for (const name of sidecars.toReversed()) {
    const leftMs = Math.max(0, request.graceMs - (context.clock.monotonic() - startedMs))
    const graceMs = request.graceMs === 0 ? 0 : Math.max(LEAST_GRACE_MS, leftMs)
    const targets = running.filter(container => container.name === name)
    await Promise.all(targets.map(target => stopOne(target, { ...request, graceMs }, context)))
  }
}

/**
 * Has what is being stopped already end sooner: no preStop hook begins. Never fails, since the end of the pod itself
 * is tried again until nothing runs.
 */
export async function hastenStop(
  uid: string,
  graceMs: number,
  { runtime, log }: Pick<PodContext, 'runtime' | 'log'>,
): Promise<void> {
  try {
    const running = (await runtime.listContainers(uid)).filter(({ state }) => state === 'running')
    await Promise.all(running.map(({ id }) => runtime.stopContainer(id, graceMs)))
  } catch (error) {
    log.debug('containers of a pod could not be ended sooner', { uid, error })
  }
}

async function stopOne(container: ContainerStatus, request: StopRequest, context: PodContext): Promise<void> {
  const { pod, graceMs, isQuiet } = request
  if (!isQuiet) {
    const message = `Stopping container ${container.name}`
    const event = { type: 'Normal' as const, reason: 'Killing', message, container: container.name }
    recordPodEvent(context.recorder, pod, event)
  }
  const startedMs = context.clock.monotonic()
  const spec = containerNamed(pod, container.name)
  if (spec?.lifecycle?.preStop && graceMs > 0) await preStop(spec, container, request, context)
  const leftMs = graceMs - (context.clock.monotonic() - startedMs)
  await context.runtime.stopContainer(container.id, graceMs === 0 ? 0 : Math.max(LEAST_GRACE_MS, leftMs))
}

async function preStop(
  spec: Container,
  container: ContainerStatus,
  { pod, graceMs }: StopRequest,
  context: PodContext,
): Promise<void> {
  const hook = spec.lifecycle?.preStop
  if (hook === undefined) return
  const sandboxes = await context.runtime.listSandboxes()
  const own = latestSandbox(sandboxes.filter(({ metadata }) => metadata.uid === pod.metadata.uid))
  const podAddress = own?.addresses[0] ?? context.nodeAddress
  const target = { container: spec, containerId: container.id, podAddress, timeoutMs: graceMs }
  try {
    await runHook(hook, target, context)
  } catch (error) {
    const about = { pod: podText(pod), container: spec.name, error }
    context.log.debug('a preStop hook failed', about)
    // What a hook says may be a secret, and events are read by many.
    const message = 'PreStopHook failed'
    const event = { type: 'Warning' as const, reason: 'FailedPreStopHook', message, container: spec.name }
    recordPodEvent(context.recorder, pod, event)
  }
}
