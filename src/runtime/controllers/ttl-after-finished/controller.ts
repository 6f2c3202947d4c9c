/** Deletes jobs some time after they have finished. */
import { keyOf } from '../../../client/informer.ts'
import { isConflict, isNotFound } from '../../../client/kube-client.ts'
import { JOBS } from '../../../client/resources.ts'
import type { Job } from '../../../kube/types.ts'
import type { Controller, ControllerContext } from '../shared/context.ts'
import { keyedController, keysFrom } from '../shared/keyed-controller.ts'
import { ttlLeftMs } from './plan.ts'

const SERVICE_ACCOUNT = 'ttl-after-finished-controller'

export function createTtlAfterFinishedController(context: ControllerContext): Controller {
  const jobs = context.informers.informer<Job>(JOBS)
  const client = context.client(SERVICE_ACCOUNT)
  return keyedController({
    name: SERVICE_ACCOUNT,
    context,
    sources: [keysFrom(jobs, job => [keyOf(job)])],
    async reconcile(key) {
      const job = jobs.get(key)
      const leftMs = job === undefined ? undefined : ttlLeftMs(job, context.clock.now())
      if (job === undefined || leftMs === undefined || leftMs > 0) return leftMs
      const { namespace, name, uid, resourceVersion } = job.metadata
      const what = { namespace, name: name ?? '', uid, resourceVersion }
      try {
        await client.delete(JOBS, { ...what, propagationPolicy: 'Foreground' })
      } catch (error) {
        // A changed job comes back with its change.
        if (!isNotFound(error) && !isConflict(error)) throw error
      }
      return undefined
    },
  })
}
