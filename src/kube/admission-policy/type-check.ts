/** Warnings for a policy's author: what its expressions get wrong about the kinds that the policy is for. Pure. */
import type { GroupVersionKind, Model, ResourceInfo } from '../model-types.ts'
import { typeOfModel } from './model-type.ts'
import { policyEnv } from './policy-env.ts'
import type { AdmissionRule, PolicySpec } from './policy-kinds.ts'

export interface ExpressionWarning {
  readonly fieldRef: string
  readonly warning: string
}

/** More kinds than that are not looked at. */
const KINDS_MAX = 10

export function typeCheckPolicy(spec: PolicySpec, model: Model): readonly ExpressionWarning[] {
  const kinds = kindsOf(spec.matchConstraints?.resourceRules ?? [], model)
  const params = paramsType(spec, model)
  const envs = kinds.map(info => ({
    info,
    env: policyEnv(spec, false, { object: typeOfModel(model, info.typeName), ...params }),
  }))
  const warnings: ExpressionWarning[] = []
  const check = (fieldRef: string, expression: string | undefined): void => {
    if (expression === undefined || expression === '') return
    const found = envs.flatMap(({ info, env }) => {
      const { error } = env.compile(expression)
      return error === null ? [] : [`${kindText(info)}: ${error.replace(/^compilation failed: /, '')}\n`]
    })
    if (found.length > 0) warnings.push({ fieldRef, warning: found.join('\n') })
  }
  for (const [index, { expression, messageExpression }] of (spec.validations ?? []).entries()) {
    check(`spec.validations[${index}].expression`, expression)
    check(`spec.validations[${index}].messageExpression`, messageExpression)
  }
  return warnings
}

const kindText = ({ group, version, kind }: GroupVersionKind): string =>
  `${group === '' ? '' : `${group}/`}${version}, Kind=${kind}`

function paramsType({ paramKind }: PolicySpec, model: Model) {
  if (paramKind === undefined) return {}
  const [first = '', second] = (paramKind.apiVersion ?? '').split('/')
  const [group, version] = second === undefined ? ['', first] : [first, second]
  const info = model.byKind({ group, version, kind: paramKind.kind ?? '' })
  return info === undefined ? {} : { params: typeOfModel(model, info.typeName) }
}

/** The kinds that the rules name without wildcards. */
function kindsOf(rules: readonly AdmissionRule[], model: Model): readonly ResourceInfo[] {
  const found = new Set<ResourceInfo>()
  for (const { apiGroups = [], apiVersions = [], resources = [] } of rules) {
    for (const group of apiGroups) {
      for (const version of apiVersions) {
        for (const resource of resources) {
          const info = model.byResource(group, version, resource)
          if (info !== undefined && found.size < KINDS_MAX) found.add(info)
        }
      }
    }
  }
  return [...found]
}
