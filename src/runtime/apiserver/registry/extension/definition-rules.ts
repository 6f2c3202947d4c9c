/** What a CustomResourceDefinition must be, in upstream's words. */
import { checkRules } from '../../../../kube/cel/rules/check.ts'
import type { CustomDefinition } from '../../../../kube/custom-definition.ts'
import { equalJson } from '../../../../kube/equality.ts'
import { type FieldError, invalid, required } from '../../../../kube/field-error.ts'
import { parseStructural } from '../../../../kube/structural-schema/structural.ts'
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
  out.push(...expressionProblems(versions))
  return out
}

/** Of x-kubernetes-validations. A schema that all versions share stands in one place, as upstream sees it. */
function expressionProblems(versions: CustomDefinition['spec']['versions']): readonly FieldError[] {
  const schemas = versions.map(version => version.schema?.openAPIV3Schema)
  if (schemas.every(schema => equalJson(schema, schemas[0]))) {
    return checkRules(parseStructural(schemas[0]), 'spec.validation.openAPIV3Schema')
  }
  return schemas.flatMap((schema, index) =>
    checkRules(parseStructural(schema), `${at('spec.versions', index)}.schema.openAPIV3Schema`),
  )
}

export const definitionUpdateProblems = (
  _next: CustomDefinition,
  _previous: CustomDefinition,
): FieldError[] => []
export const statusProblems = (_next: CustomDefinition): FieldError[] => []
