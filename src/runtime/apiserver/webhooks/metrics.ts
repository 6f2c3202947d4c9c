/** Counts calls of webhooks, under the names that kube-apiserver gives them. */
export type WebhookKind = 'admit' | 'validating'

export interface CallOutcome {
  code: number
  rejected: boolean
  error: 'no_error' | 'calling_webhook_error'
}

export interface CallFigures extends CallOutcome {
  readonly webhook: string
  readonly kind: WebhookKind
  readonly operation: string
  readonly seconds: number
}

type Labels = Readonly<Record<string, string>>

interface Histogram {
  readonly bounds: readonly number[]
  readonly counts: number[]
  sum: number
}

/** As `runtime/metrics` renders it. */
export type WebhookMetric = { readonly name: string; readonly help: string; readonly labels: Labels } & (
  | { readonly type: 'counter'; readonly value: number }
  | { readonly type: 'histogram'; readonly histogram: Histogram }
)

export interface WebhookMetrics {
  called(figures: CallFigures): void
  failedOpen(webhook: string, kind: WebhookKind): void
  conditionFailed(webhook: string): void
  metrics(): readonly WebhookMetric[]
}

const PREFIX = 'apiserver_admission_webhook_'
const BOUNDS = [0.005, 0.025, 0.1, 0.5, 1, 2.5, 10, 25]
/** Series of one metric; what comes later is not counted. */
const SERIES_MAX = 1_000

interface Series {
  readonly labels: Labels
  value: number
}

interface Durations extends Histogram {
  readonly labels: Labels
}

export function createWebhookMetrics(): WebhookMetrics {
  const durations = new Map<string, Durations>()
  const requests = new Map<string, Series>()
  const rejections = new Map<string, Series>()
  const failOpen = new Map<string, Series>()
  const conditions = new Map<string, Series>()
  return {
    called(figures) {
      const { webhook: name, kind: type, operation, seconds, code, rejected, error } = figures
      const common = { name, operation, type }
      observe(durations, { ...common, rejected: String(rejected) }, seconds)
      count(requests, { ...common, code: String(code), rejected: String(rejected) })
      if (!rejected) return
      const rejection_code = error === 'no_error' ? String(code) : '0'
      count(rejections, { ...common, error_type: error, rejection_code })
    },
    failedOpen: (name, type) => count(failOpen, { name, type }),
    conditionFailed: name => count(conditions, { name, kind: 'webhook' }),
    metrics: () => [
      ...[...durations.values()].map(histogram => ({
        name: `${PREFIX}admission_duration_seconds`,
        help: 'How long admission webhooks took.',
        labels: histogram.labels,
        type: 'histogram' as const,
        histogram,
      })),
      ...counters(`${PREFIX}request_total`, 'Calls of admission webhooks.', requests),
      ...counters(`${PREFIX}rejection_count`, 'Requests that admission webhooks ended.', rejections),
      ...counters(`${PREFIX}fail_open_count`, 'Failed calls that were ignored.', failOpen),
      ...counters(
        'apiserver_admission_match_condition_evaluation_errors_total',
        'Failed match conditions.',
        conditions,
      ),
    ],
  }
}

function count(map: Map<string, Series>, labels: Labels): void {
  const key = Object.values(labels).join('\n')
  const series = map.get(key)
  if (series !== undefined) series.value += 1
  else if (map.size < SERIES_MAX) map.set(key, { labels, value: 1 })
}

function observe(map: Map<string, Durations>, labels: Labels, seconds: number): void {
  const key = Object.values(labels).join('\n')
  let series = map.get(key)
  if (series === undefined) {
    if (map.size >= SERIES_MAX) return
    series = { labels, bounds: BOUNDS, counts: new Array<number>(BOUNDS.length + 1).fill(0), sum: 0 }
    map.set(key, series)
  }
  const at = BOUNDS.findIndex(bound => seconds <= bound)
  const bucket = at < 0 ? BOUNDS.length : at
  series.counts[bucket] = (series.counts[bucket] ?? 0) + 1
  series.sum += seconds
}

const counters = (name: string, help: string, map: Map<string, Series>): WebhookMetric[] =>
  [...map.values()].map(({ labels, value }) => ({ name, help, labels, type: 'counter', value }))
