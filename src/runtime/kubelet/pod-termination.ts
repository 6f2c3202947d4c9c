/** How a pod ends: its containers stop, its last status is told, and it leaves the API. */

import { rm } from 'node:fs/promises'
import { isConflict, isNotFound } from '../../client/kube-client.ts'
import { PODS } from '../../client/resources.ts'
import type { Pod } from '../../kube/types.ts'
import type { PodContext } from './pod-context.ts'
import { identityOf, logDirectoryOf } from './pod-identity.ts'
import type { PodReporter } from './pod-reporter.ts'
import { stopSandbox } from './pod-sandbox.ts'
import { stopContainers } from './stop-containers.ts'
import type { PodVolumes } from './volumes/pod-volumes.ts'

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
  // Before anybody hears that the pod is over, and gives its devices away.
  await context.claims.unprepare(uid)
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
