/** The rules and conditions by which webhooks and policies choose requests, checked. */
import type { FieldError } from '../../../../kube/field-error.ts'
import { duplicate, invalid, notSupported, required, tooMany } from '../../../../kube/field-error.ts'
import { checkQualifiedName } from '../../../../kube/names.ts'
import { conditionProblem } from '../../admission/match-conditions.ts'
import { at } from '../support.ts'

export interface RuleLike {
  readonly operations?: readonly string[]
  readonly apiGroups?: readonly string[]
  readonly apiVersions?: readonly string[]
  readonly resources?: readonly string[]
  readonly scope?: string
}

const OPERATIONS = ['*', 'CONNECT', 'CREATE', 'DELETE', 'UPDATE']
const SCOPES = ['*', 'Cluster', 'Namespaced']
const ALL = '*'

export function checkRule(out: FieldError[], field: string, rule: RuleLike): void {
  const { operations = [], apiGroups = [], apiVersions = [], resources = [], scope } = rule
  checkAlone(out, `${field}.operations`, operations, 'operations')
  for (const [index, operation] of operations.entries()) {
    if (OPERATIONS.includes(operation)) continue
    out.push(notSupported(at(`${field}.operations`, index), operation, OPERATIONS))
  }
  checkAlone(out, `${field}.apiGroups`, apiGroups, 'API groups')
  checkAlone(out, `${field}.apiVersions`, apiVersions, 'API versions')
  for (const [index, version] of apiVersions.entries()) {
    if (version === '') out.push(required(at(`${field}.apiVersions`, index)))
  }
  checkResources(out, `${field}.resources`, resources)
  if (scope !== undefined && !SCOPES.includes(scope)) {
    out.push(notSupported(`${field}.scope`, scope, SCOPES))
  }
}

function checkAlone(out: FieldError[], field: string, values: readonly string[], what: string): void {
  if (values.length === 0) out.push(required(field))
  if (values.length > 1 && values.includes(ALL)) {
    out.push(invalid(field, values, `if '*' is present, must not specify other ${what}`))
  }
}

function checkResources(out: FieldError[], field: string, resources: readonly string[]): void {
  if (resources.length === 0) out.push(required(field))
  const allOfResource = new Set<string>()
  const allWithSub = new Set<string>()
  for (const [index, text] of resources.entries()) {
    if (text === '') out.push(required(at(field, index)))
    const slash = text.indexOf('/')
    if (slash < 0) continue
    const [resource, sub] = [text.slice(0, slash), text.slice(slash + 1)]
    const refuse = (pattern: string) => {
      out.push(invalid(at(field, index), text, `if '${pattern}' is present, must not specify ${text}`))
    }
    if (allOfResource.has(resource)) refuse(`${resource}/*`)
    if (allWithSub.has(sub)) refuse(`*/${sub}`)
    if (sub === ALL) allOfResource.add(resource)
    if (resource === ALL) allWithSub.add(sub)
  }
  if (resources.length > 1 && resources.includes('*/*')) {
    out.push(invalid(field, resources, "if '*/*' is present, must not specify other resources"))
  }
  const hasPlain = resources.some(text => text !== ALL && text !== '' && !text.includes('/'))
  if (resources.includes(ALL) && hasPlain) {
    const rule = "if '*' is present, must not specify other resources without subresources"
    out.push(invalid(field, resources, rule))
  }
}

const CONDITIONS_MAX = 64

export function checkConditions(
  out: FieldError[],
  field: string,
  conditions: readonly { readonly name?: string; readonly expression?: string }[],
  problemOf: (expression: string) => string | null = conditionProblem,
): void {
  if (conditions.length > CONDITIONS_MAX) out.push(tooMany(field, conditions.length, CONDITIONS_MAX))
  const names = new Set<string>()
  for (const [index, { name = '', expression = '' }] of conditions.entries()) {
    const place = at(field, index)
    if (expression.trim() === '') out.push(required(`${place}.expression`))
    else {
      const problem = problemOf(expression)
      if (problem !== null) out.push(invalid(`${place}.expression`, expression, problem))
    }
    if (name === '') out.push(required(`${place}.name`))
    else if (names.has(name)) out.push(duplicate(`${place}.name`, name))
    else for (const problem of checkQualifiedName(name)) out.push(invalid(`${place}.name`, name, problem))
    names.add(name)
  }
}
