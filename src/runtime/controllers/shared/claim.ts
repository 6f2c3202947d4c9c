/** Carries claims out: patches references of what is adopted and released, once the owner is known to live. */
import type { Informer } from '../../../client/informer.ts'
import { isInvalid, isNotFound, type KubeClient, type ResourceRef } from '../../../client/kube-client.ts'
import type { KubeObject } from '../../../kube/object.ts'
import type { LabelSelector } from '../../../kube/types.ts'
import { adoptPatch, planClaims, releasePatch } from './owners.ts'

export interface ClaimParts<T extends KubeObject> {
  readonly client: KubeClient
  readonly owner: KubeObject
  readonly ownerResource: ResourceRef
  readonly selector: LabelSelector | undefined
  readonly resource: ResourceRef
  readonly informer: Informer<T>
  readonly candidates: readonly T[]
  readonly signal: AbortSignal
  /** Given to what is adopted. */
  readonly finalizers?: readonly string[]
}

/** The objects that the owner controls after adopting and releasing. */
export async function claimObjects<T extends KubeObject>(parts: ClaimParts<T>): Promise<T[]> {
  const { owner, client, resource, informer, signal } = parts
  const claims = planClaims(owner, parts.selector, parts.candidates)
  const mine = [...claims.mine]
  if (claims.adopt.length > 0 && (await isAlive(parts))) {
    for (const target of claims.adopt) {
      const adopted = await patchOwners<T>(
        client,
        resource,
        target,
        adoptPatch(owner, target, parts.finalizers),
      )
      if (adopted === null) continue
      await informer.caughtUp(adopted.metadata.resourceVersion, signal)
      mine.push(adopted)
    }
  }
  for (const target of claims.release) {
    const patch = releasePatch(owner.metadata.uid ?? '', target)
    const released = await patchOwners<T>(client, resource, target, patch)
    await informer.caughtUp(released?.metadata.resourceVersion, signal)
  }
  return mine
}

/** The cache may be behind: only the API server knows that the owner is not being deleted. */
async function isAlive<T extends KubeObject>(parts: ClaimParts<T>): Promise<boolean> {
  const { name, namespace, uid } = parts.owner.metadata
  try {
    const fresh = await parts.client.get(parts.ownerResource, { namespace, name: name ?? '' })
    return fresh.metadata.uid === uid && fresh.metadata.deletionTimestamp === undefined
  } catch (error) {
    if (isNotFound(error)) return false
    throw error
  }
}

/** Null when the object is gone or is another one by now. */
async function patchOwners<T extends KubeObject>(
  client: KubeClient,
  resource: ResourceRef,
  target: KubeObject,
  patch: object,
): Promise<T | null> {
  const { name, namespace } = target.metadata
  try {
    return await client.patch<T>(resource, { namespace, name: name ?? '', type: 'strategic', patch })
  } catch (error) {
    if (isNotFound(error) || isInvalid(error)) return null
    throw error
  }
}
