/** Decides where one pod runs that extenders have a say about; what they are not asked is decided as for any other. */
import type { Random } from '../../base/random.ts'
import type { Pod } from '../../kube/types.ts'
import type { Extenders } from './extenders.ts'
import type { Rejection } from './filters.ts'
import type { NodeInfo } from './node-info.ts'
import { chooseVictims, findCandidates, type PreemptionResult } from './preemption.ts'
import {
  findNodes,
  pickBest,
  placedOn,
  preemptionFacts,
  type ScheduleResult,
  type Search,
  unschedulable,
} from './schedule.ts'
import { scoreNodes } from './scores.ts'
import { EMPTY_WORLD, type World } from './world.ts'

/** Throws when an extender fails that cannot be done without. */
export async function scheduleWithExtenders(
  extenders: Extenders,
  pod: Pod,
  nodes: readonly NodeInfo[],
  random: Random,
  nominated: readonly Pod[] = [],
  over: Partial<World> = {},
): Promise<ScheduleResult> {
  const world = { ...EMPTY_WORLD, ...over }
  const search = await ask(extenders, pod, findNodes(pod, nodes, nominated, world))
  if (search.kind !== 'search') return search
  const { fitting, examined } = search
  const [only] = fitting
  if (only === undefined) {
    // The extender does not want the node where room was made: all others are looked at.
    if (examined === 0 && pod.status?.nominatedNodeName) {
      const { nominatedNodeName: _, ...status } = pod.status
      return scheduleWithExtenders(extenders, { ...pod, status }, nodes, random, nominated, over)
    }
    const preemption = world.profile.preempts
      ? await preempt(extenders, pod, nodes, search, world, random)
      : null
    return unschedulable(pod, nodes, preemption, search)
  }
  if (fitting.length === 1) return placedOn(search, only.name)
  const added = await extenders.scores(pod, fitting)
  const scores = scoreNodes(pod, nodes, fitting, world).map(
    (score, at) => score + (added.get(fitting[at]?.name ?? '') ?? 0),
  )
  return placedOn(search, pickBest(fitting, scores, random))
}

async function ask<T extends { readonly kind: 'unschedulable' }>(
  extenders: Extenders,
  pod: Pod,
  search: Search | T,
): Promise<Search | T> {
  if (search.kind !== 'search') return search
  const { fitting, rejections: theirs } = await extenders.filter(pod, search.fitting)
  const rejections = new Map<string, Rejection>(search.rejections)
  for (const { node, reason, resolvable } of theirs)
    rejections.set(node, { plugin: null, reasons: [reason], resolvable })
  return { ...search, fitting, rejections }
}

async function preempt(
  extenders: Extenders,
  pod: Pod,
  nodes: readonly NodeInfo[],
  search: Search,
  world: World,
  random: Random,
): Promise<PreemptionResult> {
  const found = findCandidates(pod, nodes, preemptionFacts(search, world, random))
  if (found.kind !== 'candidates') return found
  return chooseVictims({ ...found, candidates: await extenders.preempt(pod, found.candidates, nodes) })
}
