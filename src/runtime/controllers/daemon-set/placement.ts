/** One pod on each node that is to have one: what is missing, what is too many, what has failed. */
import type { DaemonSet, Pod } from '../../../kube/types.ts'
import { isAvailable, isReady } from '../shared/pods.ts'
import { isUpdated } from './daemon-pod.ts'
import { allowsSurge } from './limits.ts'
import type { DaemonNode } from './nodes.ts'

export interface PlacementInput {
  readonly set: DaemonSet
  readonly nodes: readonly DaemonNode[]
  /** Of the present template. */
  readonly hash: string
  readonly nowMs: number
  /** How long a node has to wait until its failed pod is replaced; 0 when it need not. */
  readonly backoffMs: (node: string) => number
}

export interface Placement {
  /** Names of nodes. */
  readonly create: readonly string[]
  readonly delete: readonly Pod[]
  /** Pods that ended although daemons do not end; they are among the deleted. */
  readonly failed: readonly Ended[]
  readonly succeeded: readonly Ended[]
  /** Until a failed pod may be replaced. */
  readonly againMs: number | undefined
}

export interface Ended {
  readonly node: string
  readonly pod: Pod
}

const NOTHING: Placement = { create: [], delete: [], failed: [], succeeded: [], againMs: undefined }

export function planPlacement(input: PlacementInput): Placement {
  const parts = input.nodes.map(node => planNode(input, node))
  const waits = parts.flatMap(part => part.againMs ?? [])
  return {
    create: parts.flatMap(part => part.create),
    delete: parts.flatMap(part => part.delete),
    failed: parts.flatMap(part => part.failed),
    succeeded: parts.flatMap(part => part.succeeded),
    againMs: waits.length === 0 ? undefined : Math.min(...waits),
  }
}

const isDeleting = (pod: Pod): boolean => pod.metadata.deletionTimestamp !== undefined

/** While a pod goes, its successor waits. */
function planNode(input: PlacementInput, node: DaemonNode): Placement {
  if (node.pods.length === 0) return node.shouldRun ? { ...NOTHING, create: [node.name] } : NOTHING
  const present = node.pods.filter(pod => !isDeleting(pod))
  if (!node.shouldContinue) return { ...NOTHING, delete: present }
  const ended = (phase: string) =>
    present.filter(pod => pod.status?.phase === phase).map(pod => ({ node: node.name, pod }))
  const succeeded = ended('Succeeded')
  const waitMs = input.backoffMs(node.name)
  const hasFailed = ended('Failed').length > 0
  const failed = waitMs > 0 ? [] : ended('Failed')
  const running = present.filter(pod => pod.status?.phase !== 'Failed' && pod.status?.phase !== 'Succeeded')
  return {
    create: [],
    delete: [...[...failed, ...succeeded].map(each => each.pod), ...findExcess(input, running)],
    failed,
    succeeded,
    againMs: hasFailed && waitMs > 0 ? waitMs : undefined,
  }
}

/** `pods` as `DaemonNode` orders them. During a surge one old and one new pod may be there. */
function findExcess({ set, hash, nowMs }: PlacementInput, pods: readonly Pod[]): Pod[] {
  if (pods.length <= 1) return []
  if (!allowsSurge(set)) return pods.slice(1)
  const newest = pods.find(pod => isUpdated(set, pod, hash))
  const oldest = pods.find(pod => !isUpdated(set, pod, hash))
  const excess = pods.filter(pod => pod !== newest && pod !== oldest)
  if (newest === undefined || oldest === undefined) return excess
  const isReplaced = !isReady(oldest) || isAvailable(newest, set.spec?.minReadySeconds ?? 0, nowMs)
  return isReplaced ? [...excess, oldest] : excess
}
