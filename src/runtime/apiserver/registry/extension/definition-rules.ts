/** What a CustomResourceDefinition must be, in upstream's words. */
import type { CustomDefinition } from '../../../../kube/custom-definition.ts'
import { type FieldError, invalid, required } from '../../../../kube/field-error.ts'
import { at } from '../support.ts'
import { checkOneOf } from '../validation/meta.ts'

export function definitionProblems({ metadata, spec }: CustomDefinition): readonly FieldError[] {
  const out: FieldError[] = []
  if (!spec) return [required('spec')]
  const expected = `${spec.names?.plural ?? ''}.${spec.group ?? ''}`
  if (metadata.name !== expected) {
    out.push(invalid('metadata.name', metadata.name, 'must be spec.names.plural+"."+spec.group'))
  }
  if (!spec.group) out.push(required('spec.group'))
  checkOneOf(out, 'spec.scope', spec.scope, ['Cluster', 'Namespaced'])
  const versions = spec.versions ?? []
  if (versions.filter(version => version.storage).length !== 1) {
    const detail = 'must have exactly one version marked as storage version'
    out.push(invalid('spec.versions', versions, detail))
  }
  for (const [index, version] of versions.entries()) {
    if (version.schema?.openAPIV3Schema) continue
    out.push(required(`${at('spec.versions', index)}.schema.openAPIV3Schema`, 'schemas are required'))
  }
  return out
}

export const definitionUpdateProblems = (
  _next: CustomDefinition,
  _previous: CustomDefinition,
): FieldError[] => []
export const statusProblems = (_next: CustomDefinition): FieldError[] => []
