/** How a pod ends: preStop, SIGTERM, the grace period, SIGKILL, its last status, and its leaving the API. */

import { rm } from 'node:fs/promises'
import { isConflict, isNotFound } from '../../client/kube-client.ts'
import { PODS } from '../../client/resources.ts'
import type { Container, Pod } from '../../kube/types.ts'
import { runHook } from './lifecycle-hooks.ts'
import { isSidecar, latestSandbox } from './plan-pod.ts'
import { containerNamed } from './pod-containers.ts'
import { identityOf, logDirectoryOf, type PodContext, podText, recordPodEvent } from './pod-context.ts'
import type { PodReporter } from './pod-reporter.ts'
import { stopSandbox } from './pod-sandbox.ts'
import type { ContainerStatus } from './runtime/runtime.ts'
import type { PodVolumes } from './volumes/pod-volumes.ts'

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

export interface EndRequest {
  readonly pod: Pod
  readonly graceMs: number
  readonly isVanished: () => boolean
  readonly volumes: PodVolumes
  readonly reporter: PodReporter
  /** Nothing runs any more: what is told from now on is told here. */
  readonly onStopped: () => Promise<void>
}

/** Works again from wherever it was interrupted. */
export async function endPod(request: EndRequest, context: PodContext): Promise<void> {
  const { pod, graceMs, reporter, volumes } = request
  const { runtime, directories, client } = context
  const { namespace, name, uid } = identityOf(pod)
  await stopContainers({ pod, containers: await runtime.listContainers(uid), graceMs }, context)
  const sandboxes = (await runtime.listSandboxes()).filter(({ metadata }) => metadata.uid === uid)
  for (const { id } of sandboxes) await stopSandbox(id, context)
  await request.onStopped()
  if (!request.isVanished()) {
    await reporter.report({
      pod,
      sandboxes: (await runtime.listSandboxes()).filter(({ metadata }) => metadata.uid === uid),
      containers: await runtime.listContainers(uid),
      isTerminated: true,
    })
    await reporter.flush()
  }
  for (const { id } of sandboxes) await runtime.removeSandbox(id)
  await volumes.remove()
  await rm(logDirectoryOf(directories.logs, { namespace, name, uid }), { recursive: true, force: true })
  if (request.isVanished()) return
  try {
    await client.delete(PODS, { namespace, name, uid, gracePeriodSeconds: 0 })
  } catch (error) {
    if (!isNotFound(error) && !isConflict(error)) throw error
  }
}
