/** When a node is under pressure (pure): upstream's signals, its default hard thresholds and their conditions. */
import { integerValue, parseQuantity } from '../../../kube/quantity.ts'

export type Signal =
  | 'memory.available'
  | 'nodefs.available'
  | 'nodefs.inodesFree'
  | 'imagefs.available'
  | 'imagefs.inodesFree'
  | 'pid.available'

export type PressureType = 'MemoryPressure' | 'DiskPressure' | 'PIDPressure'

export interface Threshold {
  readonly signal: Signal
  /** `100Mi`, `10%`. */
  readonly value: string
  /** Soft: it may stay unmet for so long before a pod is evicted. */
  readonly graceMs?: number
  /** Once unmet, it stays so until this much more is there. */
  readonly reclaim?: string
}

/** evictionHard and evictionPressureTransitionPeriod; processes have no threshold unless somebody gives one. */
export const PRESSURE_SETTINGS = {
  evictionHard: {
    'memory.available': '100Mi',
    'nodefs.available': '10%',
    'nodefs.inodesFree': '5%',
    'imagefs.available': '15%',
    'imagefs.inodesFree': '5%',
  },
  transitionMs: 300_000,
} as const

export const DEFAULT_THRESHOLDS: readonly Threshold[] = Object.entries(PRESSURE_SETTINGS.evictionHard).map(
  ([signal, value]) => ({ signal: signal as Signal, value }),
)

export const CONDITION_OF: Readonly<Record<Signal, PressureType>> = {
  'memory.available': 'MemoryPressure',
  'nodefs.available': 'DiskPressure',
  'nodefs.inodesFree': 'DiskPressure',
  'imagefs.available': 'DiskPressure',
  'imagefs.inodesFree': 'DiskPressure',
  'pid.available': 'PIDPressure',
}

export const isSignal = (text: string): text is Signal => text in CONDITION_OF

/** What a pod's message calls what is short. */
export const RESOURCE_OF: Readonly<Record<Signal, string>> = {
  'memory.available': 'memory',
  'nodefs.available': 'ephemeral-storage',
  'nodefs.inodesFree': 'inodes',
  'imagefs.available': 'ephemeral-storage',
  'imagefs.inodesFree': 'inodes',
  'pid.available': 'pids',
}

export interface Observation {
  readonly available: number
  readonly capacity: number
}

export type Observations = Partial<Readonly<Record<Signal, Observation>>>

/** The amount of which at least so much has to be there. */
export function amountOf({ value }: Pick<Threshold, 'value'>, capacity: number): number {
  if (value.endsWith('%')) return Math.floor((capacity * Number(value.slice(0, -1))) / 100)
  return integerValue(parseQuantity(value))
}

/** Those that are not met; of those that were not before, `held`, also what is still to be reclaimed. */
export function unmet(
  thresholds: readonly Threshold[],
  seen: Observations,
  held: ReadonlyMap<Threshold, number> = new Map(),
): Threshold[] {
  return thresholds.filter(threshold => {
    const observation = seen[threshold.signal]
    if (observation === undefined || observation.capacity === 0) return false
    const { capacity, available } = observation
    const more = held.has(threshold) ? amountOf({ value: threshold.reclaim ?? '0' }, capacity) : 0
    return available < amountOf(threshold, capacity) + more
  })
}

/** Since when each has not been met. */
export const nextHeld = (
  before: ReadonlyMap<Threshold, number>,
  short: readonly Threshold[],
  nowMs: number,
): ReadonlyMap<Threshold, number> =>
  new Map(short.map(threshold => [threshold, before.get(threshold) ?? nowMs]))

/** Those whose time is over, hard ones at once; memory first, which runs out soonest. */
export function dueOf(held: ReadonlyMap<Threshold, number>, nowMs: number): Threshold[] {
  const due = [...held].filter(([{ graceMs = 0 }, sinceMs]) => nowMs - sinceMs >= graceMs)
  const rank = ({ signal }: Threshold) => (signal === 'memory.available' ? 0 : 1)
  const isSoft = ({ graceMs }: Threshold) => (graceMs === undefined ? 0 : 1)
  return due.map(([threshold]) => threshold).sort((a, b) => rank(a) - rank(b) || isSoft(a) - isSoft(b))
}

export interface Pressure {
  readonly type: PressureType
  /** When a threshold of it was last not met. */
  readonly lastSeenMs: number
}

/** A condition stays for the transition period after the last time that a threshold was not met. */
export function nextPressures(
  previous: readonly Pressure[],
  short: readonly Threshold[],
  { nowMs, transitionMs }: { readonly nowMs: number; readonly transitionMs: number },
): Pressure[] {
  const now = new Set(short.map(({ signal }) => CONDITION_OF[signal]))
  const kept = previous.filter(({ type, lastSeenMs }) => !now.has(type) && nowMs - lastSeenMs < transitionMs)
  return [...kept, ...[...now].map(type => ({ type, lastSeenMs: nowMs }))]
}
