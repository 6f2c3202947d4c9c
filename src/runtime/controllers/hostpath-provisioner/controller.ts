/**
 * Makes volumes for claims of `hostpath-storage` and takes them away. Only objects are made here: the directory is
 * made and removed by the kubelet of the node that it lies on.
 */
import { messageOf } from '../../../base/errors.ts'
import type { EventRecorder } from '../../../client/event-recorder.ts'
import { type Informer, keyOf } from '../../../client/informer.ts'
import { isAlreadyExists, isNotFound, type KubeClient } from '../../../client/kube-client.ts'
import {
  NODES,
  PERSISTENT_VOLUME_CLAIMS,
  PERSISTENT_VOLUMES,
  STORAGE_CLASSES,
} from '../../../client/resources.ts'
import type { Node, PersistentVolume, PersistentVolumeClaim, StorageClass } from '../../../kube/types.ts'
import { classOf, HOSTPATH_PROVISIONER, STORAGE_PROVISIONER } from '../../../kube/volumes/claims.ts'
import type { Controller, ControllerContext } from '../shared/context.ts'
import { deleteIfThere } from '../shared/deletion.ts'
import { keyedController, keysFrom } from '../shared/keyed-controller.ts'
import { FINALIZER, planProvision, planRemoval, volumeNameFor, withoutFinalizer } from './plan.ts'

const SERVICE_ACCOUNT = 'hostpath-provisioner'

interface Parts {
  readonly client: KubeClient
  readonly events: EventRecorder
  readonly claims: Informer<PersistentVolumeClaim>
  readonly volumes: Informer<PersistentVolume>
  readonly classes: Informer<StorageClass>
  readonly nodes: Informer<Node>
}

export function createHostpathProvisioner(context: ControllerContext): Controller {
  const { informers } = context
  const parts: Parts = {
    client: context.client(SERVICE_ACCOUNT),
    events: context.events({ component: HOSTPATH_PROVISIONER, serviceAccount: SERVICE_ACCOUNT }),
    claims: informers.informer(PERSISTENT_VOLUME_CLAIMS),
    volumes: informers.informer(PERSISTENT_VOLUMES),
    classes: informers.informer(STORAGE_CLASSES),
    nodes: informers.informer(NODES),
  }
  return keyedController({
    name: SERVICE_ACCOUNT,
    context,
    sources: [
      keysFrom(parts.claims, claim => (isOurs(claim) ? [`claim:${keyOf(claim)}`] : [])),
      keysFrom(parts.volumes, volume => [`volume:${keyOf(volume)}`]),
    ],
    async reconcile(key, signal) {
      const name = key.slice(key.indexOf(':') + 1)
      if (key.startsWith('claim')) await provision(parts, name, signal)
      else await remove(parts, name)
      return undefined
    },
  })
}

const isOurs = ({ metadata }: PersistentVolumeClaim): boolean =>
  metadata.annotations?.[STORAGE_PROVISIONER] === HOSTPATH_PROVISIONER

async function provision(parts: Parts, key: string, signal: AbortSignal): Promise<void> {
  const { client, events, volumes } = parts
  const claim = parts.claims.get(key)
  if (claim === undefined) return
  const plan = planProvision(claim, {
    storageClass: parts.classes.get(classOf(claim)),
    nodes: parts.nodes.list(),
    hasVolume: name => volumes.get(name) !== undefined,
  })
  if (plan.kind === 'nothing') return
  if (plan.kind !== 'create') {
    const why = `failed to provision volume with StorageClass "${classOf(claim)}": ${plan.message}`
    events.record(claim, 'Warning', 'ProvisioningFailed', why)
    if (plan.kind === 'reschedule') await client.update(PERSISTENT_VOLUME_CLAIMS, plan.claim)
    return
  }
  const about = `External provisioner is provisioning volume for claim "${key}"`
  events.record(claim, 'Normal', 'Provisioning', about)
  try {
    const made = await client.create<PersistentVolume>(PERSISTENT_VOLUMES, plan.volume)
    await volumes.caughtUp(made.metadata.resourceVersion, signal)
  } catch (error) {
    if (!isAlreadyExists(error)) throw error
  }
  const done = `Successfully provisioned volume ${volumeNameFor(claim)}`
  events.record(claim, 'Normal', 'ProvisioningSucceeded', done)
}

async function remove(parts: Parts, name: string): Promise<void> {
  const { client, events } = parts
  const volume = parts.volumes.get(name)
  if (volume === undefined) return
  const plan = planRemoval(volume, parts.nodes.list())
  if (plan.kind === 'nothing') return
  if (plan.kind === 'remove' && plan.node !== undefined) {
    const subresource = `proxy/hostpath-volumes/${encodeURIComponent(plan.directory)}`
    try {
      await client.delete(NODES, { name: plan.node, subresource })
    } catch (error) {
      events.record(volume, 'Warning', 'VolumeFailedDelete', messageOf(error))
      throw error
    }
  }
  if (plan.kind === 'remove') await deleteIfThere(client, PERSISTENT_VOLUMES, volume)
  await release(client, name)
}

/** The deletion has made another version of the volume, so it is read again. */
async function release(client: KubeClient, name: string): Promise<void> {
  try {
    const current = await client.get<PersistentVolume>(PERSISTENT_VOLUMES, { name })
    if (!current.metadata.finalizers?.includes(FINALIZER)) return
    await client.update(PERSISTENT_VOLUMES, withoutFinalizer(current))
  } catch (error) {
    if (!isNotFound(error)) throw error
  }
}
