/** How many replicas a metric asks for: upstream's arithmetic, with its care for pods that tell nothing. Pure. */
import type { Pod } from '../../../kube/types.ts'
import { isReady } from '../shared/pods.ts'
import { groupPods, MetricProblem, requestsOf, type Samples } from './samples.ts'

export interface Tolerances {
  readonly up: number
  readonly down: number
}

export interface Scaled {
  readonly current: number
  readonly tolerances: Tolerances
  /** Those that the target's selector selects. */
  readonly pods: readonly Pod[]
  readonly nowMs: number
}

export interface Proposal {
  readonly replicas: number
  /** The average over pods, or the value itself, in thousandths. */
  readonly usage: number
  /** In percent of the request. */
  readonly utilization?: number
}

interface Use {
  readonly ratio: number
  readonly usage: number
  readonly utilization?: number
}

const isWithin = ({ up, down }: Tolerances, ratio: number): boolean => 1 - down <= ratio && ratio <= 1 + up

export function utilizationReplicas(
  scaled: Scaled,
  samples: Samples,
  of: { readonly resource: string; readonly container: string; readonly targetPercent: number },
): Proposal {
  const requests = () => requestsOf(scaled.pods, of.resource, of.container)
  let known: ReadonlyMap<string, number> | undefined
  const requestOf = (name: string) => {
    known ??= requests()
    return known.get(name)
  }
  return podReplicas(scaled, samples, {
    resource: of.resource,
    whenMissing: name => ((requestOf(name) ?? 0) * Math.max(100, of.targetPercent)) / 100,
    use: counted => {
      requestOf('')
      return utilization(counted, requestOf, of.targetPercent)
    },
  })
}

export function averageReplicas(
  scaled: Scaled,
  samples: Samples,
  of: { readonly resource: string; readonly target: number },
): Proposal {
  return podReplicas(scaled, samples, {
    resource: of.resource,
    whenMissing: () => of.target,
    use(counted) {
      const usage = Math.trunc(sum(counted.values()) / counted.size)
      return { ratio: usage / of.target, usage }
    },
  })
}

const sum = (values: Iterable<number>): number => {
  let total = 0
  for (const value of values) total += value
  return total
}

function utilization(
  counted: ReadonlyMap<string, number>,
  requestOf: (name: string) => number | undefined,
  targetPercent: number,
): Use {
  let used = 0
  let requested = 0
  let entries = 0
  for (const [name, value] of counted) {
    const request = requestOf(name)
    if (request === undefined) continue
    used += value
    requested += request
    entries += 1
  }
  if (requested === 0) throw new MetricProblem('no metrics returned matched known pods')
  const percent = Math.trunc((used * 100) / requested)
  return { ratio: percent / targetPercent, utilization: percent, usage: Math.trunc(used / entries) }
}

interface Rules {
  readonly resource: string
  /** What a pod without a sample is taken to use when fewer replicas are proposed. */
  readonly whenMissing: (name: string) => number
  readonly use: (counted: ReadonlyMap<string, number>) => Use
}

function podReplicas(scaled: Scaled, samples: Samples, rules: Rules): Proposal {
  const { pods, current, tolerances, nowMs } = scaled
  if (pods.length === 0) throw noPods()
  const groups = groupPods(pods, samples, { resource: rules.resource, nowMs })
  if (groups.samples.size === 0) {
    throw new MetricProblem('did not receive metrics for targeted pods (pods might be unready)')
  }
  const counted = new Map(Array.from(groups.samples, ([name, sample]) => [name, sample.value]))
  const first = rules.use(counted)
  const told = {
    usage: first.usage,
    ...(first.utilization === undefined ? {} : { utilization: first.utilization }),
  }
  const stay = { ...told, replicas: current }
  const countsUnready = groups.unready.length > 0 && first.ratio > 1
  if (!countsUnready && groups.missing.length === 0) {
    if (isWithin(tolerances, first.ratio)) return stay
    return { ...told, replicas: Math.ceil(first.ratio * groups.readyCount) }
  }
  // Who tells nothing is taken to need what speaks against the change.
  if (first.ratio < 1) for (const name of groups.missing) counted.set(name, rules.whenMissing(name))
  if (first.ratio > 1) for (const name of groups.missing) counted.set(name, 0)
  if (countsUnready) for (const name of groups.unready) counted.set(name, 0)
  const { ratio } = rules.use(counted)
  const turns = (first.ratio < 1 && ratio > 1) || (first.ratio > 1 && ratio < 1)
  if (isWithin(tolerances, ratio) || turns) return stay
  const replicas = Math.ceil(ratio * counted.size)
  const isAgainst = (ratio < 1 && replicas > current) || (ratio > 1 && replicas < current)
  return isAgainst ? stay : { ...told, replicas }
}

const noPods = () => new MetricProblem('no pods returned by selector while calculating replica count')

/** One value for all replicas. */
export function valueReplicas(scaled: Scaled, usage: number, target: number): Proposal {
  const ratio = usage / target
  if (scaled.current === 0) return { usage, replicas: Math.ceil(ratio) }
  if (isWithin(scaled.tolerances, ratio)) return { usage, replicas: scaled.current }
  if (scaled.pods.length === 0) {
    throw new MetricProblem(`unable to calculate ready pods: ${noPods().message}`)
  }
  const ready = scaled.pods.filter(pod => pod.status?.phase === 'Running' && isReady(pod)).length
  return { usage, replicas: Math.ceil(ratio * ready) }
}

/** One value, of which each replica is to have its share. */
export function perPodReplicas(scaled: Scaled, usage: number, target: number): Proposal {
  const { current, tolerances } = scaled
  const isEnough = isWithin(tolerances, usage / (target * current))
  const average = Math.ceil(usage / current)
  return { usage: average, replicas: isEnough ? current : Math.ceil(usage / target) }
}
