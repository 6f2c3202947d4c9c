/** A job's pods: how they are made, when they count as failed, and how long their failures delay the next. */
import { backoffMs } from '../../../base/backoff.ts'
import type { KubeObject } from '../../../kube/object.ts'
import type { Job, Pod, PodSpec } from '../../../kube/types.ts'
import { controllerReference } from '../shared/owners.ts'
import { podCondition, timeMs } from '../shared/pods.ts'
import { INDEX_ANNOTATION } from './indexes.ts'
import { matchFailurePolicy } from './policies.ts'

/** Keeps a finished pod until the job's status has counted it. */
export const TRACKING_FINALIZER = 'batch.kubernetes.io/job-tracking'
const FAILURE_COUNT = 'batch.kubernetes.io/job-index-failure-count'
const IGNORED_COUNT = 'batch.kubernetes.io/job-index-ignored-failure-count'
const INDEX_VARIABLE = 'JOB_COMPLETION_INDEX'
const NAME_LENGTH_MAX = 63
const SUFFIX_LENGTH = 5
/** Between the failure of a pod and its replacement. */
const BACKOFF = { baseMs: 10_000, maxMs: 600_000 }

export const isTracked = (pod: Pod): boolean => pod.metadata.finalizers?.includes(TRACKING_FINALIZER) ?? false
export const isIndexed = (job: Job): boolean => job.spec?.completionMode === 'Indexed'
export const replacesOnlyFailed = (job: Job): boolean => job.spec?.podReplacementPolicy === 'Failed'
const isDeleting = (pod: Pod): boolean => pod.metadata.deletionTimestamp !== undefined

/** A pod that is being deleted counts as failed at once, unless the job waits for it to end. */
export function hasFailed(job: Job, pod: Pod): boolean {
  if (pod.status?.phase === 'Failed') return true
  return !replacesOnlyFailed(job) && isDeleting(pod) && pod.status?.phase !== 'Succeeded'
}

export function isTerminating(pod: Pod): boolean {
  return isDeleting(pod) && pod.status?.phase !== 'Succeeded' && pod.status?.phase !== 'Failed'
}

/** When its last container ended, or the best other sign of it. */
export function finishedAtMs(pod: Pod): number {
  const ends = (pod.status?.containerStatuses ?? []).map(each => timeMs(each.state?.terminated?.finishedAt))
  const last = Math.max(0, ...ends)
  const { deletionTimestamp, creationTimestamp } = pod.metadata
  const unready = timeMs(podCondition(pod, 'Ready')?.lastTransitionTime)
  return last || unready || timeMs(deletionTimestamp) || timeMs(creationTimestamp)
}

/** How long to wait before the next pod, after the failures since the last success. */
export function backoffLeftMs(job: Job, pods: readonly Pod[], nowMs: number): number {
  const successes = pods.filter(pod => pod.status?.phase === 'Succeeded').map(finishedAtMs)
  const lastSuccessMs = Math.max(0, ...successes)
  const failures = pods
    .filter(pod => hasFailed(job, pod) && (isTracked(pod) || !isDeleting(pod)))
    .map(finishedAtMs)
    .filter(atMs => atMs > lastSuccessMs)
  if (failures.length === 0) return 0
  return Math.max(0, Math.max(...failures) + backoffMs(BACKOFF, failures.length) - nowMs)
}

const countOf = (pod: Pod, annotation: string): number => Number(pod.metadata.annotations?.[annotation]) || 0

/** Failures of the pod's index before it, that count. */
export const indexFailures = (pod: Pod): number => countOf(pod, FAILURE_COUNT)
/** All failures of the pod's index before it. */
export const allIndexFailures = (pod: Pod): number => indexFailures(pod) + countOf(pod, IGNORED_COUNT)

export function indexBackoffLeftMs(replaced: Pod | undefined, nowMs: number): number {
  if (replaced === undefined) return 0
  return Math.max(0, finishedAtMs(replaced) + backoffMs(BACKOFF, allIndexFailures(replaced) + 1) - nowMs)
}

export interface NewPod {
  readonly index?: number | undefined
  /** The failed pod of this index that the new one stands in for. */
  readonly replaces?: Pod | undefined
}

/** A pod of the job's template, not created yet. */
export function renderPod(job: Job, { index, replaces }: NewPod): KubeObject {
  const template = job.spec?.template
  const { labels, annotations, finalizers } = template?.metadata ?? {}
  const mark = index === undefined ? {} : { [INDEX_ANNOTATION]: String(index) }
  const counts = index === undefined ? {} : failureCounts(job, replaces)
  const marked = { ...annotations, ...mark, ...counts }
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      generateName: generateNameOf(job.metadata.name ?? '', index),
      namespace: job.metadata.namespace ?? '',
      labels: { ...labels, ...mark },
      ...(Object.keys(marked).length > 0 ? { annotations: marked } : {}),
      finalizers: [...(finalizers ?? []).filter(each => each !== TRACKING_FINALIZER), TRACKING_FINALIZER],
      ownerReferences: [controllerReference(job)],
    },
    spec: index === undefined || !template?.spec ? template?.spec : indexedSpec(job, template.spec, index),
  }
}

/** Cut so that the index and the random end fit. */
function generateNameOf(name: string, index: number | undefined): string {
  const tail = index === undefined ? '-' : `-${index}-`
  return name.slice(0, NAME_LENGTH_MAX - SUFFIX_LENGTH - tail.length) + tail
}

function failureCounts(job: Job, replaced: Pod | undefined): Record<string, string> {
  if (job.spec?.backoffLimitPerIndex === undefined) return {}
  if (replaced === undefined) return { [FAILURE_COUNT]: '0' }
  const isIgnored = matchFailurePolicy(job, replaced)?.action === 'Ignore'
  const ignored = countOf(replaced, IGNORED_COUNT) + (isIgnored ? 1 : 0)
  return {
    [FAILURE_COUNT]: String(indexFailures(replaced) + (isIgnored ? 0 : 1)),
    ...(ignored > 0 ? { [IGNORED_COUNT]: String(ignored) } : {}),
  }
}

function indexedSpec(job: Job, spec: PodSpec, index: number): PodSpec {
  const fieldRef = { fieldPath: `metadata.labels['${INDEX_ANNOTATION}']` }
  const variable = { name: INDEX_VARIABLE, valueFrom: { fieldRef } }
  const withIndex = <C extends { readonly env?: readonly { readonly name: string }[] }>(container: C): C =>
    container.env?.some(each => each.name === INDEX_VARIABLE)
      ? container
      : { ...container, env: [...(container.env ?? []), variable] }
  return {
    ...spec,
    hostname: `${job.metadata.name}-${index}`,
    containers: spec.containers.map(withIndex),
    ...(spec.initContainers ? { initContainers: spec.initContainers.map(withIndex) } : {}),
  }
}
