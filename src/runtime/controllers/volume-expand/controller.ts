/** Grows volumes whose claims ask for more: directories at once, all others by whoever makes them. */
import { keyOf } from '../../../client/informer.ts'
import { PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES } from '../../../client/resources.ts'
import type { PersistentVolume, PersistentVolumeClaim } from '../../../kube/types.ts'
import type { Controller, ControllerContext } from '../shared/context.ts'
import { keyedController, keysFrom } from '../shared/keyed-controller.ts'
import { planExpand } from './plan.ts'

const SERVICE_ACCOUNT = 'expand-controller'
const WAITING = 'waiting for an external controller to expand this PVC'

export function createVolumeExpandController(context: ControllerContext): Controller {
  const client = context.client(SERVICE_ACCOUNT)
  const events = context.events({ component: 'volume_expand', serviceAccount: SERVICE_ACCOUNT })
  const claims = context.informers.informer<PersistentVolumeClaim>(PERSISTENT_VOLUME_CLAIMS)
  const volumes = context.informers.informer<PersistentVolume>(PERSISTENT_VOLUMES)
  return keyedController({
    name: SERVICE_ACCOUNT,
    context,
    sources: [keysFrom(claims, claim => [keyOf(claim)])],
    async reconcile(key, signal) {
      const claim = claims.get(key)
      if (claim === undefined) return undefined
      const plan = planExpand(claim, volumes.get(claim.spec?.volumeName ?? ''))
      if (plan.kind === 'external') events.record(claim, 'Normal', 'ExternalExpanding', WAITING)
      if (plan.kind !== 'grow') return undefined
      if (plan.volume !== undefined) {
        const grown = await client.update(PERSISTENT_VOLUMES, plan.volume)
        await volumes.caughtUp(grown.metadata.resourceVersion, signal)
      }
      const next = await client.update(PERSISTENT_VOLUME_CLAIMS, plan.claim, { subresource: 'status' })
      await claims.caughtUp(next.metadata.resourceVersion, signal)
      const message = `ExpandVolume succeeded for volume ${key}`
      events.record(claim, 'Normal', 'VolumeResizeSuccessful', message)
      return undefined
    },
  })
}
