/**
 * API Priority and Fairness: each request belongs to a flow, flows share the seats of their priority level fairly, and
 * levels lend each other what they do not need. Reads FlowSchemas and PriorityLevelConfigurations as they are now.
 */
import type { Clock } from '../../../base/clock.ts'
import { tooManyRequests } from '../../../kube/status.ts'
import type { Store } from '../../store/store.ts'
import type { ObjectReader } from '../ports.ts'
import type { RequestInfo } from '../requests/request-info.ts'
import { keep } from '../storage/kept.ts'
import type { UserInfo } from '../user.ts'
import { BORROWING_PERIOD_SECONDS, currentLimits, smoothed } from './borrowing.ts'
import { type FlowControlConfig, flowControlConfig, SERVER_SEATS } from './config.ts'
import { dumpOf } from './dump.ts'
import { distinguisherOf, schemaFor } from './matching.ts'
import { type FlowMetric, flowMetrics } from './metrics.ts'
import { type Leave, PriorityLevel } from './priority-level.ts'
import { listSeats } from './seats.ts'
import { flowHash } from './shuffle-sharding.ts'

export type { Leave } from './priority-level.ts'

const GROUP = 'flowcontrol.apiserver.k8s.io'
const PREFIXES = [`/registry/${GROUP}/flowschemas/`, `/registry/${GROUP}/prioritylevelconfigurations/`]
/** Requests of limited levels that run or wait, all together: each holds its body in memory. */
const REQUESTS_MAX = 3_000

export interface FairnessParts {
  readonly store: Pick<Store, 'watch' | 'revision' | 'count'>
  readonly objects: ObjectReader
  readonly clock: Clock
}

/** What is known of a request before it may run. */
export interface Admission {
  /** Say in the response which schema and level it was. */
  readonly headers: Readonly<Record<string, string>>
  /** Its seats, now or when it is its turn; throws StatusError 429. */
  enter(signal: AbortSignal | undefined): Leave | Promise<Leave>
}

export interface Fairness {
  /** `listPrefix`: of the keys that a list goes through; null for everything else. */
  admit(user: UserInfo, info: RequestInfo, listPrefix: () => string | null, query: URLSearchParams): Admission
  metrics(): readonly FlowMetric[]
  /** The text behind a debugging path; null for other paths. */
  dump(path: string): string | null
}

interface Current {
  readonly config: FlowControlConfig
  readonly levels: ReadonlyMap<string, PriorityLevel>
  readonly headers: ReadonlyMap<string, Readonly<Record<string, string>>>
}

export function createFairness(parts: FairnessParts): Fairness {
  const { store, objects, clock } = parts
  const levels = new Map<string, PriorityLevel>()
  const made = keep(store, PREFIXES, () => readCurrent(objects, clock, levels))
  const seconds = () => clock.monotonic() / 1000
  let adjusted = seconds()
  /** Done when a request comes: without requests nobody needs seats. */
  const adjustWhenDue = () => {
    if (seconds() - adjusted < BORROWING_PERIOD_SECONDS) return
    adjusted = seconds()
    adjust([...levels.values()], adjusted)
  }
  return {
    admit(user, info, listPrefix, query) {
      const current = made.current()
      adjustWhenDue()
      const schema = schemaFor(current.config.schemas, user, info)
      const level = current.levels.get(schema?.level ?? '')
      if (schema === undefined || level === undefined) throw tooManyRequests('no flow schema matches')
      return {
        headers: current.headers.get(schema.name) ?? {},
        enter(signal) {
          const { config } = level
          if (!config.isExempt && requestsOf(levels) >= REQUESTS_MAX)
            throw tooManyRequests('Too many requests, please try again later.')
          const distinguisher = config.isExempt ? '' : distinguisherOf(schema, user, info)
          const hash = config.queues === null ? 0 : flowHash(schema.name, distinguisher)
          const prefix = config.isExempt ? null : listPrefix()
          const seats = prefix === null ? 1 : listSeats(listWork(store, info, prefix, query), config.nominal)
          return level.enter({ schema: schema.name, distinguisher, hash, seats }, signal)
        },
      }
    },
    metrics: () => {
      made.current()
      return flowMetrics([...levels.values()])
    },
    dump(path) {
      made.current()
      return dumpOf(path, [...levels.values()], clock.now())
    },
  }
}

function readCurrent(objects: ObjectReader, clock: Clock, levels: Map<string, PriorityLevel>): Current {
  const config = flowControlConfig(
    objects.list(GROUP, 'flowschemas'),
    objects.list(GROUP, 'prioritylevelconfigurations'),
  )
  // What still runs or waits in a level that is gone ends there.
  for (const name of levels.keys()) if (!config.levels.has(name)) levels.delete(name)
  for (const one of config.levels.values()) {
    const level = levels.get(one.name)
    if (level === undefined) levels.set(one.name, new PriorityLevel(one, clock))
    else level.configure(one)
  }
  const headers = new Map(
    config.schemas.map(({ name, uid, level }) => [
      name,
      {
        'x-kubernetes-pf-flowschema-uid': uid,
        'x-kubernetes-pf-prioritylevel-uid': config.levels.get(level)?.uid ?? '',
      },
    ]),
  )
  return { config, levels, headers }
}

function requestsOf(levels: ReadonlyMap<string, PriorityLevel>): number {
  let sum = 0
  for (const { config, queues } of levels.values())
    if (!config.isExempt) sum += queues.executing + queues.waiting
  return sum
}

function listWork(store: Pick<Store, 'count'>, info: RequestInfo, prefix: string, query: URLSearchParams) {
  const isNamed = info.name !== '' || (query.get('fieldSelector') ?? '').includes('metadata.name=')
  // A list from any version is answered whole.
  const limit = query.get('resourceVersion') === '0' ? 0 : Number(query.get('limit') ?? 0)
  return { objects: store.count(prefix, `${prefix.slice(0, -1)}0`), limit, isNamed }
}

/** Exempt levels take what they use; the limited ones divide the rest. */
function adjust(levels: readonly PriorityLevel[], seconds: number): void {
  const limited = levels.filter(({ config }) => !config.isExempt)
  const exempt = levels.filter(({ config }) => config.isExempt)
  const used = exempt.reduce((sum, { demand }) => sum + demand.take(seconds).average, 0)
  const claimants = limited.map(level => {
    const period = level.demand.take(seconds)
    level.smooth = smoothed(level.smooth, period)
    return { config: level.config, high: period.high, smooth: level.smooth }
  })
  const limits = currentLimits(claimants, Math.max(1, SERVER_SEATS - used))
  for (const [at, level] of limited.entries()) level.limit(limits[at] ?? level.queues.limit)
}
