/**
 * The history of a set's pod templates as ControllerRevisions: what a template looks like there, which of the known
 * ones is the present one, and which are too many. Decides; `revision-control.ts` carries out.
 */
import { semanticEqual } from '../../../kube/equality.ts'
import { stableText, templateHash } from '../../../kube/hash.ts'
import type { Json, KubeObject } from '../../../kube/object.ts'
import type { ControllerRevision, PodTemplateSpec } from '../../../kube/types.ts'
import { controllerReference } from './owners.ts'
import { timeMs } from './pods.ts'

/** On pods, and on the revisions of daemon sets. */
export const REVISION_HASH_LABEL = 'controller-revision-hash'

/** Names are cut so that a hash still fits. */
const NAME_PREFIX_LENGTH_MAX = 223

export interface Historic extends KubeObject {
  readonly spec?: { readonly template?: PodTemplateSpec }
}

/** The patch that brings an object back to this template; `kubectl rollout undo` sends it as it is. */
export function revisionData(template: PodTemplateSpec | undefined): Json {
  const patch = { spec: { template: { ...template, $patch: 'replace' } } }
  return JSON.parse(stableText(patch)) as Json
}

/** The template that a revision holds. */
export function templateOf(revision: ControllerRevision): PodTemplateSpec {
  const { spec } = revision.data as unknown as {
    spec: { template: PodTemplateSpec & { readonly $patch?: string } }
  }
  const { $patch: _, ...template } = spec.template
  return template
}

/** The owner's present template as a revision, not created yet and without a number. */
export function renderRevision(
  owner: Historic,
  options: { readonly hashLabel: string; readonly collisionCount: number },
): ControllerRevision {
  const template = owner.spec?.template
  const hash = templateHash(template, options.collisionCount)
  const { annotations, namespace = '', name = '' } = owner.metadata
  return {
    apiVersion: 'apps/v1',
    kind: 'ControllerRevision',
    metadata: {
      name: `${name.slice(0, NAME_PREFIX_LENGTH_MAX)}-${hash}`,
      namespace,
      labels: { ...template?.metadata?.labels, [options.hashLabel]: hash },
      ...(annotations === undefined ? {} : { annotations: { ...annotations } }),
      ownerReferences: [controllerReference(owner)],
    },
    data: revisionData(template),
    revision: 0,
  }
}

export type RevisionPlan =
  | { readonly kind: 'keep'; readonly revision: ControllerRevision }
  /** An earlier template is back: its revision becomes the newest. */
  | { readonly kind: 'renumber'; readonly revision: ControllerRevision; readonly number: number }
  | { readonly kind: 'create'; readonly number: number }

export function planRevision(data: Json, revisions: readonly ControllerRevision[]): RevisionPlan {
  const ordered = [...revisions].sort(compareRevisions)
  const newest = ordered.at(-1)
  const number = (newest?.revision ?? 0) + 1
  const equal = ordered.findLast(one => semanticEqual(one.data, data))
  if (equal === undefined) return { kind: 'create', number }
  return equal === newest ? { kind: 'keep', revision: equal } : { kind: 'renumber', revision: equal, number }
}

/** Those beyond the limit that nothing refers to, oldest first. */
export function planTruncation(
  revisions: readonly ControllerRevision[],
  options: { readonly limit: number; readonly isLive: (revision: ControllerRevision) => boolean },
): ControllerRevision[] {
  const idle = [...revisions].sort(compareRevisions).filter(one => !options.isLive(one))
  return idle.slice(0, Math.max(0, idle.length - options.limit))
}

function compareRevisions(a: ControllerRevision, b: ControllerRevision): number {
  return (
    a.revision - b.revision ||
    timeMs(a.metadata.creationTimestamp) - timeMs(b.metadata.creationTimestamp) ||
    (a.metadata.name ?? '').localeCompare(b.metadata.name ?? '')
  )
}
