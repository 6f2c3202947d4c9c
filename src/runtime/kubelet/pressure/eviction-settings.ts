/** When a node evicts, from the options that upstream's kubelet has for it (pure). */
import { Mk8sError } from '../../../base/errors.ts'
import { parseGoDuration } from '../../../kube/time.ts'
import { DEFAULT_THRESHOLDS, isSignal, PRESSURE_SETTINGS, type Signal, type Threshold } from './thresholds.ts'

export interface PressureSettings {
  readonly thresholds: readonly Threshold[]
  readonly transitionMs: number
  readonly lookMs: number
  /** The most that a pod gets which a soft threshold evicts. */
  readonly maxPodGraceMs?: number
}

/** monitoringInterval of upstream's eviction manager. */
export const DEFAULT_PRESSURE: PressureSettings = {
  thresholds: DEFAULT_THRESHOLDS,
  transitionMs: PRESSURE_SETTINGS.transitionMs,
  lookMs: 10_000,
}

type Options = Readonly<Record<string, string>>

/** Throws `config/invalid`. */
export function parsePressureSettings(options: Options): PressureSettings {
  const hard = options['evictionHard']
  const reclaim = pairs(options['evictionMinimumReclaim'], '=', 'evictionMinimumReclaim')
  const hardOnes: readonly Threshold[] =
    hard === undefined ? DEFAULT_THRESHOLDS : thresholdsOf(pairs(hard, '<', 'evictionHard'))
  const withReclaim = [...softOnes(options), ...hardOnes].map(threshold => {
    const amount = reclaim.get(threshold.signal)
    return amount === undefined ? threshold : { ...threshold, reclaim: amount }
  })
  const { maxPodGraceMs } = maxGrace(options['evictionMaxPodGracePeriod'])
  const transition = options['evictionPressureTransitionPeriod']
  return {
    ...DEFAULT_PRESSURE,
    thresholds: withReclaim,
    ...(transition === undefined ? {} : { transitionMs: parseGoDuration(transition) ?? 0 }),
    ...(maxPodGraceMs === undefined ? {} : { maxPodGraceMs }),
  }
}

function maxGrace(text: string | undefined): { maxPodGraceMs?: number } {
  return text === undefined ? {} : { maxPodGraceMs: Number(text) * 1_000 }
}

function softOnes(options: Options): readonly Threshold[] {
  const times = pairs(options['evictionSoftGracePeriod'], '=', 'evictionSoftGracePeriod')
  return thresholdsOf(pairs(options['evictionSoft'], '<', 'evictionSoft')).map(threshold => {
    const time = times.get(threshold.signal)
    const graceMs = time === undefined ? null : parseGoDuration(time)
    if (graceMs !== null && graceMs >= 0) return { ...threshold, graceMs }
    throw invalid(`grace period must be specified for the soft eviction threshold ${threshold.signal}`)
  })
}

/** An amount of nothing is no threshold. */
const thresholdsOf = (values: ReadonlyMap<Signal, string>): readonly Threshold[] =>
  [...values].filter(([, value]) => !/^(0%?|100%)$/.test(value)).map(([signal, value]) => ({ signal, value }))

/** `memory.available<100Mi,nodefs.available<10%`. */
function pairs(text: string | undefined, sign: '<' | '=', option: string): ReadonlyMap<Signal, string> {
  const found = new Map<Signal, string>()
  for (const pair of (text ?? '').split(',').filter(each => each.trim() !== '')) {
    const [signal = '', value = '', rest] = pair.split(sign).map(word => word.trim())
    if (!isSignal(signal) || value === '' || rest !== undefined || found.has(signal)) {
      throw invalid(`${option}: ${JSON.stringify(pair)} is not a signal, "${sign}" and a value`)
    }
    found.set(signal, value)
  }
  return found
}

const invalid = (why: string): Mk8sError =>
  new Mk8sError('config/invalid', 'the settings for evictions cannot be used', { why })
