/** Deletes pods that their kubelet can no longer delete. */
import { type Informer, keyOf } from '../../../client/informer.ts'
import { isNotFound, type KubeClient } from '../../../client/kube-client.ts'
import { NODES, PODS } from '../../../client/resources.ts'
import type { Node, Pod } from '../../../kube/types.ts'
import type { Controller, ControllerContext } from '../shared/context.ts'
import { deleteIfThere } from '../shared/deletion.ts'
import { disruptionPatch } from '../shared/disruption.ts'
import { keyedController, keysFrom } from '../shared/keyed-controller.ts'
import { isFinished } from '../shared/pods.ts'
import { classifyPod, isOutOfService, planExcess } from './plan.ts'

const SERVICE_ACCOUNT = 'pod-garbage-collector'
const NODE_INDEX = 'node'
/** A node that vanishes may come back at once under the same name. */
const QUARANTINE_MS = 40_000
/** The key that stands for "count the terminated pods". */
const EXCESS_KEY = ''

interface Parts {
  readonly context: ControllerContext
  readonly client: KubeClient
  readonly nodes: Informer<Node>
  readonly pods: Informer<Pod>
  /** When each pod was first seen without its node. */
  readonly orphanedSince: Map<string, number>
}

export function createPodGarbageCollector(context: ControllerContext): Controller {
  const nodes = context.informers.informer<Node>(NODES)
  const pods = context.informers.informer<Pod>(PODS)
  pods.addIndex(NODE_INDEX, pod => (pod.spec?.nodeName ? [pod.spec.nodeName] : []))
  const parts: Parts = {
    context,
    client: context.client(SERVICE_ACCOUNT),
    nodes,
    pods,
    orphanedSince: new Map(),
  }
  const nodeOf = (name: string) => nodes.get(name)
  const podKeys = (pod: Pod) => {
    const keys = classifyPod(pod, nodeOf) === 'keep' ? [] : [keyOf(pod)]
    return isFinished(pod) && pods.size > context.settings.terminatedPodsMax ? [...keys, EXCESS_KEY] : keys
  }
  return keyedController({
    name: SERVICE_ACCOUNT,
    context,
    workers: 1,
    sources: [
      keysFrom(pods, podKeys),
      keysFrom(nodes, ({ metadata: { name = '' } }) => {
        const node = nodeOf(name)
        const isServed = node !== undefined && !isOutOfService(node)
        return isServed ? [] : pods.byIndex(NODE_INDEX, name).map(keyOf)
      }),
    ],
    reconcile: key => (key === EXCESS_KEY ? deleteExcess(parts) : reconcile(parts, key)),
  })
}

async function reconcile(parts: Parts, key: string): Promise<number | undefined> {
  const pod = parts.pods.get(key)
  const garbage = pod === undefined ? 'keep' : classifyPod(pod, name => parts.nodes.get(name))
  if (pod === undefined || garbage === 'keep') {
    parts.orphanedSince.delete(key)
    return undefined
  }
  if (garbage === 'unscheduled-terminating') return deletePod(parts, pod)
  if (garbage === 'out-of-service') {
    await failPod(parts, pod, {})
    return deletePod(parts, pod)
  }
  const nowMs = parts.context.clock.monotonic()
  const sinceMs = parts.orphanedSince.get(key) ?? nowMs
  parts.orphanedSince.set(key, sinceMs)
  const leftMs = sinceMs + QUARANTINE_MS - nowMs
  if (leftMs > 0) return leftMs
  if (await nodeIsBack(parts, pod.spec?.nodeName ?? '')) return undefined
  const why = { reason: 'DeletionByPodGC', message: 'PodGC: node no longer exists' }
  await failPod(parts, pod, disruptionPatch(pod, why, parts.context.clock.now()))
  return deletePod(parts, pod)
}

async function nodeIsBack(parts: Parts, name: string): Promise<boolean> {
  try {
    await parts.client.get(NODES, { name })
    return true
  } catch (error) {
    if (isNotFound(error)) return false
    throw error
  }
}

async function failPod(parts: Parts, pod: Pod, reason: { readonly status?: object }): Promise<void> {
  if (isFinished(pod)) return
  const patch = { status: { ...reason.status, phase: 'Failed' } }
  const { namespace, name } = pod.metadata
  const target = { namespace, name: name ?? '', subresource: 'status', type: 'strategic' } as const
  try {
    await parts.client.patch(PODS, { ...target, patch })
  } catch (error) {
    if (!isNotFound(error)) throw error
  }
}

async function deletePod(parts: Parts, pod: Pod): Promise<undefined> {
  await deleteIfThere(parts.client, PODS, pod, { gracePeriodSeconds: 0 })
  return undefined
}

async function deleteExcess(parts: Parts): Promise<undefined> {
  for (const pod of planExcess(parts.pods.list(), parts.context.settings.terminatedPodsMax)) {
    await deletePod(parts, pod)
  }
  return undefined
}
