/** Keeps claims that pods use, and volumes that claims have, until nobody does any more. */
import { type Informer, keyOf } from '../../../client/informer.ts'
import type { KubeClient } from '../../../client/kube-client.ts'
import { PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, PODS } from '../../../client/resources.ts'
import type { KubeObject } from '../../../kube/object.ts'
import type { PersistentVolume, PersistentVolumeClaim, Pod } from '../../../kube/types.ts'
import { claimsOf } from '../../../kube/volumes/claims.ts'
import type { Controller, ControllerContext } from '../shared/context.ts'
import { keyedController, keysFrom } from '../shared/keyed-controller.ts'
import {
  CLAIM_FINALIZER,
  isVolumeUsed,
  planProtection,
  usesClaim,
  VOLUME_FINALIZER,
  withFinalizer,
} from './plan.ts'

const NAMESPACE_INDEX = 'namespace'

export function createClaimProtection(context: ControllerContext): Controller {
  const name = 'pvc-protection-controller'
  const client = context.client(name)
  const claims = context.informers.informer<PersistentVolumeClaim>(PERSISTENT_VOLUME_CLAIMS)
  const pods = context.informers.informer<Pod>(PODS)
  pods.addIndex(NAMESPACE_INDEX, pod => [pod.metadata.namespace ?? ''])
  return keyedController({
    name,
    context,
    sources: [
      keysFrom(claims, claim => [keyOf(claim)]),
      keysFrom(pods, pod => claimsOf(pod).map(claim => `${pod.metadata.namespace}/${claim.name}`)),
    ],
    async reconcile(key, signal) {
      const claim = claims.get(key)
      if (claim === undefined) return undefined
      const { namespace = '', name = '' } = claim.metadata
      const cached = pods.byIndex(NAMESPACE_INDEX, namespace)
      const isUsed = cached.some(pod => usesClaim(pod, name))
      const plan = planProtection(claim, CLAIM_FINALIZER, isUsed)
      if (plan === 'nothing') return undefined
      // The cache may be behind, and the data would be gone.
      if (plan === 'remove' && (await isUsedNow(client, namespace, name))) return undefined
      await finalize(client, claims, withFinalizer(claim, CLAIM_FINALIZER, plan === 'add'), signal)
      return undefined
    },
  })
}

async function isUsedNow(client: KubeClient, namespace: string, name: string): Promise<boolean> {
  const { items } = await client.list<Pod>(PODS, { namespace })
  return items.some(pod => usesClaim(pod, name))
}

export function createVolumeProtection(context: ControllerContext): Controller {
  const name = 'pv-protection-controller'
  const client = context.client(name)
  const volumes = context.informers.informer<PersistentVolume>(PERSISTENT_VOLUMES)
  return keyedController({
    name,
    context,
    sources: [keysFrom(volumes, volume => [keyOf(volume)])],
    async reconcile(key, signal) {
      const volume = volumes.get(key)
      if (volume === undefined) return undefined
      const plan = planProtection(volume, VOLUME_FINALIZER, isVolumeUsed(volume))
      if (plan === 'nothing') return undefined
      await finalize(client, volumes, withFinalizer(volume, VOLUME_FINALIZER, plan === 'add'), signal)
      return undefined
    },
  })
}

async function finalize<T extends KubeObject>(
  client: KubeClient,
  informer: Informer<T>,
  next: T,
  signal: AbortSignal,
): Promise<void> {
  const written = await client.update<T>(informer.resource, next)
  // The last finalizer's removal is the deletion, whose revision is another one.
  const isGone = next.metadata.deletionTimestamp !== undefined
  if (!isGone) await informer.caughtUp(written.metadata.resourceVersion, signal)
}
