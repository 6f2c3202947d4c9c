/** Probe decisions (pure): thresholds, and when to probe next. */
import type { Container, Probe } from '../../../kube/types.ts'
import type { ProbeVerdict } from '../plan-pod.ts'

export type ProbeKind = 'startup' | 'readiness' | 'liveness'

export interface ProbeState {
  readonly verdict: ProbeVerdict
  /** Of the same outcome in a row. */
  readonly run: number
  readonly lastOk: boolean | null
  /** Probes made so far. */
  readonly total: number
}

/** A container is alive until proven dead, and not ready until proven ready. */
export function initialState(kind: ProbeKind): ProbeState {
  const verdict = kind === 'liveness' ? 'success' : kind === 'readiness' ? 'failure' : 'unknown'
  return { verdict, run: 0, lastOk: null, total: 0 }
}

export function applyOutcome(state: ProbeState, ok: boolean, probe: Probe): ProbeState {
  const run = state.lastOk === ok ? state.run + 1 : 1
  const threshold = ok ? (probe.successThreshold ?? 1) : (probe.failureThreshold ?? 3)
  const verdict = run >= threshold ? (ok ? 'success' : 'failure') : state.verdict
  return { verdict, run, lastOk: ok, total: state.total + 1 }
}

const EAGER_FIRST_MS = 100

/**
 * Until a program has answered for the first time it is asked more often than its period says, at growing
 * distances; those failures count for nothing, a success does. So a pod is ready when it is, not a period later.
 */
export function eagerDelayMs(attempt: number, probe: Probe): number | null {
  const periodMs = (probe.periodSeconds ?? 10) * 1_000
  const delayMs = EAGER_FIRST_MS * 2 ** attempt
  return delayMs * 2 < periodMs ? delayMs : null
}

export function probeOf(container: Container, kind: ProbeKind): Probe | undefined {
  if (kind === 'startup') return container.startupProbe
  return kind === 'readiness' ? container.readinessProbe : container.livenessProbe
}

/** A port given by name is looked up among the container's ports; null when it is not there. */
export function resolvePort(port: number | string, container: Container): number | null {
  if (typeof port === 'number') return port
  if (/^\d+$/.test(port)) return Number(port)
  return container.ports?.find(({ name }) => name === port)?.containerPort ?? null
}

/** Throws where a name stands for no port. */
export function mustPort(port: number | string, container: Container): number {
  const found = resolvePort(port, container)
  if (found === null) throw new Error(`port ${port} not found`)
  if (found < 1 || found > 65_535) throw new Error(`invalid port number: ${found}`)
  return found
}
