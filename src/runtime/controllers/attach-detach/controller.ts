/** Asks for CSI volumes to be attached where pods need them; a driver's external-attacher does it and says so. */
import type { Clock } from '../../../base/clock.ts'
import type { EventRecorder } from '../../../client/event-recorder.ts'
import { type Informer, keyOf } from '../../../client/informer.ts'
import { isAlreadyExists, type KubeClient } from '../../../client/kube-client.ts'
import type { ReconcileResult } from '../../../client/reconcile-loop.ts'
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
import { keyedController, keysFrom, type Source } from '../shared/keyed-controller.ts'
import { planAttachments, planVolumesAttached } from './plan.ts'

const SERVICE_ACCOUNT = 'attachdetach-controller'
const VOLUME_INDEX = 'attached-volume'
const NODE_INDEX = 'node'
const CLAIM_INDEX = 'attached-claim'

const volumeOf = ({ spec }: VolumeAttachment): string[] =>
  spec.source.persistentVolumeName === undefined ? [] : [spec.source.persistentVolumeName]

/** A pod that is over needs no volume, although it is still in the API. */
const keysOfUsed = (pod: Pod): string[] =>
  pod.spec?.nodeName && !['Succeeded', 'Failed'].includes(pod.status?.phase ?? '')
    ? claimsOf(pod).map(({ name }) => `${pod.metadata.namespace ?? ''}/${name}`)
    : []

const NODE_KEY = 'node:'
/** A node that is not Ready is given so long to unmount what nobody wants there any more. */
const UNMOUNT_MS_MAX = 360_000

interface Parts {
  readonly client: KubeClient
  readonly clock: Clock
  readonly events: EventRecorder
  readonly attachments: Informer<VolumeAttachment>
  readonly volumes: Informer<PersistentVolume>
  readonly claims: Informer<PersistentVolumeClaim>
  readonly drivers: Informer<CSIDriver>
  readonly nodes: Informer<Node>
  readonly pods: Informer<Pod>
  /** Since when nobody wants an attachment that is held, by its name. */
  readonly heldSinceMs: Map<string, number>
}

export function createAttachDetachController(context: ControllerContext): Controller {
  const { informers } = context
  const parts: Parts = {
    client: context.client(SERVICE_ACCOUNT),
    clock: context.clock,
    events: context.events({ component: SERVICE_ACCOUNT, serviceAccount: SERVICE_ACCOUNT }),
    attachments: informers.informer(VOLUME_ATTACHMENTS),
    volumes: informers.informer(PERSISTENT_VOLUMES),
    claims: informers.informer(PERSISTENT_VOLUME_CLAIMS),
    drivers: informers.informer(CSI_DRIVERS),
    nodes: informers.informer(NODES),
    pods: informers.informer(PODS),
    heldSinceMs: new Map(),
  }
  parts.attachments.addIndex(VOLUME_INDEX, volumeOf)
  parts.attachments.addIndex(NODE_INDEX, ({ spec }) => [spec.nodeName])
  parts.pods.addIndex(CLAIM_INDEX, keysOfUsed)
  return keyedController({
    name: SERVICE_ACCOUNT,
    context,
    sources: sourcesOf(parts),
    reconcile: (key, signal) =>
      key.startsWith(NODE_KEY)
        ? tellNode(parts, key.slice(NODE_KEY.length))
        : reconcileVolume(parts, key, signal),
  })
}

function sourcesOf({ attachments, volumes, claims, nodes, pods }: Parts): Source[] {
  const volumeOfClaim = (key: string) => {
    const name = claims.get(key)?.spec?.volumeName
    return name === undefined ? [] : [name]
  }
  return [
    keysFrom(attachments, each => [...volumeOf(each), `${NODE_KEY}${each.spec.nodeName}`]),
    keysFrom(volumes, volume => (volume.spec?.csi ? [keyOf(volume)] : [])),
    keysFrom(claims, ({ spec }) => (spec?.volumeName ? [spec.volumeName] : [])),
    // What is still mounted there is said on the node.
    keysFrom(nodes, node => attachments.byIndex(NODE_INDEX, keyOf(node)).flatMap(volumeOf)),
    keysFrom(nodes, node => (node.status?.volumesAttached?.length ? [`${NODE_KEY}${keyOf(node)}`] : [])),
    keysFrom(pods, pod => keysOfUsed(pod).flatMap(volumeOfClaim)),
  ]
}

async function reconcileVolume(parts: Parts, name: string, signal: AbortSignal): Promise<ReconcileResult> {
  const { client, events, attachments, pods, heldSinceMs } = parts
  const volume = parts.volumes.get(name)
  if (!volume?.spec?.csi) return undefined
  const { claimRef, csi } = volume.spec
  const users = claimRef ? pods.byIndex(CLAIM_INDEX, `${claimRef.namespace}/${claimRef.name}`) : []
  const now = parts.clock.monotonic()
  const since = ({ metadata }: VolumeAttachment) => heldSinceMs.get(metadata.name ?? '') ?? now
  const plan = planAttachments(volume, parts.drivers.get(csi.driver), {
    nodes: users.map(({ spec }) => spec?.nodeName ?? ''),
    attachments: attachments.byIndex(VOLUME_INDEX, name),
    nodeOf: node => parts.nodes.get(node),
    isOverdue: attachment => now - since(attachment) >= UNMOUNT_MS_MAX,
  })
  for (const pod of users.filter(({ spec }) => plan.waiting.includes(spec?.nodeName ?? ''))) {
    const why = `Multi-Attach error for volume "${name}" Volume is already exclusively attached to one node and can't be attached to another`
    events.record(pod, 'Warning', 'FailedAttachVolume', why)
  }
  for (const attachment of plan.remove) await deleteIfThere(client, VOLUME_ATTACHMENTS, attachment)
  for (const attachment of plan.create) await create(parts, attachment, signal)
  const held = new Map(plan.held.map(each => [each.metadata.name ?? '', since(each)]))
  for (const { metadata } of attachments.byIndex(VOLUME_INDEX, name)) heldSinceMs.delete(metadata.name ?? '')
  for (const [attachment, sinceMs] of held) heldSinceMs.set(attachment, sinceMs)
  const due = [...held.values()].map(sinceMs => sinceMs + UNMOUNT_MS_MAX - now).filter(ms => ms > 0)
  return due.length === 0 ? undefined : Math.min(...due)
}

async function create(parts: Parts, attachment: VolumeAttachment, signal: AbortSignal): Promise<void> {
  try {
    const made = await parts.client.create<VolumeAttachment>(VOLUME_ATTACHMENTS, attachment)
    await parts.attachments.caughtUp(made.metadata.resourceVersion, signal)
  } catch (error) {
    if (!isAlreadyExists(error)) throw error
  }
}

/** Says on the node what is attached to it. */
async function tellNode({ client, nodes, attachments, volumes }: Parts, name: string): Promise<undefined> {
  const node = nodes.get(name)
  if (node === undefined) return
  const attached = planVolumesAttached(node, attachments.byIndex(NODE_INDEX, name), volume =>
    volumes.get(volume),
  )
  if (attached === null) return
  const volumesAttached = attached.length === 0 ? null : attached
  await client.patch(NODES, {
    ...{ name, subresource: 'status', type: 'merge' },
    patch: { status: { volumesAttached } },
  })
}
