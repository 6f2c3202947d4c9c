/** All rules for an object that is about to be stored: generic metadata first, then the kind's own. */
import type { FieldError } from '../../../kube/field-error.ts'
import { validateObjectMeta, validateObjectMetaUpdate } from '../../../kube/metadata-validation.ts'
import type { KubeObject } from '../../../kube/object.ts'
import type { ClusterSettings } from '../registry/strategy.ts'
import type { ServedResource } from '../storage/served-resource.ts'
import type { Caller } from './commit.ts'

export function validateNew(
  resource: ServedResource,
  object: KubeObject,
  settings?: ClusterSettings,
): FieldError[] {
  const { strategy, info } = resource
  const rule = strategy.validateName
  const checkName = (name: string): readonly string[] => {
    const problem = rule?.(name) ?? null
    return problem === null ? [] : [problem]
  }
  const errors = validateObjectMeta(object.metadata, {
    namespaced: info.namespaced,
    ...(rule === undefined ? {} : { checkName }),
  })
  return [
    ...errors,
    ...(strategy.validate?.(object, settings) ?? []),
    ...(strategy.validateCreate?.(object) ?? []),
  ]
}

/** A subresource is checked by its own rules: those of the whole object hold for the whole object only. */
export function validateChanged(
  resource: ServedResource,
  next: KubeObject,
  previous: KubeObject,
  { subresource, settings }: { readonly subresource: string; readonly settings: ClusterSettings },
): FieldError[] {
  const { strategy } = resource
  const metadata = { ...next.metadata, resourceVersion: next.metadata.resourceVersion || 'any' }
  const errors = validateObjectMetaUpdate(metadata, previous.metadata)
  if (subresource === 'status') return [...errors, ...(strategy.validateStatusUpdate?.(next, previous) ?? [])]
  if (subresource !== '') {
    return [...errors, ...(strategy.subresources?.[subresource]?.validateUpdate?.(next, previous) ?? [])]
  }
  return [
    ...errors,
    ...(strategy.ratchets === true ? [] : (strategy.validate?.(next, settings) ?? [])),
    ...(strategy.validateUpdate?.(next, previous) ?? []),
  ]
}

/** Tells the client what its kind has to say about an object that passed validation. */
export function warnOf(
  { strategy }: ServedResource,
  { origin }: Caller,
  next: KubeObject,
  previous: KubeObject | null,
): void {
  if (origin === undefined) return
  for (const text of strategy.warnings?.(next, previous) ?? []) origin.warn(text)
}
