/** Definitions of custom resources as controllers see them, and the resources that they add while controllers run. */
import type { Informer } from '../../../client/informer.ts'
import type { InformerSet } from '../../../client/informer-set.ts'
import { CUSTOM_RESOURCE_DEFINITIONS, type ResourceRef } from '../../../client/resources.ts'
import { type CustomDefinition, compareVersions, isDefinition } from '../../../kube/custom-definition.ts'

/** Without schemas, which are long and of which no controller reads anything. */
export const definitionInformer = (informers: InformerSet): Informer<CustomDefinition> =>
  informers.informer<CustomDefinition>(CUSTOM_RESOURCE_DEFINITIONS, { transform: withoutSchemas })

function withoutSchemas(definition: CustomDefinition): CustomDefinition {
  const { managedFields: _managers, ...metadata } = definition.metadata
  const versions = definition.spec.versions.map(({ name, served, storage }) => ({ name, served, storage }))
  return { ...definition, metadata, spec: { ...definition.spec, versions } }
}

export interface CustomResource extends ResourceRef {
  readonly kind: string
}

/** How an established definition is reached: its newest served version. */
export function customResourceOf(definition: CustomDefinition): CustomResource | undefined {
  if (!isDefinition(definition, 'Established')) return undefined
  const { spec, status } = definition
  const served = spec.versions.filter(one => one.served).map(one => one.name)
  const [version] = served.sort(compareVersions)
  if (version === undefined) return undefined
  const names = status?.acceptedNames?.plural ? status.acceptedNames : spec.names
  const namespaced = spec.scope === 'Namespaced'
  return { group: spec.group, version, resource: names.plural, namespaced, kind: names.kind }
}
