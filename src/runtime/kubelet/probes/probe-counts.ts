/** How probes ended, for `/metrics/probes`: `prober_probe_total`, under upstream's labels. */
import type { Container, Pod } from '../../../kube/types.ts'
import type { ProbeKind } from './plan-probe.ts'
import type { ProbeOutcome } from './probe-runner.ts'

export interface ProbeCount {
  readonly labels: Readonly<Record<string, string>>
  value: number
}

const TITLES: Readonly<Record<ProbeKind, string>> = {
  startup: 'Startup',
  readiness: 'Readiness',
  liveness: 'Liveness',
}
const RESULTS = {
  success: 'successful',
  warning: 'successful',
  failure: 'failed',
  unknown: 'unknown',
} as const

export class ProbeCounts {
  /** By pod, then by what is counted. */
  readonly #pods = new Map<string, Map<string, ProbeCount>>()

  count(
    { pod, container }: { readonly pod: Pod; readonly container: Container },
    kind: ProbeKind,
    result: ProbeOutcome['result'],
  ): void {
    const { uid = '', name = '', namespace = '' } = pod.metadata
    const counts = this.#pods.get(uid) ?? new Map<string, ProbeCount>()
    this.#pods.set(uid, counts)
    const key = `${container.name}/${kind}/${RESULTS[result]}`
    const labels = {
      ...{ container: container.name, namespace, pod: name, pod_uid: uid },
      ...{ probe_type: TITLES[kind], result: RESULTS[result] },
    }
    const count = counts.get(key) ?? { labels, value: 0 }
    count.value += 1
    counts.set(key, count)
  }

  /** The pod has gone. */
  forget(uid: string): void {
    this.#pods.delete(uid)
  }

  all(): readonly ProbeCount[] {
    return [...this.#pods.values()].flatMap(counts => [...counts.values()])
  }
}
