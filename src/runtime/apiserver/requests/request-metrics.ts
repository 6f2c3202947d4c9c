/** Counts requests and how long they take, under the stable names that kube-apiserver gives them. */
import type { RequestInfo } from './request-info.ts'

type Labels = Readonly<Record<string, string>>

/** As `runtime/metrics` renders it. */
export type RequestMetric = { readonly name: string; readonly help: string; readonly labels: Labels } & (
  | { readonly type: 'counter' | 'gauge'; readonly value: number }
  | {
      readonly type: 'histogram'
      readonly histogram: {
        readonly bounds: readonly number[]
        readonly counts: readonly number[]
        readonly sum: number
      }
    }
)

/** What is told of one request. */
export interface CountedRequest {
  readonly info: RequestInfo
  readonly isApply: boolean
  readonly isDryRun: boolean
  readonly code: number
  readonly seconds: number
  /** Of these, for webhooks and for seats that others had. */
  readonly waitedSeconds: number
}

interface Series {
  readonly labels: Labels
  readonly codes: Map<number, number>
  readonly times: Times
  /** Those of its dry runs too. */
  readonly level: Times
}

/** As kube-apiserver has them. */
const BOUNDS = [
  ...[0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1, 1.25, 1.5, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 45, 60],
]
/** Of what service levels are judged by. */
const SLI_BOUNDS = BOUNDS.filter(bound => bound >= 0.05)
/** Of requests alike; what comes later is not counted. */
const SERIES_MAX = 5_000
const METHODS: Readonly<Record<string, string>> = { create: 'POST', update: 'PUT' }
const VERBS = new Set([
  ...['APPLY', 'CONNECT', 'DELETE', 'DELETECOLLECTION', 'GET', 'HEAD', 'LIST', 'OPTIONS', 'PATCH', 'POST'],
  ...['PUT', 'WATCH'],
])
const CONNECTING = new Set(['exec', 'attach', 'portforward', 'proxy'])
const NAMED_PATHS = new Set(['/healthz', '/livez', '/readyz', '/metrics', '/version'])

/** How often something took how long. */
class Times {
  readonly bounds: readonly number[]
  readonly counts: number[]
  sum = 0

  constructor(bounds: readonly number[]) {
    this.bounds = bounds
    this.counts = Array.from({ length: bounds.length + 1 }, () => 0)
  }

  add(seconds: number): void {
    let bucket = 0
    while (bucket < this.bounds.length && seconds > (this.bounds[bucket] ?? 0)) bucket += 1
    this.counts[bucket] = (this.counts[bucket] ?? 0) + 1
    this.sum += seconds
  }
}

export class RequestMetrics {
  readonly #series = new Map<string, Series>()
  /** By what is asked for, dry runs included: without what was waited for others. */
  readonly #levels = new Map<string, { readonly labels: Labels; readonly times: Times }>()
  readonly #isKnown: (info: RequestInfo, code: number) => boolean
  /** Now, by their labels. */
  readonly #longRunning = new Map<string, { readonly labels: Labels; count: number }>()
  readonly inFlight = { readOnly: 0, mutating: 0 }

  /** `isKnown` keeps resources that nobody serves from being counted by names that anybody may think of. */
  constructor(isKnown: (info: RequestInfo, code: number) => boolean) {
    this.#isKnown = isKnown
  }

  count({ info, isApply, isDryRun, code, seconds, waitedSeconds }: CountedRequest): void {
    const { group, version, resource, isResource } = info
    const verb = isApply ? 'APPLY' : verbOf(info)
    const subresource = isResource ? info.subresource : NAMED_PATHS.has(info.path) ? info.path : ''
    const dryRun = isDryRun ? 'All' : ''
    const scope = scopeOf(info)
    const about = `${verb} ${group}/${version}/${resource}/${subresource} ${scope}`
    const key = `${about} ${dryRun}`
    let series = this.#series.get(key)
    if (series === undefined) {
      if (this.#series.size >= SERIES_MAX || (isResource && !this.#isKnown(info, code))) return
      const labels = { component: 'apiserver', group, resource, scope, subresource, verb, version }
      const level = this.#levels.getOrInsertComputed(about, () => ({ labels, times: new Times(SLI_BOUNDS) }))
      series = {
        ...{ labels: { ...labels, dry_run: dryRun }, codes: new Map() },
        ...{ times: new Times(BOUNDS), level: level.times },
      }
      this.#series.set(key, series)
    }
    series.codes.set(code, (series.codes.get(code) ?? 0) + 1)
    // How long a watch or a stream lasts is its client's affair.
    if (verb === 'WATCH' || verb === 'CONNECT') return
    series.times.add(seconds)
    series.level.add(Math.max(0, seconds - waitedSeconds))
  }

  /** A watch or a stream begins; the answer is to be called when it ends, once or more often. */
  longRunning(info: RequestInfo): () => void {
    const { group, version, resource, subresource } = info
    const [verb, scope] = [verbOf(info), scopeOf(info)]
    const key = `${verb} ${group}/${version}/${resource}/${subresource} ${scope}`
    const known = this.#longRunning.get(key)
    if (known === undefined && this.#longRunning.size >= SERIES_MAX) return () => {}
    const labels = { component: 'apiserver', group, resource, scope, subresource, verb, version }
    const series = known ?? { labels, count: 0 }
    this.#longRunning.set(key, series)
    series.count += 1
    let isOver = false
    return () => {
      if (!isOver) series.count -= 1
      isOver = true
    }
  }

  metrics(): readonly RequestMetric[] {
    const all = [...this.#series.values()]
    return [
      ...all.flatMap(({ labels, codes }) =>
        [...codes].map(
          ([code, value]): RequestMetric => ({
            name: 'apiserver_request_total',
            help: 'Requests, by verb, resource and status.',
            type: 'counter',
            labels: { ...labels, code: String(code) },
            value,
          }),
        ),
      ),
      ...timesOf(
        'apiserver_request_duration_seconds',
        'How long requests take until their answer begins.',
        all,
      ),
      ...timesOf(
        'apiserver_request_sli_duration_seconds',
        'The same without what they waited for webhooks and for their turn.',
        [...this.#levels.values()],
      ),
      ...Array.from(
        this.#longRunning.values(),
        ({ labels, count }): RequestMetric => ({
          name: 'apiserver_longrunning_requests',
          help: 'Watches and streams that are under way.',
          type: 'gauge',
          labels,
          value: count,
        }),
      ),
      ...Object.entries(this.inFlight).map(
        ([request_kind, value]): RequestMetric => ({
          name: 'apiserver_current_inflight_requests',
          help: 'Requests that are being answered now.',
          type: 'gauge',
          labels: { request_kind },
          value,
        }),
      ),
    ]
  }
}

function timesOf(
  name: string,
  help: string,
  all: readonly { readonly labels: Labels; readonly times: Times }[],
): RequestMetric[] {
  return all
    .filter(({ labels: { verb } }) => verb !== 'WATCH' && verb !== 'CONNECT')
    .map(({ labels, times: histogram }) => ({ name, help, type: 'histogram', labels, histogram }))
}

function verbOf({ verb, subresource, isResource }: RequestInfo): string {
  if (isResource && CONNECTING.has(subresource)) return 'CONNECT'
  const known = METHODS[verb] ?? verb.toUpperCase()
  return VERBS.has(known) ? known : 'other'
}

function scopeOf({ name, verb, namespace, isResource }: RequestInfo): string {
  if (name !== '' || verb === 'create') return 'resource'
  if (namespace !== '') return 'namespace'
  return isResource ? 'cluster' : ''
}

export const isReadOnly = ({ verb }: RequestInfo): boolean => verb === 'get' || verb === 'list'
