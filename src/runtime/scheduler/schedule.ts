/** Decides where one pod runs: filters, then scores. Pure. */
import type { Random } from '../../base/random.ts'
import type { Pod } from '../../kube/types.ts'
import { filterNode, prepareFilters, type Rejection } from './filters.ts'
import type { NodeInfo } from './node-info.ts'
import { podRequests } from './resources.ts'
import { scoreNodes } from './scores.ts'

export type ScheduleResult =
  | { readonly kind: 'node'; readonly name: string }
  /** The message is what the condition and the event say. */
  | { readonly kind: 'unschedulable'; readonly message: string }

export function schedule(pod: Pod, nodes: readonly NodeInfo[], random: Random): ScheduleResult {
  if (nodes.length === 0) return { kind: 'unschedulable', message: 'no nodes available to schedule pods' }
  const requests = podRequests(pod)
  const input = prepareFilters(pod, requests, nodes)
  const rejections: Rejection[] = []
  const fitting: NodeInfo[] = []
  for (const node of nodes) {
    const rejection = filterNode(input, node)
    if (rejection === null) fitting.push(node)
    else rejections.push(rejection)
  }
  const [only] = fitting
  if (only === undefined) return { kind: 'unschedulable', message: describeRejections(pod, rejections) }
  if (fitting.length === 1) return { kind: 'node', name: only.name }
  return { kind: 'node', name: pickBest(fitting, scoreNodes(pod, requests, fitting), random) }
}

/** Among equally good ones, any. */
function pickBest(nodes: readonly NodeInfo[], scores: readonly number[], random: Random): string {
  const best = Math.max(...scores)
  const winners = nodes.filter((_node, index) => scores[index] === best)
  return winners[Math.floor(random.float() * winners.length)]?.name ?? ''
}

function describeRejections(pod: Pod, rejections: readonly Rejection[]): string {
  const head = `0/${rejections.length} nodes are available`
  const reasons = countUp(rejections.flatMap(rejection => rejection.reasons))
  return `${head}: ${reasons}. preemption: ${describePreemption(pod, rejections)}`
}

/** Nobody is evicted for a pod yet; the words are those for a pod that finds no victims. */
function describePreemption(pod: Pod, rejections: readonly Rejection[]): string {
  if (pod.spec?.preemptionPolicy === 'Never') return 'not eligible due to preemptionPolicy=Never.'
  const outcomes = rejections.map(rejection =>
    rejection.resolvable
      ? 'No preemption victims found for incoming pod'
      : 'Preemption is not helpful for scheduling',
  )
  return `0/${rejections.length} nodes are available: ${countUp(outcomes)}.`
}

/** `1 Insufficient cpu, 2 Too many pods`, in the order of the text. */
function countUp(reasons: readonly string[]): string {
  const counts = new Map<string, number>()
  for (const reason of reasons) counts.set(reason, (counts.get(reason) ?? 0) + 1)
  return Array.from(counts, ([reason, count]) => `${count} ${reason}`)
    .sort()
    .join(', ')
}
