/**
 * Builds a complete Strategy from the few things that are special about a kind: the status is split off and the
 * generation is kept for it, and a table of NAME and AGE stands in when the kind has no columns of its own.
 */
import { cloneJson } from '../../../kube/clone.ts'
import type { KubeObject } from '../../../kube/object.ts'
import { nameAndAgeTable } from './columns.ts'
import type { Strategy } from './strategy.ts'
import { semanticallyEqual } from './support.ts'

export interface KindDefinition extends Strategy {
  /** metadata.generation counts changes of everything but metadata and status. Default: true with a `spec`. */
  readonly hasGeneration?: boolean
  /** A change of annotations raises the generation too (deployments: some controllers' settings are there). */
  readonly generationCountsAnnotations?: boolean
  /** What a client says of the status at creation is kept (nodes register with theirs). */
  readonly keepsStatusAtCreate?: boolean
}

/** The strategy of a kind; the parts that are given run after the generic ones. */
export function defineKind(definition: KindDefinition): Strategy {
  const { hasGeneration, generationCountsAnnotations, keepsStatusAtCreate, ...own } = definition
  const hasStatus = definition.hasStatus ?? false
  return {
    ...own,
    hasStatus,
    table: definition.table ?? nameAndAgeTable,
    prepareForCreate(object, context) {
      if (hasStatus && !keepsStatusAtCreate) delete object['status']
      if (hasGeneration ?? 'spec' in object) object.metadata.generation = 1
      definition.prepareForCreate?.(object, context)
    },
    prepareForUpdate(next, previous, context) {
      if (hasStatus) takeField(next, previous, 'status')
      definition.prepareForUpdate?.(next, previous, context)
      if (hasGeneration ?? ('spec' in next || 'spec' in previous)) {
        keepGeneration(next, previous, generationCountsAnnotations ?? false)
      }
    },
  }
}

/** Makes `field` of `next` what it is in `previous`. */
export function takeField(next: KubeObject, previous: KubeObject, field: string): void {
  if (previous[field] === undefined) delete next[field]
  else next[field] = cloneJson(previous[field])
}

/** For what may not touch metadata at all: only the wished resourceVersion and the managers are the client's. */
export function keepMetadata(next: KubeObject, previous: KubeObject): void {
  const { resourceVersion, managedFields } = next.metadata
  next.metadata = cloneJson(previous.metadata)
  if (resourceVersion === undefined) delete next.metadata.resourceVersion
  else next.metadata.resourceVersion = resourceVersion
  if (managedFields !== undefined) next.metadata.managedFields = managedFields
}

/** Raises the generation when anything but metadata and status changed, and keeps it otherwise. */
export function keepGeneration(next: KubeObject, previous: KubeObject, countAnnotations = false): void {
  const before = previous.metadata.generation ?? 0
  const isSame =
    semanticallyEqual(desired(next), desired(previous)) &&
    (!countAnnotations || semanticallyEqual(next.metadata.annotations, previous.metadata.annotations))
  const after = isSame ? before : before + 1
  if (after === 0) delete next.metadata.generation
  else next.metadata.generation = after
}

function desired(object: KubeObject): Record<string, unknown> {
  const { metadata: _metadata, status: _status, apiVersion: _version, kind: _kind, ...rest } = object
  return rest
}
