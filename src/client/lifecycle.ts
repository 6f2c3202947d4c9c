/** Starting and stopping a node's daemon from outside, and waiting for what that brings about. */

import { type Clock, sleepAlive } from '../base/clock.ts'
import { Mk8sError } from '../base/errors.ts'
import type { Service } from '../host/daemon-service.ts'
import { clearFailure, findLostSocket, nodePaths, readFailure } from '../host/node-files.ts'
import { identifyProcess, readPidFile, waitUntilGone } from '../host/processes.ts'
import { type AdminClient, createAdminClient } from './admin-client.ts'
import { type NodeStatus, reasonsNotReady } from './node-status.ts'

export interface LifecycleParts {
  readonly dataDir: string
  readonly service: Service
  readonly clock: Clock
  /** Ends the containers that a daemon which died left running. */
  readonly endContainers: () => Promise<void>
}

/** Until the daemon opens its socket, it is looked for this often. */
const SOCKET_POLL_MS = 15
/** The longest single question for readiness; in between, the daemon's note of a failure is looked for. */
const ASK_MS = 2_000
/** A daemon that says nothing for so long hangs; whoever waits asks again while there is time. */
const HUNG_MS = 1_000
const WORKLOADS_STOP_MS = 60_000
/** On top of that, whatever the node's configuration gives its pods. */
const SHUTDOWN_MS_MAX = 3_600_000
const DAEMON_STOP_MS = 30_000

/** Starts the daemon; returns false when it runs already. */
export async function startNode({ dataDir, service }: LifecycleParts): Promise<boolean> {
  if (readPidFile(nodePaths(dataDir).daemonPid) !== undefined) return false
  clearFailure(dataDir)
  await service.start()
  return true
}

/**
 * Waits until the node is ready, and throws `node/not-ready` with what is missing when `timeoutMs` is over.
 * With `failFast`, the daemon's own error is thrown as soon as it reports that it cannot start; without it, a
 * daemon that ended may be started again by its supervisor.
 */
export async function waitUntilReady(
  parts: Pick<LifecycleParts, 'dataDir' | 'clock'>,
  { timeoutMs, failFast, signal }: { timeoutMs: number; failFast: boolean; signal?: AbortSignal },
): Promise<NodeStatus> {
  const { dataDir, clock } = parts
  const client = createAdminClient(nodePaths(dataDir).adminSocket)
  const deadline = clock.monotonic() + timeoutMs
  let last: NodeStatus | undefined
  for (;;) {
    const remaining = deadline - clock.monotonic()
    const waitReadyMs = Math.max(0, Math.min(remaining, ASK_MS))
    last = (await statusIfRunning(client, { waitReadyMs, answerMs: HUNG_MS })) ?? last
    if (last?.ready) return last
    const failure = failFast ? readFailure(dataDir) : undefined
    if (failure !== undefined) throw failure
    const lost = findLostSocket(dataDir)
    if (lost !== undefined) throw lost
    if (remaining <= 0) throw notReady(last, timeoutMs)
    await sleepAlive(clock, SOCKET_POLL_MS, signal)
  }
}

/** Waits for a node that was just `started`; one that failed to start is not left trying in the background. */
export async function waitForStart(
  parts: LifecycleParts,
  { started, timeoutMs }: { started: boolean; timeoutMs: number },
): Promise<NodeStatus> {
  try {
    return await waitUntilReady(parts, { timeoutMs, failFast: started })
  } catch (error) {
    const failed = error instanceof Mk8sError && error.code !== 'node/not-ready'
    if (started && failed) await parts.service.stop()
    throw error
  }
}

/** Ends the daemon and, with `workloads`, the containers too. False when nothing ran. */
export async function stopNode(
  parts: LifecycleParts,
  { workloads, isShutdown = false }: { workloads: boolean; isShutdown?: boolean },
): Promise<boolean> {
  const { dataDir, service, clock } = parts
  const client = createAdminClient(nodePaths(dataDir).adminSocket)
  const status = await statusIfRunning(client, {})
  const active = service.isActive()
  if (status !== undefined) {
    const daemon = identifyProcess(status.processId)
    const timeoutMs = WORKLOADS_STOP_MS + (isShutdown ? SHUTDOWN_MS_MAX : 0)
    await unlessGone(client.stop({ workloads, isShutdown, timeoutMs }))
    if (daemon !== undefined) await waitUntilGone(daemon, { clock, timeoutMs: DAEMON_STOP_MS })
  }
  await service.stop()
  clearFailure(dataDir)
  if (workloads) await parts.endContainers()
  return status !== undefined || active
}

/** A daemon that ended by itself, or was killed, since it told its status has stopped as well. */
async function unlessGone(stopping: Promise<void>): Promise<void> {
  try {
    await stopping
  } catch (error) {
    if (!(error instanceof Mk8sError) || error.code !== 'node/not-running') throw error
  }
}

async function statusIfRunning(
  client: AdminClient,
  options: Parameters<AdminClient['status']>[0],
): Promise<NodeStatus | undefined> {
  try {
    return await client.status(options)
  } catch (error) {
    if (error instanceof Mk8sError && (error.code === 'node/not-running' || error.code === 'timeout'))
      return undefined
    throw error
  }
}

function notReady(status: NodeStatus | undefined, timeoutMs: number): Mk8sError {
  const seconds = Math.round(timeoutMs / 1000)
  const why = status === undefined ? 'the daemon does not answer yet' : reasonsNotReady(status).join('\n')
  return new Mk8sError('node/not-ready', `the node is not ready after ${seconds} s`, {
    why,
    hint: 'mk8s status',
  })
}
