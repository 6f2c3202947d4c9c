/** Runs the probes of a pod's containers and keeps their verdicts; one timer per probe. */
import type { Clock, Timer } from '../../../base/clock.ts'
import type { Container, Pod, Probe } from '../../../kube/types.ts'
import type { ProbeVerdict } from '../plan-pod.ts'
import type { Runtime } from '../runtime/runtime.ts'
import {
  applyOutcome,
  eagerDelayMs,
  initialState,
  type ProbeKind,
  type ProbeState,
  probeOf,
} from './plan-probe.ts'
import type { ProbeCounts } from './probe-counts.ts'
import { type ProbeOutcome, runProbe } from './probe-runner.ts'

export interface ProbeManagerParts {
  readonly clock: Clock
  readonly runtime: Runtime
  readonly counts: ProbeCounts
  /** A verdict changed: look at the pod again. */
  readonly onVerdict: () => void
  readonly onEvent: (container: Container, reason: 'Unhealthy' | 'ProbeWarning', message: string) => void
}

export interface ProbedContainer {
  readonly pod: Pod
  readonly container: Container
  readonly containerId: string
  readonly podAddress: string
  readonly startedAtMs: number
  /** It ran already when this kubelet started, and was ready then. */
  readonly wasReady: boolean
}

interface Worker {
  readonly kind: ProbeKind
  readonly probe: Probe
  readonly target: ProbedContainer
  state: ProbeState
  eager: number
  timer: Timer | null
  isOver: boolean
}

const KINDS: readonly ProbeKind[] = ['startup', 'readiness', 'liveness']
const TITLES: Readonly<Record<ProbeKind, string>> = {
  startup: 'Startup',
  readiness: 'Readiness',
  liveness: 'Liveness',
}

export class ProbeManager {
  readonly #parts: ProbeManagerParts
  readonly #workers = new Map<string, Map<ProbeKind, Worker>>()

  constructor(parts: ProbeManagerParts) {
    this.#parts = parts
  }

  /** Starts the probes of a running container, once. */
  ensure(target: ProbedContainer): void {
    if (this.#workers.has(target.containerId)) return
    const workers = new Map<ProbeKind, Worker>()
    this.#workers.set(target.containerId, workers)
    for (const kind of KINDS) {
      const probe = probeOf(target.container, kind)
      if (probe === undefined) continue
      const initial = initialState(kind)
      const state = target.wasReady ? { ...initial, verdict: 'success' as const } : initial
      workers.set(kind, { kind, probe, target, state, eager: 0, timer: null, isOver: false })
    }
    for (const worker of workers.values()) this.#begin(worker)
  }

  /** Success where there is no such probe. */
  verdict(kind: ProbeKind, containerId: string): ProbeVerdict {
    const worker = this.#workers.get(containerId)?.get(kind)
    return worker === undefined ? 'success' : worker.state.verdict
  }

  /** Stops the probes of containers that are not among these. */
  retain(containerIds: ReadonlySet<string>): void {
    for (const [id, workers] of this.#workers) {
      if (containerIds.has(id)) continue
      for (const worker of workers.values()) {
        worker.isOver = true
        worker.timer?.cancel()
      }
      this.#workers.delete(id)
    }
  }

  /** Containers that end are neither judged nor restarted any more, but may become ready or unready. */
  keepReadiness(): void {
    for (const worker of [...this.#workers.values()].flatMap(workers => [...workers.values()])) {
      if (worker.kind === 'readiness') continue
      worker.isOver = true
      worker.timer?.cancel()
    }
  }

  stop(): void {
    this.retain(new Set())
  }

  /** The others wait for the startup probe. */
  #begin(worker: Worker): void {
    const { kind, target } = worker
    if (kind !== 'startup' && this.verdict('startup', target.containerId) !== 'success') return
    const ranMs = this.#parts.clock.now() - target.startedAtMs
    const initialMs = (worker.probe.initialDelaySeconds ?? 0) * 1_000
    this.#schedule(worker, Math.max(0, initialMs - ranMs))
  }

  #schedule(worker: Worker, delayMs: number): void {
    if (worker.isOver) return
    worker.timer?.cancel()
    worker.timer = this.#parts.clock.after(delayMs, () => void this.#probe(worker))
  }

  async #probe(worker: Worker): Promise<void> {
    const { runtime } = this.#parts
    const { container, containerId, podAddress } = worker.target
    const outcome = await runProbe(worker.probe, { runtime, container, containerId, podAddress })
    if (worker.isOver) return
    const isFirstAnswer = worker.kind !== 'liveness' && worker.state.lastOk === null
    if (outcome.result === 'failure' && isFirstAnswer) {
      const delayMs = eagerDelayMs(worker.eager++, worker.probe)
      if (delayMs !== null) return this.#schedule(worker, delayMs)
    }
    this.#take(worker, outcome)
    const isDone = worker.kind === 'startup' && worker.state.verdict !== 'unknown'
    if (!isDone) this.#schedule(worker, (worker.probe.periodSeconds ?? 10) * 1_000)
  }

  #take(worker: Worker, outcome: ProbeOutcome): void {
    const before = worker.state.verdict
    this.#parts.counts.count(worker.target, worker.kind, outcome.result)
    this.#tell(worker, outcome)
    if (outcome.result === 'unknown') return
    worker.state = applyOutcome(worker.state, outcome.result !== 'failure', worker.probe)
    if (worker.state.verdict === before) return
    if (worker.kind === 'startup' && worker.state.verdict === 'success') {
      const others = this.#workers.get(worker.target.containerId)?.values() ?? []
      for (const other of others) if (other !== worker) this.#begin(other)
    }
    this.#parts.onVerdict()
  }

  #tell({ kind, target }: Worker, { result, message }: ProbeOutcome): void {
    const head = `${TITLES[kind]} probe`
    const { onEvent } = this.#parts
    if (result === 'failure') onEvent(target.container, 'Unhealthy', `${head} failed: ${message}`)
    if (result === 'warning') onEvent(target.container, 'ProbeWarning', `${head} warning: ${message}`)
    if (result !== 'unknown') return
    onEvent(target.container, 'Unhealthy', `${head} errored and resulted in unknown state: ${message}`)
  }
}
