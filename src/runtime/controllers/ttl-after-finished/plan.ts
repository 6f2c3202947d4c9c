/** When a finished job's time is over. Pure. */
import type { Job } from '../../../kube/types.ts'
import { timeMs } from '../shared/pods.ts'

/** Milliseconds until the job is deleted (0 or less: now); undefined when it is kept or has not finished. */
export function ttlLeftMs(job: Job, nowMs: number): number | undefined {
  const seconds = job.spec?.ttlSecondsAfterFinished
  const finished = job.status?.conditions?.find(
    ({ type, status }) => (type === 'Complete' || type === 'Failed') && status === 'True',
  )
  if (seconds === undefined || finished === undefined) return undefined
  if (job.metadata.deletionTimestamp !== undefined) return undefined
  return timeMs(finished.lastTransitionTime) + seconds * 1_000 - nowMs
}
