/** Arguments of the default plugins in a KubeSchedulerConfiguration; what mk8s does not do is refused by name. */
import { isMap, type JsonMap } from '../../kube/json-map.ts'
import { readNodeAffinity } from './added-affinity.ts'
import { type Constraint, DEFAULT_PROFILE, type Profile, SYSTEM_CONSTRAINTS } from './profile.ts'
import { refuseOthers } from './refuse-others.ts'
import { readBalance, readFit } from './resource-arguments.ts'

type Arguments = Partial<Omit<Profile, 'name' | 'weights' | 'filters' | 'preempts'>>
type Reader = (args: JsonMap, path: string, problems: string[]) => Arguments

export function readPluginConfig(value: unknown, path: string, problems: string[]): Arguments {
  const all: Arguments = {}
  const seen = new Set<unknown>()
  for (const [at, one] of (Array.isArray(value) ? value : []).entries()) {
    const { name, args } = isMap(one) ? one : {}
    const here = `${path}[${at}]`
    const reader = READERS[String(name)]
    if (seen.has(name)) problems.push(`${here}: Duplicate value: ${JSON.stringify(name)}`)
    seen.add(name)
    if (reader === undefined)
      problems.push(`${here}.name: Invalid value: ${JSON.stringify(name)}: its arguments cannot be chosen`)
    else Object.assign(all, reader(isMap(args) ? args : {}, `${here}.args`, problems))
  }
  return all
}

const readAffinity: Reader = (args, path, problems) => {
  const { hardPodAffinityWeight = 1, ignorePreferredTermsOfExistingPods = false } = args
  refuseOthers(args, ['hardPodAffinityWeight', 'ignorePreferredTermsOfExistingPods'], path, problems)
  const weight = Number(hardPodAffinityWeight)
  if (!Number.isInteger(weight) || weight < 0 || weight > 100) {
    const given = JSON.stringify(hardPodAffinityWeight)
    problems.push(`${path}.hardPodAffinityWeight: Invalid value: ${given}: not in valid range [0-100]`)
  }
  return { hardPodAffinityWeight: weight, ignoresPreferred: ignorePreferredTermsOfExistingPods === true }
}

const readSpread: Reader = (args, path, problems) => {
  refuseOthers(args, ['defaultConstraints', 'defaultingType'], path, problems)
  const { defaultingType = 'System', defaultConstraints } = args
  const constraints = Array.isArray(defaultConstraints) ? defaultConstraints : []
  if (defaultingType === 'System') {
    if (constraints.length > 0)
      problems.push(
        `${path}.defaultConstraints: Invalid value: when .defaultingType is System they must be empty`,
      )
    return { defaultConstraints: SYSTEM_CONSTRAINTS }
  }
  if (defaultingType !== 'List')
    problems.push(
      `${path}.defaultingType: Unsupported value: ${JSON.stringify(defaultingType)}: System or List`,
    )
  return {
    defaultConstraints: constraints.map((one, at) =>
      constraintOf(one, `${path}.defaultConstraints[${at}]`, problems),
    ),
  }
}

function constraintOf(value: unknown, path: string, problems: string[]): Constraint {
  const { topologyKey, whenUnsatisfiable, maxSkew, labelSelector } = isMap(value) ? value : {}
  if (typeof topologyKey !== 'string' || topologyKey === '')
    problems.push(`${path}.topologyKey: Required value`)
  if (whenUnsatisfiable !== 'DoNotSchedule' && whenUnsatisfiable !== 'ScheduleAnyway')
    problems.push(
      `${path}.whenUnsatisfiable: Unsupported value: ${JSON.stringify(whenUnsatisfiable)}: DoNotSchedule or ScheduleAnyway`,
    )
  if (!Number.isInteger(maxSkew) || Number(maxSkew) < 1)
    problems.push(`${path}.maxSkew: Invalid value: ${JSON.stringify(maxSkew)}: must be greater than zero`)
  if (labelSelector !== undefined)
    problems.push(
      `${path}.labelSelector: Forbidden: constraint must not define a selector, as they deduced for each pod`,
    )
  return {
    topologyKey: String(topologyKey),
    whenUnsatisfiable: String(whenUnsatisfiable),
    maxSkew: Number(maxSkew),
  }
}

const readVolumeBinding: Reader = (args, path, problems) => {
  refuseOthers(args, ['bindTimeoutSeconds'], path, problems)
  const { bindTimeoutSeconds: seconds = DEFAULT_PROFILE.bindTimeoutMs / 1_000 } = args
  const given = `${path}.bindTimeoutSeconds: Invalid value: ${JSON.stringify(seconds)}`
  if (!Number.isInteger(seconds)) problems.push(`${given}: must be an integer`)
  else if (Number(seconds) < 0)
    problems.push(`${given}: invalid BindTimeoutSeconds, should not be a negative value`)
  return { bindTimeoutMs: Number(seconds) * 1_000 }
}

const PERCENTAGE = 'minCandidateNodesPercentage'
const ABSOLUTE = 'minCandidateNodesAbsolute'

const readPreemption: Reader = (args, path, problems) => {
  refuseOthers(args, [PERCENTAGE, ABSOLUTE], path, problems)
  const read = (key: string, usual: number, { max, range }: { max: number; range: string }): number => {
    const value = args[key] ?? usual
    const isGood = Number.isInteger(value) && Number(value) >= 0 && Number(value) <= max
    const given = `${path}.${key}: Invalid value: ${JSON.stringify(value)}`
    if (!isGood) problems.push(`${given}: not in valid range ${range}`)
    return Number(value)
  }
  const usual = DEFAULT_PROFILE.candidates
  const percentage = read(PERCENTAGE, usual.percentage, { max: 100, range: '[0, 100]' })
  const absolute = read(ABSOLUTE, usual.absolute, { max: Number.POSITIVE_INFINITY, range: '[0, inf)' })
  if (percentage === 0 && absolute === 0) {
    const zero = (key: string, other: string) =>
      `${path}.${key}: Invalid value: 0: cannot be zero at the same time as ${other}`
    problems.push(zero(PERCENTAGE, ABSOLUTE), zero(ABSOLUTE, PERCENTAGE))
  }
  return { candidates: { percentage, absolute } }
}

const READERS: Readonly<Record<string, Reader>> = {
  NodeResourcesFit: readFit,
  NodeResourcesBalancedAllocation: readBalance,
  NodeAffinity: readNodeAffinity,
  VolumeBinding: readVolumeBinding,
  DefaultPreemption: readPreemption,
  InterPodAffinity: readAffinity,
  PodTopologySpread: readSpread,
}
