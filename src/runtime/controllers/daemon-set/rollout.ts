/** A rolling update of a daemon set: which old pods go, and which nodes get a new pod beside the old one. */
import type { DaemonSet, Pod } from '../../../kube/types.ts'
import { isAvailable } from '../shared/pods.ts'
import { isUpdated } from './daemon-pod.ts'
import { rolloutLimits } from './limits.ts'
import type { DaemonNode } from './nodes.ts'

export interface RolloutInput {
  readonly set: DaemonSet
  readonly nodes: readonly DaemonNode[]
  readonly hash: string
  readonly nowMs: number
}

export interface RolloutStep {
  /** Names of nodes. */
  readonly create: readonly string[]
  readonly delete: readonly Pod[]
}

/** Asked when every node has what it should have. */
export function planRollout(input: RolloutInput): RolloutStep {
  const nodes = input.nodes
    .filter(node => node.shouldRun || node.pods.length > 0)
    .map(node => pair(input, node))
  const desired = input.nodes.filter(node => node.shouldRun).length
  const { maxUnavailable, maxSurge } = rolloutLimits(input.set, desired)
  return maxSurge === 0 ? replace(input, nodes, maxUnavailable) : surge(input, nodes, maxSurge)
}

interface Pair {
  readonly node: DaemonNode
  readonly updated: Pod | undefined
  readonly old: Pod | undefined
  /** More pods than a rollout makes: whoever puts them right does that first. */
  readonly isCrowded: boolean
}

function pair({ set, hash }: RolloutInput, node: DaemonNode): Pair {
  const present = node.pods.filter(pod => pod.metadata.deletionTimestamp === undefined)
  const updated = present.filter(pod => isUpdated(set, pod, hash))
  const old = present.filter(pod => !isUpdated(set, pod, hash))
  return { node, updated: updated[0], old: old[0], isCrowded: updated.length > 1 || old.length > 1 }
}

const isWell = ({ set, nowMs }: RolloutInput, pod: Pod): boolean =>
  isAvailable(pod, set.spec?.minReadySeconds ?? 0, nowMs)

/** Old pods that do no good go at once, others as far as enough stay. */
function replace(input: RolloutInput, pairs: readonly Pair[], maxUnavailable: number): RolloutStep {
  const onlyOld = pairs.flatMap(({ old, updated, isCrowded }) =>
    old !== undefined && updated === undefined && !isCrowded ? [old] : [],
  )
  const candidates = onlyOld.filter(pod => isWell(input, pod))
  const isServed = ({ updated, old, isCrowded }: Pair) => {
    const only = isCrowded || (updated !== undefined && old !== undefined) ? undefined : (updated ?? old)
    return only !== undefined && isWell(input, only)
  }
  const unavailable = pairs.filter(each => !isServed(each)).length
  const mayGo = Math.max(0, maxUnavailable - unavailable)
  return {
    create: [],
    delete: [...onlyOld.filter(pod => !isWell(input, pod)), ...candidates.slice(0, mayGo)],
  }
}

/** A new pod beside an old one that does no good costs nothing; others are limited. */
function surge(input: RolloutInput, pairs: readonly Pair[], maxSurge: number): RolloutStep {
  const waiting = pairs.filter(({ old, updated, isCrowded }) => {
    return isCrowded || (old !== undefined && updated !== undefined && !isWell(input, updated))
  }).length
  const both = pairs.filter(({ old, updated, isCrowded }) => old && updated && !isCrowded)
  const replaced = both.flatMap(({ old, updated }) => (old && updated && isWell(input, updated) ? [old] : []))
  const onlyOld = pairs.filter(({ node, old, updated, isCrowded }) => {
    return node.shouldRun && old !== undefined && updated === undefined && !isCrowded
  })
  const nodesOf = (well: boolean) =>
    onlyOld.filter(({ old }) => old !== undefined && isWell(input, old) === well).map(each => each.node.name)
  const mayCome = Math.max(0, maxSurge - waiting)
  return { create: [...nodesOf(false), ...nodesOf(true).slice(0, mayCome)], delete: replaced }
}
