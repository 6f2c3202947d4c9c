/** Arguments of the plugins that compare what nodes have, in a KubeSchedulerConfiguration. */
import { isMap, type JsonMap } from '../../kube/json-map.ts'
import { DEFAULT_PROFILE, type FitScoring, type Profile } from './profile.ts'
import { refuseOthers } from './refuse-others.ts'

type FitArguments = Partial<Pick<Profile, 'fit' | 'ignoredResources' | 'ignoredGroups'>>
type Range = readonly [least: number, most: number]

const WEIGHTS: Range = [1, 100]
const UTILIZATIONS: Range = [0, 100]
/** As extenders', ten times less than plugins'. */
const SHAPE_SCORES: Range = [0, 10]
const SHAPE_FACTOR = 10
const TYPES = ['LeastAllocated', 'MostAllocated', 'RequestedToCapacityRatio'] as const

export function readFit(args: JsonMap, path: string, problems: string[]): FitArguments {
  refuseOthers(args, ['ignoredResources', 'ignoredResourceGroups', 'scoringStrategy'], path, problems)
  const { scoringStrategy, ignoredResources, ignoredResourceGroups: groups } = args
  for (const [at, group] of (Array.isArray(groups) ? groups : []).entries()) {
    if (String(group).includes('/'))
      problems.push(
        `${path}.ignoredResourceGroups[${at}]: Invalid value: ${JSON.stringify(group)}: resource group name can't contain '/'`,
      )
  }
  return {
    ...(Array.isArray(ignoredResources) ? { ignoredResources: new Set(ignoredResources.map(String)) } : {}),
    ...(Array.isArray(groups) ? { ignoredGroups: new Set(groups.map(String)) } : {}),
    ...(isMap(scoringStrategy)
      ? { fit: readStrategy(scoringStrategy, `${path}.scoringStrategy`, problems) }
      : {}),
  }
}

function readStrategy(strategy: JsonMap, path: string, problems: string[]): FitScoring {
  refuseOthers(strategy, ['type', 'resources', 'requestedToCapacityRatio'], path, problems, false)
  const { type: named = 'LeastAllocated', resources, requestedToCapacityRatio: ratio } = strategy
  const type = TYPES.find(each => each === named)
  if (type === undefined)
    problems.push(`${path}.type: Unsupported value: ${JSON.stringify(named)}: ${TYPES.join(', ')}`)
  const isByShape = type === 'RequestedToCapacityRatio'
  return {
    type: type ?? 'LeastAllocated',
    resources: Array.isArray(resources)
      ? readResources(resources, path, problems)
      : DEFAULT_PROFILE.fit.resources,
    shape: isByShape ? readShape(ratio, `${path}.requestedToCapacityRatio.shape`, problems) : [],
  }
}

function readResources(resources: readonly unknown[], path: string, problems: string[]) {
  return resources.map((one, at) => {
    const { name, weight } = isMap(one) ? one : {}
    const here = `${path}.resources[${at}]`
    if (typeof name !== 'string' || name === '') problems.push(`${here}.name: Required value`)
    // Nothing said, or nothing, is one.
    return { name: String(name), weight: numberIn(weight || 1, WEIGHTS, `${here}.weight`, problems) }
  })
}

function readShape(ratio: unknown, path: string, problems: string[]): FitScoring['shape'] {
  const { shape } = isMap(ratio) ? ratio : {}
  const points = (Array.isArray(shape) ? shape : []).map((one, at) => {
    const { utilization = 0, score = 0 } = isMap(one) ? one : {}
    return {
      utilization: numberIn(utilization, UTILIZATIONS, `${path}[${at}].utilization`, problems),
      score: numberIn(score, SHAPE_SCORES, `${path}[${at}].score`, problems) * SHAPE_FACTOR,
    }
  })
  if (points.length === 0) problems.push(`${path}: Required value: at least one point must be specified`)
  for (const [at, { utilization }] of points.entries()) {
    const before = points[at - 1]
    if (before !== undefined && utilization <= before.utilization)
      problems.push(
        `${path}[${at}].utilization: Invalid value: ${utilization}: utilization values must be sorted in increasing order`,
      )
  }
  return points
}

function numberIn(value: unknown, [least, most]: Range, path: string, problems: string[]): number {
  if (!Number.isInteger(value) || Number(value) < least || Number(value) > most)
    problems.push(`${path}: Invalid value: ${JSON.stringify(value)}: not in valid range [${least}-${most}]`)
  return Number(value)
}

export function readBalance(
  args: JsonMap,
  path: string,
  problems: string[],
): Partial<Pick<Profile, 'balanced'>> {
  refuseOthers(args, ['resources'], path, problems)
  const { resources } = args
  if (!Array.isArray(resources) || resources.length === 0) return {}
  const balanced: string[] = []
  for (const [at, one] of resources.entries()) {
    const { name, weight } = isMap(one) ? one : {}
    const here = `${path}.resources[${at}]`
    if (typeof name !== 'string' || name === '') problems.push(`${here}.name: Required value`)
    if (balanced.includes(String(name)))
      problems.push(`${here}.name: Duplicate value: ${JSON.stringify(name)}`)
    if ((weight || 1) !== 1)
      problems.push(`${here}.weight: Invalid value: ${JSON.stringify(weight)}: must be 1`)
    balanced.push(String(name))
  }
  return { balanced }
}
