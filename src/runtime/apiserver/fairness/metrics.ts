/** Figures of priority and fairness under kube-apiserver's names. */
import type { PriorityLevel } from './priority-level.ts'

type Labels = Readonly<Record<string, string>>

interface Histogram {
  readonly bounds: readonly number[]
  readonly counts: readonly number[]
  readonly sum: number
}

/** As `runtime/metrics` renders it. */
export type FlowMetric = { readonly name: string; readonly help: string; readonly labels: Labels } & (
  | { readonly type: 'counter' | 'gauge'; readonly value: number }
  | { readonly type: 'histogram'; readonly histogram: Histogram }
)

const PREFIX = 'apiserver_flowcontrol_'

export function flowMetrics(levels: readonly PriorityLevel[]): readonly FlowMetric[] {
  return [...flowCounts(levels), ...levelGauges(levels), ...waits(levels)]
}

interface Sample {
  readonly labels: Labels
  readonly value: number
}

const family = (name: string, help: string, type: 'counter' | 'gauge', samples: readonly Sample[]) =>
  samples.map((sample): FlowMetric => ({ name: PREFIX + name, help, type, ...sample }))

function flowCounts(levels: readonly PriorityLevel[]): readonly FlowMetric[] {
  const flows = levels.flatMap(({ config, flows: counted }) =>
    [...counted].map(([schema, counts]) => ({
      labels: { flow_schema: schema, priority_level: config.name },
      counts,
    })),
  )
  const of = (pick: (counts: (typeof flows)[number]['counts']) => number) =>
    flows.map(({ labels, counts }) => ({ labels, value: pick(counts) }))
  const refused = flows.flatMap(({ labels, counts }) =>
    [...counts.refused].map(([reason, value]) => ({ labels: { ...labels, reason }, value })),
  )
  return [
    ...family(
      'dispatched_requests_total',
      'Requests that got their seats.',
      'counter',
      of(one => one.dispatched),
    ),
    ...family('rejected_requests_total', 'Requests that were refused.', 'counter', refused),
    ...family(
      'current_inqueue_requests',
      'Requests that wait.',
      'gauge',
      of(one => one.waiting),
    ),
    ...family(
      'current_executing_requests',
      'Requests that run.',
      'gauge',
      of(one => one.executing),
    ),
  ]
}

function levelGauges(levels: readonly PriorityLevel[]): readonly FlowMetric[] {
  const of = (pick: (level: PriorityLevel) => number) =>
    levels.map(level => ({ labels: { priority_level: level.config.name }, value: pick(level) }))
  const limited = levels.filter(({ config }) => !config.isExempt)
  const limits = limited.map(level => ({
    labels: { priority_level: level.config.name },
    value: level.queues.limit,
  }))
  return [
    ...family(
      'current_executing_seats',
      'Seats in use.',
      'gauge',
      of(({ queues }) => queues.seatsInUse),
    ),
    ...family(
      'nominal_limit_seats',
      'Seats of its own.',
      'gauge',
      of(({ config }) => config.nominal),
    ),
    ...family(
      'lower_limit_seats',
      'Seats that it keeps.',
      'gauge',
      of(({ config }) => config.lower),
    ),
    ...family(
      'upper_limit_seats',
      'Seats that it may have.',
      'gauge',
      of(({ config }) => config.upper),
    ),
    ...family('current_limit_seats', 'Seats that it has at present.', 'gauge', limits),
    ...family(
      'demand_seats_smoothed',
      'Seats wanted lately.',
      'gauge',
      of(({ smooth }) => smooth),
    ),
  ]
}

const waits = (levels: readonly PriorityLevel[]): readonly FlowMetric[] =>
  levels.map(({ config, waits: histogram }) => ({
    name: `${PREFIX}request_wait_duration_seconds`,
    help: 'How long requests waited before they ran.',
    type: 'histogram',
    labels: { priority_level: config.name, execute: 'true' },
    histogram,
  }))
