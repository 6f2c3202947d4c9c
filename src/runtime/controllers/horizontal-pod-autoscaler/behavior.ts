/** From what metrics ask for to what is done: stabilization, the policies of a behaviour, minimum and maximum. Pure. */
import type { HorizontalPodAutoscaler, HPAScalingRules } from '../../../kube/types.ts'

const SECOND_MS = 1_000
const DOWN_WINDOW_SECONDS = 300
const UP_LIMIT_FACTOR = 2
const UP_LIMIT_LEAST = 4

export interface Recommendation {
  readonly atMs: number
  readonly replicas: number
}

export interface ScaleEvent {
  readonly atMs: number
  /** How many replicas came or went. */
  readonly change: number
}

/** What is remembered of an autoscaler, the newest last. */
export interface History {
  readonly recommendations: readonly Recommendation[]
  readonly ups: readonly ScaleEvent[]
  readonly downs: readonly ScaleEvent[]
}

export interface Wish {
  readonly current: number
  readonly desired: number
  readonly nowMs: number
}

export interface Told {
  readonly reason: string
  readonly message: string
}

export interface Normalized {
  readonly replicas: number
  readonly ableToScale: Told
  readonly limited: Told & { readonly isLimited: boolean }
}

const told = (reason: string, message: string): Told => ({ reason, message })
const READY = told('ReadyForNewScale', 'recommended size matches current size')
const DOWN_STABILIZED = told(
  'ScaleDownStabilized',
  'recent recommendations were higher than current one, applying the highest recent recommendation',
)
const UP_STABILIZED = told(
  'ScaleUpStabilized',
  'recent recommendations were lower than current one, applying the lowest recent recommendation',
)
const WITHIN = told('DesiredWithinRange', 'the desired count is within the acceptable range')
const TOO_FEW = told('TooFewReplicas', 'the desired replica count is less than the minimum replica count')
const TOO_MANY = told('TooManyReplicas', 'the desired replica count is more than the maximum replica count')
const UP_LIMIT = told(
  'ScaleUpLimit',
  'the desired replica count is increasing faster than the maximum scale rate',
)
const DOWN_LIMIT = told(
  'ScaleDownLimit',
  'the desired replica count is decreasing faster than the maximum scale rate',
)

export function normalize(autoscaler: HorizontalPodAutoscaler, wish: Wish, history: History): Normalized {
  const behavior = autoscaler.spec?.behavior
  const up = { ...UP_RULES, ...behavior?.scaleUp }
  const down = { ...DOWN_RULES, ...behavior?.scaleDown }
  const [stable, why] = stabilize(wish, history.recommendations, {
    up,
    down,
    isPlain: behavior === undefined,
  })
  const bounds = {
    least: autoscaler.spec?.minReplicas ?? 1,
    most: autoscaler.spec?.maxReplicas ?? 1,
  }
  const calm = { ...wish, desired: stable }
  const [replicas, limit] =
    behavior === undefined ? withinBounds(calm, bounds) : withinRates(calm, bounds, { history, up, down })
  return {
    replicas,
    ableToScale: stable === wish.desired ? READY : why,
    limited: { ...limit, isLimited: replicas !== stable },
  }
}

const UP_RULES: HPAScalingRules = {
  selectPolicy: 'Max',
  stabilizationWindowSeconds: 0,
  policies: [
    { type: 'Pods', value: 4, periodSeconds: 15 },
    { type: 'Percent', value: 100, periodSeconds: 15 },
  ],
}
const DOWN_RULES: HPAScalingRules = {
  selectPolicy: 'Max',
  stabilizationWindowSeconds: DOWN_WINDOW_SECONDS,
  policies: [{ type: 'Percent', value: 100, periodSeconds: 15 }],
}

interface Rules {
  readonly up: HPAScalingRules
  readonly down: HPAScalingRules
}

function stabilize(
  { current, desired, nowMs }: Wish,
  recommendations: readonly Recommendation[],
  { up, down, isPlain }: Rules & { readonly isPlain: boolean },
): [number, Told] {
  const recent = (rules: HPAScalingRules) => {
    const sinceMs = nowMs - (rules.stabilizationWindowSeconds ?? DOWN_WINDOW_SECONDS) * SECOND_MS
    return recommendations.filter(each => each.atMs > sinceMs).map(each => each.replicas)
  }
  if (isPlain) return [Math.max(desired, ...recent(DOWN_RULES)), DOWN_STABILIZED]
  const lowest = Math.min(desired, ...recent(up))
  const highest = Math.max(desired, ...recent(down))
  const stable = Math.min(Math.max(current, lowest), highest)
  return [stable, desired >= current ? UP_STABILIZED : DOWN_STABILIZED]
}

interface Bounds {
  readonly least: number
  readonly most: number
}

function withinBounds({ current, desired }: Wish, { least, most }: Bounds): [number, Told] {
  const rate = Math.max(UP_LIMIT_FACTOR * current, UP_LIMIT_LEAST)
  if (desired < least) return [least, TOO_FEW]
  const allowed = Math.min(most, rate)
  if (desired > allowed) return [allowed, most > rate ? UP_LIMIT : TOO_MANY]
  return [desired, WITHIN]
}

function withinRates(
  { current, desired, nowMs }: Wish,
  { least, most }: Bounds,
  { history, up, down }: Rules & { readonly history: History },
): [number, Told] {
  if (desired > current) {
    const rate = Math.max(current, rateLimit('up', current, { rules: up, history, nowMs }))
    const allowed = Math.min(most, rate)
    if (desired > allowed) return [allowed, most > rate ? UP_LIMIT : TOO_MANY]
  } else if (desired < current) {
    const rate = Math.min(current, rateLimit('down', current, { rules: down, history, nowMs }))
    const allowed = Math.max(least, rate)
    if (desired < allowed) return [allowed, least < rate ? DOWN_LIMIT : TOO_FEW]
  }
  return [desired, WITHIN]
}

/** As far as the policies let the replicas go. */
function rateLimit(
  direction: 'up' | 'down',
  current: number,
  {
    rules,
    history,
    nowMs,
  }: { readonly rules: HPAScalingRules; readonly history: History; readonly nowMs: number },
): number {
  if (rules.selectPolicy === 'Disabled') return current
  const sign = direction === 'up' ? 1 : -1
  const proposals = (rules.policies ?? []).map(({ type, value, periodSeconds }) => {
    const changed = (events: readonly ScaleEvent[]) =>
      events
        .filter(each => each.atMs > nowMs - periodSeconds * SECOND_MS)
        .reduce((total, each) => total + each.change, 0)
    const start = current - changed(history.ups) + changed(history.downs)
    if (type === 'Pods') return start + sign * value
    const proposed = start * (1 + (sign * value) / 100)
    return direction === 'up' ? Math.ceil(proposed) : Math.trunc(proposed)
  })
  const takesMost = (rules.selectPolicy === 'Min') === (direction === 'down')
  return takesMost ? Math.max(...proposals) : Math.min(...proposals)
}

/** What is remembered longest: an hour of stabilization, half an hour of rates. */
const REMEMBERED_MS = 3_600_000
const REMEMBERED_MAX = 1_000

export function remember(history: History, wish: Wish, done: number): History {
  const { nowMs, current } = wish
  const fresh = <T extends { readonly atMs: number }>(list: readonly T[]): T[] =>
    list.filter(each => each.atMs > nowMs - REMEMBERED_MS).slice(-REMEMBERED_MAX)
  const event = { atMs: nowMs, change: Math.abs(done - current) }
  return {
    recommendations: [...fresh(history.recommendations), { atMs: nowMs, replicas: wish.desired }],
    ups: done > current ? [...fresh(history.ups), event] : fresh(history.ups),
    downs: done < current ? [...fresh(history.downs), event] : fresh(history.downs),
  }
}
