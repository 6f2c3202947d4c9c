/** Removes what is left of a pod's earlier containers and sandboxes, while the pod goes on. */
import { latestOf, latestSandbox } from '../plan-pod.ts'
import type { ContainerStatus, Runtime, SandboxStatus } from '../runtime/runtime.ts'
import { removeLog } from './log-rotator.ts'

interface Present {
  readonly sandboxes: readonly SandboxStatus[]
  readonly containers: readonly ContainerStatus[]
}

/** Of each container the newest attempt and the one before (for `logs --previous`) are kept. */
export async function removeDead(
  runtime: Pick<Runtime, 'removeContainer' | 'removeSandbox'>,
  { sandboxes, containers }: Present,
): Promise<void> {
  for (const { id, name, attempt, logPath } of containers) {
    const latest = latestOf(name, containers)
    if (latest === undefined || attempt >= latest.attempt - 1) continue
    await runtime.removeContainer(id)
    await removeLog(logPath)
  }
  const used = new Set(containers.map(({ sandboxId }) => sandboxId))
  const newest = latestSandbox(sandboxes)
  for (const { id } of sandboxes) {
    if (id !== newest?.id && !used.has(id)) await runtime.removeSandbox(id)
  }
}
