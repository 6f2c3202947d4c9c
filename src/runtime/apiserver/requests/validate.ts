/** All rules for an object that is about to be stored: generic metadata first, then the kind's own. */
import type { FieldError } from '../../../kube/field-error.ts'
import { validateObjectMeta, validateObjectMetaUpdate } from '../../../kube/metadata-validation.ts'
import type { KubeObject } from '../../../kube/object.ts'
import type { ServedResource } from '../storage/served-resource.ts'

export function validateNew(resource: ServedResource, object: KubeObject): FieldError[] {
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
  return [...errors, ...(strategy.validate?.(object) ?? [])]
}

export interface ChangeRules {
  readonly subresource: string
  /** `own`: the subresource has decided what may change; only metadata is checked. */
  readonly rules: 'kind' | 'own'
}

export function validateChanged(
  resource: ServedResource,
  next: KubeObject,
  previous: KubeObject,
  { subresource, rules }: ChangeRules,
): FieldError[] {
  const { strategy } = resource
  const metadata = { ...next.metadata, resourceVersion: next.metadata.resourceVersion || 'any' }
  const errors = validateObjectMetaUpdate(metadata, previous.metadata)
  if (rules === 'own') return errors
  if (subresource === 'status') return [...errors, ...(strategy.validateStatusUpdate?.(next, previous) ?? [])]
  return [
    ...errors,
    ...(strategy.validate?.(next) ?? []),
    ...(strategy.validateUpdate?.(next, previous) ?? []),
  ]
}
