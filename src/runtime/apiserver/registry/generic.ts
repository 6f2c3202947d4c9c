/** The strategy of a kind that needs nothing beyond the model. */
import type { ResourceInfo } from '../../../kube/model-types.ts'
import { defineKind } from './kind.ts'
import type { Strategy } from './strategy.ts'

/** NAME and AGE, the status split off when there is a status subresource, generation when the spec changes. */
export function defaultStrategy(resource: ResourceInfo): Strategy {
  return defineKind({
    group: resource.group,
    resource: resource.resource,
    hasStatus: resource.subresources.some(subresource => subresource.name === 'status'),
  })
}
