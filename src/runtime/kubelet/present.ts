/** What the runtime has of a pod. */
import type { Pod } from '../../kube/types.ts'
import { identityOf } from './pod-identity.ts'
import type { ContainerStatus, Runtime, SandboxStatus } from './runtime/runtime.ts'

export interface Present {
  readonly sandboxes: readonly SandboxStatus[]
  readonly containers: readonly ContainerStatus[]
}

export async function presentOf(
  pod: Pod,
  runtime: Pick<Runtime, 'listSandboxes' | 'listContainers'>,
): Promise<Present> {
  const { uid } = identityOf(pod)
  const [sandboxes, containers] = await Promise.all([runtime.listSandboxes(), runtime.listContainers(uid)])
  return { sandboxes: sandboxes.filter(({ metadata }) => metadata.uid === uid), containers }
}

export const runningOf = ({ containers }: Present): readonly ContainerStatus[] =>
  containers.filter(({ state }) => state === 'running')
