/** Clears a node of its pods before it goes: no new ones, then evictions that disruption budgets may delay. */
import { type Clock, sleep } from '../../base/clock.ts'
import { isNotFound, type KubeClient } from '../../client/kube-client.ts'
import { NODES, PODS } from '../../client/resources.ts'
import { StatusError } from '../../kube/status.ts'
import type { Pod } from '../../kube/types.ts'

const POLL_MS = 500
/** How long pods may take to end after their eviction, on top of the limit for the evictions themselves. */
const ENDING_MS_MAX = 40_000
const MIRROR = 'kubernetes.io/config.mirror'
const TOO_MANY_REQUESTS = 429

export interface DrainParts {
  readonly client: KubeClient
  readonly clock: Clock
}

export interface DrainRequest {
  readonly nodeName: string
  /** The kubelet is there to end the pods; otherwise they are deleted as they are. */
  readonly alive: boolean
  /** How long disruption budgets are heeded; afterwards pods are deleted. */
  readonly limitMs: number
  readonly signal?: AbortSignal
}

export interface DrainOutcome {
  /** `namespace/name` of pods that had to be deleted against their budget or did not end in time. */
  readonly forced: readonly string[]
  readonly evicted: number
}

export async function drainNode(parts: DrainParts, request: DrainRequest): Promise<DrainOutcome> {
  const { client, clock } = parts
  const { nodeName, alive, limitMs, signal } = request
  if (!(await cordon(client, nodeName))) return { forced: [], evicted: 0 }
  const seen = new Set<string>()
  const forced = new Set<string>()
  const deadline = clock.monotonic() + (alive ? limitMs : 0)
  for (;;) {
    const pods = await podsOf(client, nodeName)
    for (const pod of pods) seen.add(nameOf(pod))
    if (pods.length === 0) break
    const nowMs = clock.monotonic()
    if (nowMs >= deadline + ENDING_MS_MAX) {
      for (const pod of pods) forced.add(nameOf(pod))
      break
    }
    const waiting = pods.filter(({ metadata }) => metadata.deletionTimestamp === undefined)
    for (const pod of alive ? waiting : pods) {
      if (nowMs < deadline) await evict(client, pod)
      else {
        forced.add(nameOf(pod))
        await remove(client, pod, alive)
      }
    }
    if (!alive) break
    await sleep(clock, POLL_MS, signal)
  }
  return { forced: [...forced], evicted: seen.size - forced.size }
}

/** False when there is no such Node. */
async function cordon(client: KubeClient, name: string): Promise<boolean> {
  try {
    await client.patch(NODES, { name, type: 'merge', patch: { spec: { unschedulable: true } } })
    return true
  } catch (error) {
    if (isNotFound(error)) return false
    throw error
  }
}

/** Those that somebody else has to run; a DaemonSet's would come back at once and go with the node. */
async function podsOf(client: KubeClient, nodeName: string): Promise<readonly Pod[]> {
  const { items } = await client.list<Pod>(PODS, { fieldSelector: `spec.nodeName=${nodeName}` })
  return items.filter(
    ({ metadata, status }) =>
      metadata.annotations?.[MIRROR] === undefined &&
      !metadata.ownerReferences?.some(({ kind, controller }) => kind === 'DaemonSet' && controller) &&
      status?.phase !== 'Succeeded' &&
      status?.phase !== 'Failed',
  )
}

/** A budget that forbids it now is asked again. */
async function evict(client: KubeClient, { metadata }: Pod): Promise<void> {
  const { name = '', namespace = '' } = metadata
  const eviction = { apiVersion: 'policy/v1', kind: 'Eviction', metadata: { name, namespace } }
  try {
    await client.create(PODS, eviction, { namespace, name, subresource: 'eviction' })
  } catch (error) {
    if (isNotFound(error)) return
    if (error instanceof StatusError && error.status.code === TOO_MANY_REQUESTS) return
    throw error
  }
}

async function remove(client: KubeClient, { metadata }: Pod, alive: boolean): Promise<void> {
  const { name = '', namespace } = metadata
  const grace = alive ? {} : { gracePeriodSeconds: 0 }
  await client.delete(PODS, { namespace, name, ...grace }).catch(error => {
    if (!isNotFound(error)) throw error
  })
}

const nameOf = ({ metadata: { namespace = '', name = '' } }: Pod): string => `${namespace}/${name}`
