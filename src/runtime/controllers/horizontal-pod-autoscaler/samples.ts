/** What metrics say of pods, and which pods count: pure parts of the autoscaler's arithmetic. */
import { milliValue, parseQuantity } from '../../../kube/quantity.ts'
import type { Pod } from '../../../kube/types.ts'
import { podCondition, timeMs } from '../shared/pods.ts'

/** After its start a pod's CPU says little for so long. */
const CPU_INITIALIZATION_MS = 300_000
/** A pod that is not ready for so long after its start has never been ready. */
const INITIAL_READINESS_MS = 30_000

export interface Sample {
  /** In thousandths. */
  readonly value: number
  readonly atMs: number
  readonly windowMs: number
}

/** By pod name. */
export type Samples = ReadonlyMap<string, Sample>

/** A problem whose text users see; `attempted` stands before it where all problems are told together. */
export class MetricProblem extends Error {
  override readonly name = 'MetricProblem'
  readonly attempted: string

  constructor(message: string, attempted = '') {
    super(message)
    this.attempted = attempted
  }
}

export interface PodGroups {
  readonly readyCount: number
  readonly unready: readonly string[]
  readonly missing: readonly string[]
  /** Those that count, without ignored and unready ones. */
  readonly samples: Samples
}

export function groupPods(
  pods: readonly Pod[],
  samples: Samples,
  { resource, nowMs }: { readonly resource: string; readonly nowMs: number },
): PodGroups {
  const counted = new Map(samples)
  const unready: string[] = []
  const missing: string[] = []
  let readyCount = 0
  for (const pod of pods) {
    const { name = '', deletionTimestamp } = pod.metadata
    const sample = samples.get(name)
    if (deletionTimestamp !== undefined || pod.status?.phase === 'Failed') counted.delete(name)
    else if (pod.status?.phase === 'Pending') unready.push(name)
    else if (sample === undefined) missing.push(name)
    else if (resource === 'cpu' && isUnsettled(pod, sample, nowMs)) unready.push(name)
    else readyCount += 1
  }
  for (const name of unready) counted.delete(name)
  return { readyCount, unready, missing, samples: counted }
}

/** Whether a CPU sample belongs to the pod's start. */
function isUnsettled(pod: Pod, sample: Sample, nowMs: number): boolean {
  const ready = podCondition(pod, 'Ready')
  const startMs = timeMs(pod.status?.startTime)
  if (ready === undefined || startMs === 0) return true
  const changedMs = timeMs(ready.lastTransitionTime)
  if (startMs + CPU_INITIALIZATION_MS > nowMs) {
    return ready.status === 'False' || sample.atMs < changedMs + sample.windowMs
  }
  return ready.status === 'False' && startMs + INITIAL_READINESS_MS > changedMs
}

/** What each pod asks for, in thousandths; of one container, or of all that run. */
export function requestsOf(
  pods: readonly Pod[],
  resource: string,
  container: string,
): ReadonlyMap<string, number> {
  const requests = new Map<string, number>()
  for (const pod of pods) requests.set(pod.metadata.name ?? '', podRequest(pod, resource, container))
  return requests
}

function podRequest(pod: Pod, resource: string, only: string): number {
  const whole = pod.spec?.resources?.requests?.[resource]
  if (only === '' && whole !== undefined) return milliValue(parseQuantity(whole))
  const sidecars = (pod.spec?.initContainers ?? []).filter(each => each.restartPolicy === 'Always')
  let sum = 0
  for (const { name, resources } of [...(pod.spec?.containers ?? []), ...sidecars]) {
    if (only !== '' && name !== only) continue
    const request = resources?.requests?.[resource]
    if (request === undefined) {
      const where = `container ${name} of Pod ${pod.metadata.name}`
      throw new MetricProblem(`missing request for ${resource} in ${where}`)
    }
    sum += milliValue(parseQuantity(request))
  }
  return sum
}
