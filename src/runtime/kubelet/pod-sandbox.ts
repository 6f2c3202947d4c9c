/** Makes a pod's sandbox, after the ones it replaces have ended. */

import { readFile } from 'node:fs/promises'
import { Mk8sError, messageOf } from '../../base/errors.ts'
import { RUNTIME_CLASSES } from '../../client/resources.ts'
import type { Pod, RuntimeClass } from '../../kube/types.ts'
import type { PodAction } from './plan-pod.ts'
import { type PodContext, recordPodEvent } from './pod-context.ts'
import { identityOf, logDirectoryOf } from './pod-identity.ts'
import { renderIsolation, sandboxHostname } from './render-sandbox.ts'
import { podResources } from './resources/pod-resources.ts'
import type { SandboxConfig } from './runtime/runtime.ts'

type CreateSandbox = PodAction & { readonly kind: 'create-sandbox' }

export async function createSandbox(pod: Pod, action: CreateSandbox, context: PodContext): Promise<void> {
  const { recorder } = context
  for (const id of action.stale) await stopSandbox(id, context)
  if (action.stale.length > 0) {
    const message = 'Pod sandbox changed, it will be killed and re-created.'
    recordPodEvent(recorder, pod, { type: 'Normal', reason: 'SandboxChanged', message })
  }
  await prepareClaims(pod, context)
  try {
    await context.networks.runSandbox(pod, await sandboxConfig(pod, action.attempt, context))
  } catch (error) {
    const message = `Failed to create pod sandbox: ${messageOf(error)}`
    recordPodEvent(recorder, pod, { type: 'Warning', reason: 'FailedCreatePodSandBox', message })
    throw error
  }
}

async function prepareClaims(pod: Pod, { claims, recorder }: PodContext): Promise<void> {
  try {
    await claims.prepare(pod)
  } catch (error) {
    const message = `Failed to prepare dynamic resources: prepare dynamic resources: ${messageOf(error)}`
    recordPodEvent(recorder, pod, { type: 'Warning', reason: 'FailedPrepareDynamicResources', message })
    throw error
  }
}

/** Absent: the pod has the users of the machine. Throws where its handler has no others. */
async function userRangeOf(pod: Pod, handler: string, { runtime, userRanges }: PodContext) {
  if (pod.spec?.hostUsers !== false) return {}
  const found = runtime.handlers?.find(({ name }) => name === handler)
  if (found?.userNamespaces === true) return { userRange: await userRanges.rangeOf(identityOf(pod).uid) }
  const who = handler === '' ? 'runtime' : `RuntimeClass handler ${JSON.stringify(handler)}`
  const why = `can't set \`spec.hostUsers: false\`, ${who} does not support user namespaces`
  throw new Mk8sError('kubelet/runtime', why)
}

/** With the networks that it has beside the pod network. */
export async function stopSandbox(
  id: string,
  { runtime, networks }: Pick<PodContext, 'runtime' | 'networks'>,
): Promise<void> {
  await networks.release(id)
  await runtime.stopSandbox(id)
}

async function sandboxConfig(pod: Pod, attempt: number, context: PodContext): Promise<SandboxConfig> {
  const { directories, settings } = context
  const { namespace, name, uid } = identityOf(pod)
  const handler = await handlerOf(pod, context)
  return {
    metadata: { name, namespace, uid, attempt },
    hostname: sandboxHostname(pod, settings.clusterDomain),
    hostNetwork: pod.spec?.hostNetwork === true,
    logDirectory: logDirectoryOf(directories.logs, { namespace, name, uid }),
    labels: { ...pod.metadata.labels },
    annotations: { ...pod.metadata.annotations },
    ...(await isolationOf(pod, handler.runtimeHandler ?? '', context)),
    ...handler,
  }
}

async function handlerOf(
  pod: Pod,
  { runtime, client }: PodContext,
): Promise<Pick<SandboxConfig, 'runtimeHandler'>> {
  const name = pod.spec?.runtimeClassName
  if (!runtime.isolates || !name) return {}
  return { runtimeHandler: (await client.get<RuntimeClass>(RUNTIME_CLASSES, { name })).handler }
}

async function isolationOf(
  pod: Pod,
  handler: string,
  context: PodContext,
): Promise<Pick<SandboxConfig, 'isolation'>> {
  const { runtime, settings } = context
  if (!runtime.isolates) return {}
  const resolver = await readFile('/etc/resolv.conf', 'utf8').catch(() => '')
  const isolation = renderIsolation(pod, settings, resolver)
  const users = await userRangeOf(pod, handler, context)
  return { isolation: { ...isolation, resources: podResources(pod, settings), ...users } }
}
