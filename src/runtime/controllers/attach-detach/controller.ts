/** Asks for CSI volumes to be attached where pods need them; a driver's external-attacher does it and says so. */
import { keyOf } from '../../../client/informer.ts'
import { isAlreadyExists } from '../../../client/kube-client.ts'
import {
  CSI_DRIVERS,
  NODES,
  PERSISTENT_VOLUME_CLAIMS,
  PERSISTENT_VOLUMES,
  PODS,
  VOLUME_ATTACHMENTS,
} from '../../../client/resources.ts'
import type {
  CSIDriver,
  Node,
  PersistentVolume,
  PersistentVolumeClaim,
  Pod,
  VolumeAttachment,
} from '../../../kube/types.ts'
import { claimsOf } from '../../../kube/volumes/claims.ts'
import type { Controller, ControllerContext } from '../shared/context.ts'
import { deleteIfThere } from '../shared/deletion.ts'
import { keyedController, keysFrom } from '../shared/keyed-controller.ts'
import { planAttachments } from './plan.ts'

const SERVICE_ACCOUNT = 'attachdetach-controller'
const VOLUME_INDEX = 'attached-volume'
const NODE_INDEX = 'node'
const CLAIM_INDEX = 'attached-claim'

const volumeOf = ({ spec }: VolumeAttachment): string[] =>
  spec.source.persistentVolumeName === undefined ? [] : [spec.source.persistentVolumeName]

const keysOfUsed = (pod: Pod): string[] =>
  pod.spec?.nodeName ? claimsOf(pod).map(({ name }) => `${pod.metadata.namespace ?? ''}/${name}`) : []

export function createAttachDetachController(context: ControllerContext): Controller {
  const { informers } = context
  const client = context.client(SERVICE_ACCOUNT)
  const events = context.events({ component: SERVICE_ACCOUNT, serviceAccount: SERVICE_ACCOUNT })
  const attachments = informers.informer<VolumeAttachment>(VOLUME_ATTACHMENTS)
  const volumes = informers.informer<PersistentVolume>(PERSISTENT_VOLUMES)
  const claims = informers.informer<PersistentVolumeClaim>(PERSISTENT_VOLUME_CLAIMS)
  const drivers = informers.informer<CSIDriver>(CSI_DRIVERS)
  const nodes = informers.informer<Node>(NODES)
  const pods = informers.informer<Pod>(PODS)
  attachments.addIndex(VOLUME_INDEX, volumeOf)
  attachments.addIndex(NODE_INDEX, ({ spec }) => [spec.nodeName])
  pods.addIndex(CLAIM_INDEX, keysOfUsed)
  const volumeOfClaim = (key: string) => {
    const name = claims.get(key)?.spec?.volumeName
    return name === undefined ? [] : [name]
  }
  return keyedController({
    name: SERVICE_ACCOUNT,
    context,
    sources: [
      keysFrom(attachments, volumeOf),
      keysFrom(volumes, volume => (volume.spec?.csi ? [keyOf(volume)] : [])),
      keysFrom(claims, ({ spec }) => (spec?.volumeName ? [spec.volumeName] : [])),
      // What is still mounted there is said on the node.
      keysFrom(nodes, node => attachments.byIndex(NODE_INDEX, keyOf(node)).flatMap(volumeOf)),
      keysFrom(pods, pod => keysOfUsed(pod).flatMap(volumeOfClaim)),
    ],
    async reconcile(name, signal) {
      const volume = volumes.get(name)
      if (!volume?.spec?.csi) return undefined
      const { claimRef, csi } = volume.spec
      const users = claimRef ? pods.byIndex(CLAIM_INDEX, `${claimRef.namespace}/${claimRef.name}`) : []
      const plan = planAttachments(volume, drivers.get(csi.driver), {
        nodes: users.map(({ spec }) => spec?.nodeName ?? ''),
        attachments: attachments.byIndex(VOLUME_INDEX, name),
        nodeOf: node => nodes.get(node),
      })
      for (const pod of users.filter(({ spec }) => plan.waiting.includes(spec?.nodeName ?? ''))) {
        const why = `Multi-Attach error for volume "${name}" Volume is already exclusively attached to one node and can't be attached to another`
        events.record(pod, 'Warning', 'FailedAttachVolume', why)
      }
      for (const attachment of plan.remove) await deleteIfThere(client, VOLUME_ATTACHMENTS, attachment)
      for (const attachment of plan.create) {
        try {
          const made = await client.create<VolumeAttachment>(VOLUME_ATTACHMENTS, attachment)
          await attachments.caughtUp(made.metadata.resourceVersion, signal)
        } catch (error) {
          if (!isAlreadyExists(error)) throw error
        }
      }
      return undefined
    },
  })
}
