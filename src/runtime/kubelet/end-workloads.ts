/** Ends every container of a node whose kubelet starts none any more, as `mk8s stop` does. */
import { sleep } from '../../base/clock.ts'
import { eachAtOnce } from '../../base/each-at-once.ts'
import type { PodContext } from './pod-context.ts'
import { stopSandbox } from './pod-sandbox.ts'

/** Containers get this long, or what their pod grants when that is less. */
const STOP_GRACE_MS = 5_000
/** Sandboxes that lose their network at a time: each takes programs of plugins. */
const SANDBOXES_AT_ONCE = 4
/** A runtime that has just ended is up again within this. */
const RUNTIME_BACK_MS = 10_000
const RUNTIME_POLL_MS = 200

/** `graceSecondsOf` tells what a pod grants, by its uid. */
export async function endWorkloads(
  context: PodContext,
  graceSecondsOf: (podUid: string) => number | undefined,
): Promise<void> {
  const { clock } = context
  const deadline = clock.monotonic() + RUNTIME_BACK_MS
  for (;;) {
    try {
      return await endContainers(context, graceSecondsOf)
    } catch (error) {
      if (clock.monotonic() >= deadline) throw error
      await sleep(clock, RUNTIME_POLL_MS)
    }
  }
}

async function endContainers(
  context: PodContext,
  graceSecondsOf: (podUid: string) => number | undefined,
): Promise<void> {
  const { runtime } = context
  const graceOf = (uid: string) => {
    const seconds = graceSecondsOf(uid)
    return seconds === undefined ? STOP_GRACE_MS : Math.min(STOP_GRACE_MS, seconds * 1_000)
  }
  const running = (await runtime.listContainers()).filter(({ state }) => state === 'running')
  await Promise.all(running.map(({ id, podUid }) => runtime.stopContainer(id, graceOf(podUid))))
  // A pod whose sandbox is gone starts afresh next time, as after a reboot, instead of backing off.
  const sandboxes = await runtime.listSandboxes()
  await eachAtOnce(sandboxes, SANDBOXES_AT_ONCE, ({ id }) => stopSandbox(id, context))
}
