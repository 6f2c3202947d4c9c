/**
 * Decides from what was collected what is wrong. An error says that the node or the cluster is broken, a warning
 * asks for attention, a note may explain something. Pure.
 */
import type { NodeStatus } from '../../client/node-status.ts'
import { reasonsNotReady } from '../../client/node-status.ts'
import type { Finding as PreflightFinding } from '../../host/preflight.ts'
import type { Event } from '../../kube/types.ts'

export interface InspectFinding {
  readonly level: 'error' | 'warning' | 'note'
  /** What was looked at: `daemon`, `certificate apiserver`, `pod/default/web`. */
  readonly subject: string
  readonly message: string
  /** What to do next; empty when there is nothing to do. */
  readonly next: string
}

export interface CertificateFact {
  readonly name: string
  readonly subject: string
  /** Milliseconds since the epoch; NaN when the file cannot be read. */
  readonly validFromMs: number
  readonly validToMs: number
}

export interface LogFacts {
  /** Messages of the last hour's errors, oldest first. */
  readonly errors: readonly string[]
  /** How often the daemon started in the last hour. */
  readonly starts: number
}

export interface InspectFacts {
  readonly nowMs: number
  /** Null when the daemon does not answer. */
  readonly status: NodeStatus | null
  /** Why it does not, and what is to be done. */
  readonly noStatus: { readonly message: string; readonly next: string }
  readonly configProblem: string
  readonly preflight: readonly PreflightFinding[]
  readonly memoryAvailableBytes: number
  readonly certificates: readonly CertificateFact[]
  readonly log: LogFacts
  /** Undefined when the API server was not asked. */
  readonly apiProblem: string | undefined
  readonly events: readonly Event[]
}

const DAY_MS = 24 * 3_600_000
const HOUR_MS = 3_600_000
const EXPIRY_DAYS = 30
const MIB = 1024 * 1024
const MEMORY_AVAILABLE_MIN = 128 * MIB
const STARTS_MAX = 3
const EVENTS_SHOWN = 10
const ERRORS_SHOWN = 3
const LEVELS = ['error', 'warning', 'note'] as const

/** The worst first. */
export function findWhatIsWrong(facts: InspectFacts): InspectFinding[] {
  const all = [
    ...daemonFindings(facts),
    ...statusFindings(facts),
    ...facts.preflight.flatMap(hostFinding),
    ...memoryFindings(facts),
    ...facts.certificates.flatMap(certificate => certificateFindings(certificate, facts.nowMs)),
    ...logFindings(facts.log),
    ...eventFindings(facts),
  ]
  return LEVELS.flatMap(level => all.filter(finding => finding.level === level))
}

export const isBroken = (findings: readonly InspectFinding[]): boolean =>
  findings.some(({ level }) => level === 'error')

const make = (
  level: InspectFinding['level'],
  subject: string,
  message: string,
  next = '',
): InspectFinding => ({ level, subject, message, next })

function daemonFindings({ status, noStatus, configProblem, apiProblem }: InspectFacts): InspectFinding[] {
  const found: InspectFinding[] = []
  if (configProblem !== '') found.push(make('error', 'configuration', configProblem, 'correct config.yaml'))
  if (status === null) found.push(make('error', 'daemon', noStatus.message, noStatus.next))
  if (apiProblem !== undefined) found.push(make('error', 'api-server', apiProblem, 'see daemon.log'))
  return found
}

function statusFindings({ status }: InspectFacts): InspectFinding[] {
  if (status === null) return []
  const { datastore, node, problems } = status
  const unready = reasonsNotReady(status).map(reason => make('error', 'node', reason, 'see daemon.log'))
  const told = (object: string) => object.startsWith('component/') || object === `node/${node.name}`
  const others = problems
    .filter(({ object }) => node.ready || !told(object))
    .filter(({ object }) => !object.startsWith('component/'))
    .map(({ object, reason, message, next }) =>
      make(levelOf(object), object, message === '' ? reason : `${reason}: ${message}`, next),
    )
  return [...unready, ...datastoreFindings(datastore), ...others]
}

function datastoreFindings(datastore: NodeStatus['datastore']): InspectFinding[] {
  if (datastore === null) return []
  const { healthy, highAvailability } = datastore
  if (!healthy) return [make('error', 'datastore', 'it has no leader that a majority follows', 'mk8s status')]
  if (highAvailability?.state !== 'degraded') return []
  return [make('warning', 'datastore', highAvailability.why, 'mk8s status')]
}

/** Nodes and the cluster's own pods; what a user runs may fail without the cluster being broken. */
const levelOf = (object: string): 'error' | 'warning' =>
  object.startsWith('node/') || object.startsWith('pod/kube-system/') ? 'error' : 'warning'

function hostFinding({ level, check, message, hint }: PreflightFinding): InspectFinding[] {
  if (level === 'ok') return []
  const isOptional = ['overlay', 'namespaces', 'cgroups'].includes(check)
  return [make(level === 'error' ? 'error' : isOptional ? 'note' : 'warning', check, message, hint)]
}

function memoryFindings({ memoryAvailableBytes }: InspectFacts): InspectFinding[] {
  if (memoryAvailableBytes >= MEMORY_AVAILABLE_MIN) return []
  const message = `only ${Math.floor(memoryAvailableBytes / MIB)} MiB of memory are available`
  return [make('warning', 'memory', message, 'end what needs the memory, or add some')]
}

function certificateFindings(certificate: CertificateFact, nowMs: number): InspectFinding[] {
  const { name, validFromMs, validToMs } = certificate
  const subject = `certificate ${name}`
  const next = 'sudo mk8s install renews it'
  if (Number.isNaN(validToMs)) return [make('error', subject, 'it cannot be read', next)]
  if (validFromMs > nowMs) {
    return [make('error', subject, `it is not valid before ${dayOf(validFromMs)}`, 'check the clock')]
  }
  if (validToMs <= nowMs) return [make('error', subject, `it expired on ${dayOf(validToMs)}`, next)]
  const days = Math.floor((validToMs - nowMs) / DAY_MS)
  if (days >= EXPIRY_DAYS) return []
  return [make('warning', subject, `it expires in ${days} days, on ${dayOf(validToMs)}`, next)]
}

const dayOf = (ms: number): string => new Date(ms).toISOString().slice(0, 10)

function logFindings({ errors, starts }: LogFacts): InspectFinding[] {
  const found: InspectFinding[] = []
  if (starts > STARTS_MAX) {
    found.push(make('warning', 'daemon', `it started ${starts} times in the last hour`, 'see daemon.log'))
  }
  if (errors.length > 0) {
    const last = [...new Set(errors)].slice(-ERRORS_SHOWN).join('; ')
    const message = `${errors.length} ${errors.length === 1 ? 'error' : 'errors'} in the last hour: ${last}`
    found.push(make('warning', 'daemon.log', message, 'see daemon.log'))
  }
  return found
}

function eventFindings({ events, nowMs }: InspectFacts): InspectFinding[] {
  const recent = events
    .filter(event => event.type === 'Warning' && nowMs - timeOf(event) <= HOUR_MS)
    .sort((a, b) => timeOf(b) - timeOf(a))
  const found = recent.slice(0, EVENTS_SHOWN).map(({ involvedObject, reason, message, count = 1 }) => {
    const { kind = '', namespace, name = '' } = involvedObject
    const subject = [`event ${kind.toLowerCase()}`, namespace, name].filter(Boolean).join('/')
    return make('note', subject, `${reason}: ${message}${count > 1 ? ` (${count} times)` : ''}`)
  })
  const left = recent.length - found.length
  return left > 0
    ? [...found, make('note', 'events', `and ${left} more warnings, see cluster/events.json`)]
    : found
}

function timeOf({ lastTimestamp, eventTime, metadata }: Event): number {
  return Date.parse(lastTimestamp ?? eventTime ?? metadata.creationTimestamp ?? '') || 0
}

/** For people: one finding per paragraph. */
export function renderFindings(findings: readonly InspectFinding[]): string {
  if (findings.length === 0) return 'nothing is wrong\n'
  const lines = findings.flatMap(({ level, subject, message, next }) => [
    `${level.padEnd(8)} ${subject}: ${message}`,
    ...(next === '' ? [] : [`         next: ${next}`]),
  ])
  return `${lines.join('\n')}\n`
}
