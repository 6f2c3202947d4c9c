/** Keeps the ControllerRevisions of an owner: claims them, makes the present one the newest, and forgets old ones. */
import type { Informer } from '../../../client/informer.ts'
import { isAlreadyExists, type KubeClient } from '../../../client/kube-client.ts'
import { CONTROLLER_REVISIONS, type ResourceRef } from '../../../client/resources.ts'
import { semanticEqual } from '../../../kube/equality.ts'
import type { ControllerRevision, LabelSelector } from '../../../kube/types.ts'
import { claimObjects } from './claim.ts'
import { deleteIfThere } from './deletion.ts'
import { controllerOf } from './owners.ts'
import { type Historic, planRevision, renderRevision } from './revisions.ts'

export interface RevisionControl {
  readonly client: KubeClient
  readonly revisions: Informer<ControllerRevision>
}

export interface RevisionRequest {
  readonly owner: Historic
  readonly ownerResource: ResourceRef
  readonly selector: LabelSelector | undefined
  readonly collisionCount: number
  /** The label that carries the hash on a revision. */
  readonly hashLabel: string
  readonly signal: AbortSignal
}

export interface History {
  /** Of the present template. */
  readonly present: ControllerRevision
  /** All of the owner's, with the present one. */
  readonly all: readonly ControllerRevision[]
  readonly collisionCount: number
}

/** Other objects that may have the wanted name, one after the other. */
const COLLISIONS_MAX = 10
const NAMESPACE_INDEX = 'namespace'

export function followRevisions(informer: Informer<ControllerRevision>): void {
  informer.addIndex(NAMESPACE_INDEX, object => [object.metadata.namespace ?? ''])
}

export async function keepHistory(control: RevisionControl, request: RevisionRequest): Promise<History> {
  const { owner, ownerResource, selector, signal } = request
  const all = await claimObjects({
    client: control.client,
    owner,
    ownerResource,
    selector,
    resource: CONTROLLER_REVISIONS,
    informer: control.revisions,
    candidates: control.revisions.byIndex(NAMESPACE_INDEX, owner.metadata.namespace ?? ''),
    signal,
  })
  const { collisionCount } = request
  const rendered = renderRevision(owner, request)
  const plan = planRevision(rendered.data ?? null, all)
  switch (plan.kind) {
    case 'keep':
      return { present: plan.revision, all, collisionCount }
    case 'renumber': {
      const next = { ...plan.revision, revision: plan.number }
      const present = await control.client.update<ControllerRevision>(CONTROLLER_REVISIONS, next)
      await control.revisions.caughtUp(present.metadata.resourceVersion, signal)
      return { present, all: all.map(one => (one === plan.revision ? present : one)), collisionCount }
    }
    case 'create': {
      const created = await createRevision(control, request, plan.number)
      return { ...created, all: [...all, created.present] }
    }
  }
}

async function createRevision(
  control: RevisionControl,
  request: RevisionRequest,
  number: number,
): Promise<Pick<History, 'present' | 'collisionCount'>> {
  const { owner, hashLabel, signal } = request
  for (let more = 0; more < COLLISIONS_MAX; more++) {
    const collisionCount = request.collisionCount + more
    const wanted = { ...renderRevision(owner, { hashLabel, collisionCount }), revision: number }
    const present = await createOrFind(control.client, wanted)
    if (present === null) continue
    await control.revisions.caughtUp(present.metadata.resourceVersion, signal)
    return { present, collisionCount }
  }
  throw new Error(`${COLLISIONS_MAX} names for a revision of ${owner.metadata.name} are taken`)
}

/** Null: the name belongs to another template or another owner. */
async function createOrFind(
  client: KubeClient,
  wanted: ControllerRevision,
): Promise<ControllerRevision | null> {
  try {
    return await client.create<ControllerRevision>(CONTROLLER_REVISIONS, wanted)
  } catch (error) {
    if (!isAlreadyExists(error)) throw error
  }
  const { namespace, name = '' } = wanted.metadata
  const found = await client.get<ControllerRevision>(CONTROLLER_REVISIONS, { namespace, name })
  const isOurs = controllerOf(found)?.uid === controllerOf(wanted)?.uid
  return isOurs && semanticEqual(found.data, wanted.data) ? found : null
}

export async function deleteRevisions(
  client: KubeClient,
  revisions: readonly ControllerRevision[],
): Promise<void> {
  for (const revision of revisions) await deleteIfThere(client, CONTROLLER_REVISIONS, revision)
}
