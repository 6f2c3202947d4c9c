/** Makes the claims of ephemeral volumes; the garbage collector takes them away with their pods. */
import { keyOf } from '../../../client/informer.ts'
import { isAlreadyExists } from '../../../client/kube-client.ts'
import { PERSISTENT_VOLUME_CLAIMS, PODS } from '../../../client/resources.ts'
import { isNamespaceTerminating } from '../../../client/status-errors.ts'
import type { PersistentVolumeClaim, Pod } from '../../../kube/types.ts'
import type { Controller, ControllerContext } from '../shared/context.ts'
import { keyedController, keysFrom } from '../shared/keyed-controller.ts'
import { isFinished } from '../shared/pods.ts'
import { planEphemeralClaims } from './plan.ts'

const SERVICE_ACCOUNT = 'ephemeral-volume-controller'

export function createEphemeralVolumeController(context: ControllerContext): Controller {
  const client = context.client(SERVICE_ACCOUNT)
  const events = context.events({ component: 'ephemeral_volume', serviceAccount: SERVICE_ACCOUNT })
  const pods = context.informers.informer<Pod>(PODS)
  const claims = context.informers.informer<PersistentVolumeClaim>(PERSISTENT_VOLUME_CLAIMS)
  return keyedController({
    name: SERVICE_ACCOUNT,
    context,
    sources: [
      keysFrom(pods, pod => (pod.spec?.volumes?.some(({ ephemeral }) => ephemeral) ? [keyOf(pod)] : [])),
      keysFrom(claims, ({ metadata }) =>
        (metadata.ownerReferences ?? [])
          .filter(({ kind, controller }) => kind === 'Pod' && controller)
          .map(({ name }) => `${metadata.namespace}/${name}`),
      ),
    ],
    async reconcile(key, signal) {
      const pod = pods.get(key)
      if (pod === undefined || isFinished(pod)) return undefined
      const plan = planEphemeralClaims(pod, name => claims.get(`${pod.metadata.namespace}/${name}`))
      for (const claim of plan.foreign) {
        const why = `PVC "${keyOf(claim)}" was not created for pod "${key}" (pod is not owner)`
        events.record(pod, 'Warning', 'FailedBinding', why)
      }
      for (const claim of plan.create) {
        try {
          const made = await client.create<PersistentVolumeClaim>(PERSISTENT_VOLUME_CLAIMS, claim)
          await claims.caughtUp(made.metadata.resourceVersion, signal)
        } catch (error) {
          if (isNamespaceTerminating(error)) continue
          if (!isAlreadyExists(error)) {
            const why = `create PVC ${claim.metadata.name}: ${error instanceof Error ? error.message : error}`
            events.record(pod, 'Warning', 'FailedBinding', `ephemeral volume: ${why}`)
          }
          throw error
        }
      }
      return undefined
    },
  })
}
