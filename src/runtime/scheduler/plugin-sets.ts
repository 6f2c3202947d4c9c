/** Which plugins a profile of a KubeSchedulerConfiguration switches on and off, and what their scores weigh. */

import { isMap, type JsonMap } from '../../kube/json-map.ts'
import type { Plugin } from './profile.ts'
import { DEFAULT_PROFILE, type Profile, type Weights } from './profile.ts'

const DEVICES = 'DynamicResources'
const FILTERS: readonly Plugin[] = [
  ...(['NodeUnschedulable', 'NodeName', 'TaintToleration', 'NodeAffinity', 'NodePorts'] as const),
  ...(['NodeResourcesFit', 'VolumeRestrictions', 'NodeVolumeLimits', 'VolumeBinding'] as const),
  ...(['VolumeZone', 'PodTopologySpread', 'InterPodAffinity', DEVICES, 'NodeDeclaredFeatures'] as const),
]
const SCORES = Object.keys(DEFAULT_PROFILE.weights)
const PREEMPTION = 'DefaultPreemption'
const SORTER = 'PrioritySort'
const BINDER = 'DefaultBinder'
const GATES = 'SchedulingGates'
const NAMES: readonly string[] = [...new Set([...FILTERS, ...SCORES, PREEMPTION, SORTER, BINDER, GATES])]

/** Which plugins a set of an extension point is about; the others cannot be chosen here. */
const POINTS: Readonly<Record<string, readonly string[]>> = {
  multiPoint: NAMES,
  preFilter: FILTERS,
  filter: FILTERS,
  postFilter: [PREEMPTION, DEVICES],
  preScore: SCORES,
  score: SCORES,
  queueSort: [SORTER],
  bind: [BINDER],
  preEnqueue: [GATES, DEVICES],
}
const ALL = '*'

interface PluginSet {
  readonly enabled: ReadonlyMap<string, number>
  readonly disabled: ReadonlySet<string>
}

export type PluginChoice = Pick<Profile, 'filters' | 'weights' | 'preempts'>

/** An extension point's own set goes before `multiPoint`. */
export function readPlugins(value: unknown, path: string, problems: string[]): PluginChoice {
  const map = isMap(value) ? value : {}
  for (const point of Object.keys(map)) {
    if (!(point in POINTS))
      problems.push(`${path}.${point}: Forbidden: plugins of this point cannot be chosen`)
  }
  const sets = new Map(
    Object.entries(POINTS).map(([point, names]) => {
      return [point, readSet(map[point], names, `${path}.${point}`, problems)] as const
    }),
  )
  const isOn = (point: string, name: string): boolean => {
    const own = sets.get(point)
    const all = sets.get('multiPoint')
    if (own?.enabled.has(name)) return true
    if (own?.disabled.has(name) || own?.disabled.has(ALL)) return false
    if (all?.enabled.has(name)) return true
    return !(all?.disabled.has(name) || all?.disabled.has(ALL))
  }
  if (!isOn('queueSort', SORTER)) problems.push(`${path}: no queue sort plugin is enabled`)
  if (!isOn('bind', BINDER)) problems.push(`${path}: at least one bind plugin is needed`)
  if (!isOn('preEnqueue', GATES)) problems.push(`${path}: ${GATES} is always on here`)
  const weightOf = (name: string, usual: number): number =>
    sets.get('score')?.enabled.get(name) ?? sets.get('multiPoint')?.enabled.get(name) ?? usual
  const weights = Object.fromEntries(
    Object.entries(DEFAULT_PROFILE.weights).map(([name, usual]) => {
      const isScored = isOn('score', name) && isOn('preScore', name)
      return [name, isScored ? weightOf(name, usual) : 0]
    }),
  ) as unknown as Weights
  const filters = new Set(FILTERS.filter(name => isOn('filter', name) && isOn('preFilter', name)))
  return { filters, weights, preempts: isOn('postFilter', PREEMPTION) }
}

function readSet(value: unknown, names: readonly string[], path: string, problems: string[]): PluginSet {
  const map = isMap(value) ? value : {}
  const enabled = new Map<string, number>()
  for (const [at, one] of entriesOf(map, 'enabled').entries()) {
    const name = checkName(one, names, `${path}.enabled[${at}]`, problems)
    if (enabled.has(name)) problems.push(`${path}.enabled[${at}]: Duplicate value: ${JSON.stringify(name)}`)
    // As upstream: who is named without a weight weighs one.
    const { weight = 0 } = one
    if (!Number.isInteger(weight) || Number(weight) < 0)
      problems.push(`${path}.enabled[${at}].weight: Invalid value: ${JSON.stringify(weight)}`)
    enabled.set(name, Number(weight) || 1)
  }
  const disabled = entriesOf(map, 'disabled').map((one, at) =>
    checkName(one, [...names, ALL], `${path}.disabled[${at}]`, problems),
  )
  return { enabled, disabled: new Set(disabled) }
}

function entriesOf(map: JsonMap, key: string): JsonMap[] {
  const list = map[key]
  return (Array.isArray(list) ? list : []).map(one => (isMap(one) ? one : {}))
}

function checkName({ name }: JsonMap, known: readonly string[], path: string, problems: string[]): string {
  const given = JSON.stringify(name)
  if (typeof name !== 'string') problems.push(`${path}.name: Required value`)
  else if (name !== ALL && !NAMES.includes(name))
    problems.push(`${path}.name: Invalid value: ${given}: there is no such plugin`)
  else if (!known.includes(name))
    problems.push(`${path}.name: Invalid value: ${given}: the plugin has nothing to do here`)
  return String(name)
}
