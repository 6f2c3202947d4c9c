/** Arguments of the default plugins in a KubeSchedulerConfiguration; what mk8s does not do is refused by name. */
import { isMap, type JsonMap } from '../../kube/json-map.ts'
import { type Constraint, type Profile, SYSTEM_CONSTRAINTS } from './profile.ts'

type Arguments = Partial<
  Pick<
    Profile,
    | 'strategy'
    | 'fitWeights'
    | 'ignoredResources'
    | 'defaultConstraints'
    | 'hardPodAffinityWeight'
    | 'ignoresPreferred'
  >
>
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

const readFit: Reader = (args, path, problems) => {
  refuseOthers(args, ['ignoredResources', 'scoringStrategy'], path, problems)
  const { scoringStrategy, ignoredResources } = args
  const found: { -readonly [Key in keyof Arguments]: Arguments[Key] } = {}
  if (Array.isArray(ignoredResources)) found.ignoredResources = new Set(ignoredResources.map(String))
  if (!isMap(scoringStrategy)) return found
  const { type = 'LeastAllocated', resources } = scoringStrategy
  refuseOthers(scoringStrategy, ['type', 'resources'], `${path}.scoringStrategy`, problems, false)
  if (type === 'LeastAllocated' || type === 'MostAllocated') found.strategy = type
  else
    problems.push(
      `${path}.scoringStrategy.type: Unsupported value: ${JSON.stringify(type)}: LeastAllocated or MostAllocated`,
    )
  if (Array.isArray(resources)) found.fitWeights = fitWeightsOf(resources, path, problems)
  return found
}

function fitWeightsOf(resources: readonly unknown[], path: string, problems: string[]) {
  const weights = { cpu: 0, memory: 0 }
  for (const [at, one] of resources.entries()) {
    const { name, weight = 1 } = isMap(one) ? one : {}
    const here = `${path}.scoringStrategy.resources[${at}]`
    if (name !== 'cpu' && name !== 'memory') {
      problems.push(`${here}.name: Unsupported value: ${JSON.stringify(name)}: cpu or memory`)
      continue
    }
    if (!Number.isInteger(weight) || Number(weight) < 1 || Number(weight) > 100)
      problems.push(`${here}.weight: Invalid value: ${JSON.stringify(weight)}: not in valid range [1-100]`)
    weights[name] = Number(weight)
  }
  return weights
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

const READERS: Readonly<Record<string, Reader>> = {
  NodeResourcesFit: readFit,
  InterPodAffinity: readAffinity,
  PodTopologySpread: readSpread,
}

function refuseOthers(
  args: JsonMap,
  known: readonly string[],
  path: string,
  problems: string[],
  isTyped = true,
): void {
  const typed = isTyped ? ['apiVersion', 'kind'] : []
  for (const key of Object.keys(args)) {
    if (![...known, ...typed].includes(key))
      problems.push(`${path}.${key}: Forbidden: it cannot be chosen here`)
  }
}
