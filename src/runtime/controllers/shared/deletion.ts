/** Deleting what may be gone already, which is as good. */
import { type Informer, keyOf } from '../../../client/informer.ts'
import { type DeleteOptions, isNotFound, type KubeClient } from '../../../client/kube-client.ts'
import type { ResourceRef } from '../../../client/resources.ts'
import type { KubeObject } from '../../../kube/object.ts'

/** Deletes this very object, and not another one that has its name by now. */
export async function deleteIfThere(
  client: KubeClient,
  resource: ResourceRef,
  object: Pick<KubeObject, 'metadata'>,
  options: Pick<DeleteOptions, 'uid' | 'gracePeriodSeconds' | 'propagationPolicy'> = {},
): Promise<void> {
  const { namespace, name, uid } = object.metadata
  try {
    await client.delete(resource, { namespace, name: name ?? '', uid, ...options })
  } catch (error) {
    if (!isNotFound(error)) throw error
  }
}

/** Returns once the informer has seen that the object is gone. */
export async function deleteAndSee<T extends KubeObject>(
  client: KubeClient,
  informer: Informer<T>,
  object: T,
  signal: AbortSignal,
): Promise<void> {
  await deleteIfThere(client, informer.resource, object)
  const { uid } = object.metadata
  await informer.until(() => informer.get(keyOf(object))?.metadata.uid !== uid, signal)
}
