/** The strategy of a kind that needs nothing beyond the model. */
import type { ResourceInfo } from '../../../kube/model-types.ts'
import { defineKind, keepMetadata } from './kind.ts'
import type { Strategy } from './strategy.ts'

/** Of those kinds, the ones whose status writers may not touch metadata. */
const METADATA_STAYS = new Set([
  'admissionregistration.k8s.io/validatingadmissionpolicies',
  'resource.k8s.io/resourceclaims',
])

/** NAME and AGE, the status split off when there is a status subresource, generation when the spec changes. */
export function defaultStrategy(resource: ResourceInfo): Strategy {
  const id = `${resource.group}/${resource.resource}`
  return defineKind({
    group: resource.group,
    resource: resource.resource,
    hasStatus: resource.subresources.some(subresource => subresource.name === 'status'),
    ...(METADATA_STAYS.has(id) ? { prepareForStatusUpdate: keepMetadata } : {}),
  })
}
