/** Deletes pods whose devices have NoExecute taints that their claims do not tolerate, or no longer. */
import { keyOf } from '../../../client/informer.ts'
import { isNotFound } from '../../../client/kube-client.ts'
import { PODS, RESOURCE_CLAIMS, RESOURCE_SLICES } from '../../../client/resources.ts'
import { claimNamesOf, isReservedFor } from '../../../kube/devices/pod-claims.ts'
import type { Pod, ResourceClaim, ResourceSlice } from '../../../kube/types.ts'
import type { Controller, ControllerContext } from '../shared/context.ts'
import { disruptionPatch } from '../shared/disruption.ts'
import { keyedController, keysFrom } from '../shared/keyed-controller.ts'
import { isFinished } from '../shared/pods.ts'
import { claimDueMs, hasEvictingTaint, poolOf, poolsOf } from './plan.ts'

const NAME = 'device-taint-eviction-controller'
const POOL_INDEX = 'pool'

export function createDeviceTaintEviction(context: ControllerContext): Controller {
  const client = context.client(NAME)
  const events = context.events({ component: NAME, serviceAccount: NAME })
  const pods = context.informers.informer<Pod>(PODS)
  const claims = context.informers.informer<ResourceClaim>(RESOURCE_CLAIMS)
  const slices = context.informers.informer<ResourceSlice>(RESOURCE_SLICES)
  claims.addIndex(POOL_INDEX, poolsOf)
  slices.addIndex(POOL_INDEX, slice => [poolOf(slice)])
  const consumersOf = ({ metadata, status }: ResourceClaim): string[] =>
    (status?.reservedFor ?? [])
      .filter(({ resource }) => resource === 'pods')
      .map(({ name }) => `${metadata.namespace}/${name}`)
  const dueMsOf = (pod: Pod, seenMs: number): number => {
    const own = claimNamesOf(pod)
      .map(name => claims.get(`${pod.metadata.namespace}/${name}`))
      .filter(claim => claim !== undefined)
      .filter(claim => isReservedFor(claim, pod))
    return Math.min(
      Number.POSITIVE_INFINITY,
      ...own.map(claim => claimDueMs(claim, pool => slices.byIndex(POOL_INDEX, pool), seenMs)),
    )
  }
  /** When a pod was first seen with a device that evicts, by its key. */
  const seen = new Map<string, number>()
  return keyedController({
    name: NAME,
    context,
    sources: [
      keysFrom(slices, slice => {
        const keys = claims.byIndex(POOL_INDEX, poolOf(slice)).flatMap(consumersOf)
        return hasEvictingTaint(slice) ? keys : keys.filter(key => seen.has(key))
      }),
      keysFrom(claims, consumersOf),
      keysFrom(pods, pod => (claimNamesOf(pod).length > 0 ? [keyOf(pod)] : [])),
    ],
    async reconcile(key) {
      const pod = pods.get(key)
      const nowMs = context.clock.now()
      const isConcerned =
        pod?.spec?.nodeName !== undefined && !isFinished(pod) && pod.metadata.deletionTimestamp === undefined
      const seenMs = seen.get(key) ?? nowMs
      const dueMs = isConcerned ? dueMsOf(pod, seenMs) : Number.POSITIVE_INFINITY
      if (!isConcerned || dueMs === Number.POSITIVE_INFINITY) {
        seen.delete(key)
        return undefined
      }
      seen.set(key, seenMs)
      if (dueMs > nowMs) return dueMs - nowMs
      const { namespace, name = '', uid } = pod.metadata
      events.record(pod, 'Normal', 'DeviceTaintManagerEviction', 'Marking for deletion')
      const why = {
        reason: 'DeletionByDeviceTaintManager',
        message: 'Device Taint manager: deleting due to NoExecute taint',
      }
      try {
        const patch = disruptionPatch(pod, why, nowMs)
        await client.patch(PODS, { namespace, name, subresource: 'status', type: 'strategic', patch })
        await client.delete(PODS, { namespace, name, uid })
      } catch (error) {
        if (!isNotFound(error)) throw error
      }
      return undefined
    },
  })
}
