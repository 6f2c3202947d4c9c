/** The Job that a CronJob starts for one time of its schedule. Pure. */
import { must } from '../../../base/assert.ts'
import type { KubeObject } from '../../../kube/object.ts'
import { formatTime } from '../../../kube/time.ts'
import type { CronJob } from '../../../kube/types.ts'
import { controllerReference } from '../shared/owners.ts'

const SCHEDULED_AT = 'batch.kubernetes.io/cronjob-scheduled-timestamp'
const MINUTE_MS = 60_000
const SECOND_MS = 1_000

/** The same for the same time, so that no time starts two jobs. */
export const jobName = (cronJob: CronJob, scheduledMs: number): string =>
  `${cronJob.metadata.name}-${Math.floor(scheduledMs / MINUTE_MS)}`

export function renderJob(cronJob: CronJob, scheduledMs: number): KubeObject {
  const template = must(cronJob.spec, 'a CronJob has a spec').jobTemplate
  const scheduledAt = timeInZone(scheduledMs, cronJob.spec?.timeZone ?? 'UTC')
  return {
    apiVersion: 'batch/v1',
    kind: 'Job',
    metadata: {
      name: jobName(cronJob, scheduledMs),
      namespace: cronJob.metadata.namespace ?? '',
      ...(template.metadata?.labels ? { labels: { ...template.metadata.labels } } : {}),
      annotations: { ...template.metadata?.annotations, [SCHEDULED_AT]: scheduledAt },
      ownerReferences: [controllerReference(cronJob)],
    },
    spec: template.spec,
  }
}

/** RFC 3339 with the zone's offset, `Z` where there is none. */
function timeInZone(ms: number, timeZone: string): string {
  const parts = new Intl.DateTimeFormat('en', { timeZone, timeZoneName: 'longOffset' }).formatToParts(ms)
  const name = parts.find(part => part.type === 'timeZoneName')?.value ?? ''
  const match = /([+-])(\d\d):(\d\d)$/.exec(name)
  if (match === null) return formatTime(ms)
  const [offset, sign, hours, minutes] = match
  const seconds = (Number(hours) * 60 + Number(minutes)) * 60 * (sign === '-' ? -1 : 1)
  return formatTime(ms + seconds * SECOND_MS).replace('Z', seconds === 0 ? 'Z' : offset)
}
