/** FlowSchemas: what upstream refuses in them. */
import {
  duplicate,
  type FieldError,
  forbidden,
  invalid,
  notSupported,
  required,
} from '../../../../kube/field-error.ts'
import { checkDns1123Label, checkDns1123Subdomain } from '../../../../kube/names.ts'
import type { FlowSchema } from '../../../../kube/types.ts'
import { at } from '../support.ts'
import { checkEach, type Problems } from '../validation/meta.ts'
import { isFixedSchemaKept } from './mandatory-flows.ts'

const PRECEDENCE_MAX = 10_000
const METHODS = ['ByNamespace', 'ByUser']
const ALL = '*'
const VERBS = ['create', 'delete', 'deletecollection', 'get', 'list', 'patch', 'proxy', 'update', 'watch']

type Spec = NonNullable<FlowSchema['spec']>
type Rule = NonNullable<Spec['rules']>[number]
type Subject = Rule['subjects'][number]
type ResourceRule = NonNullable<Rule['resourceRules']>[number]
type PathRule = NonNullable<Rule['nonResourceRules']>[number]

export function flowSchemaProblems({ metadata, spec, status }: FlowSchema): readonly FieldError[] {
  const out: FieldError[] = []
  const name = metadata.name ?? ''
  const given = spec ?? ({} as Spec)
  checkPrecedence(out, name, given.matchingPrecedence ?? 0)
  const method = given.distinguisherMethod
  if (method && !METHODS.includes(method.type)) {
    out.push(notSupported('spec.distinguisherMethod.type', { Type: method.type ?? '' }, METHODS))
  }
  const level = given.priorityLevelConfiguration?.name ?? ''
  const field = 'spec.priorityLevelConfiguration.name'
  if (level === '') out.push(required(field, 'must reference a priority level'))
  else checkEach(out, field, level, checkDns1123Subdomain(level))
  for (const [index, rule] of (given.rules ?? []).entries()) checkFlowRule(out, at('spec.rules', index), rule)
  if (!isFixedSchemaKept(name, given)) {
    out.push(invalid('spec', given, `spec of '${name}' must equal the fixed value`))
  }
  checkConditionTypes(out, status?.conditions ?? [])
  return out
}

function checkPrecedence(out: Problems, name: string, value: number): void {
  const field = 'spec.matchingPrecedence'
  if (value <= 0) out.push(invalid(field, value, 'must be a positive value'))
  if (value > PRECEDENCE_MAX) out.push(invalid(field, value, `must not be greater than ${PRECEDENCE_MAX}`))
  if (value === 1 && name !== 'exempt') {
    out.push(invalid(field, value, "only the schema named 'exempt' may have matchingPrecedence 1"))
  }
}

export function checkConditionTypes(out: Problems, conditions: readonly { type?: string }[]): void {
  const seen = new Set<string>()
  for (const [index, { type = '' }] of conditions.entries()) {
    const field = `${at('status.conditions', index)}.type`
    if (seen.has(type)) out.push(duplicate(field, type))
    seen.add(type)
    if (type === '') out.push(required(field, 'must not be empty'))
  }
}

function checkFlowRule(out: Problems, field: string, rule: Rule): void {
  const { subjects = [], resourceRules = [], nonResourceRules = [] } = rule
  if (subjects.length === 0) {
    out.push(required(`${field}.subjects`, 'subjects must contain at least one value'))
  }
  for (const [index, subject] of subjects.entries())
    checkSubject(out, at(`${field}.subjects`, index), subject)
  if (resourceRules.length + nonResourceRules.length === 0) {
    out.push(required(field, 'at least one of resourceRules and nonResourceRules has to be non-empty'))
  }
  for (const [index, one] of resourceRules.entries()) {
    checkResourceRule(out, at(`${field}.resourceRules`, index), one)
  }
  for (const [index, one] of nonResourceRules.entries()) {
    checkPathRule(out, at(`${field}.nonResourceRules`, index), one)
  }
}

const SUBJECTS = { serviceAccount: 'ServiceAccount', user: 'User', group: 'Group' } as const

function checkSubject(out: Problems, field: string, subject: Subject): void {
  const kinds: readonly string[] = Object.values(SUBJECTS)
  if (!kinds.includes(subject.kind)) {
    out.push(notSupported(`${field}.kind`, subject.kind ?? '', [...kinds].sort()))
    return
  }
  const own = (['serviceAccount', 'user', 'group'] as const).find(name => SUBJECTS[name] === subject.kind)
  if (own !== undefined) checkOwn(out, `${field}.${own}`, own, subject)
  for (const name of ['serviceAccount', 'user', 'group'] as const) {
    if (name === own || !subject[name]) continue
    const detail = `${name} is forbidden when subject kind is not '${SUBJECTS[name]}'`
    out.push(forbidden(`${field}.${name}`, detail))
  }
}

function checkOwn(out: Problems, field: string, own: keyof typeof SUBJECTS, subject: Subject): void {
  const named = subject[own]
  if (!named) {
    out.push(required(field, `${own} is required when subject kind is '${SUBJECTS[own]}'`))
    return
  }
  if (!named.name) out.push(required(`${field}.name`))
  else if (own === 'serviceAccount' && named.name !== ALL) {
    checkEach(out, `${field}.name`, named.name, checkDns1123Subdomain(named.name))
  }
  if (own !== 'serviceAccount') return
  const namespace = subject.serviceAccount?.namespace ?? ''
  if (namespace === '') {
    out.push(required(`${field}.namespace`, 'must specify namespace for service account'))
  } else checkEach(out, `${field}.namespace`, namespace, checkDns1123Label(namespace))
}

/** A star stands alone. */
function checkStar(out: Problems, field: string, values: readonly string[], what: string): void {
  if (values.length < 2 || !values.includes(ALL)) return
  out.push(invalid(field, values, `if '*' is present, must not specify other ${what}`))
}

function checkVerbs(out: Problems, field: string, verbs: readonly string[]): void {
  if (verbs.length === 0) out.push(required(field, 'verbs must contain at least one value'))
  checkStar(out, field, verbs, 'verbs')
  if (verbs.includes(ALL) || verbs.every(verb => VERBS.includes(verb))) return
  out.push(notSupported(field, verbs, VERBS))
}

function checkResourceRule(out: Problems, field: string, rule: ResourceRule): void {
  const { verbs = [], apiGroups = [], resources = [], namespaces = [], clusterScope = false } = rule
  checkVerbs(out, `${field}.verbs`, verbs)
  if (apiGroups.length === 0) {
    out.push(required(`${field}.apiGroups`, 'resource rules must supply at least one api group'))
  }
  checkStar(out, `${field}.apiGroups`, apiGroups, 'api groups')
  if (resources.length === 0) {
    out.push(required(`${field}.resources`, 'resource rules must supply at least one resource'))
  }
  checkStar(out, `${field}.resources`, resources, 'resources')
  const path = `${field}.namespaces`
  if (namespaces.length === 0 && !clusterScope) {
    const detail = 'resource rules that are not cluster scoped must supply at least one namespace'
    out.push(required(path, detail))
  }
  checkStar(out, path, namespaces, 'namespaces')
  if (namespaces.includes(ALL)) return
  for (const [index, name] of namespaces.entries()) {
    const problems = checkDns1123Label(name)
    const intro = "each member of this list must be '*' or a DNS-1123 label; "
    checkEach(
      out,
      at(path, index),
      name,
      problems.map(problem => intro + problem),
    )
  }
}

function checkPathRule(out: Problems, field: string, { verbs = [], nonResourceURLs = [] }: PathRule): void {
  checkVerbs(out, `${field}.verbs`, verbs)
  const path = `${field}.nonResourceURLs`
  if (nonResourceURLs.length === 0) {
    out.push(required(path, 'nonResourceURLs must contain at least one value'))
  }
  checkStar(out, path, nonResourceURLs, 'non-resource URLs')
  if (nonResourceURLs.includes(ALL)) return
  for (const [index, url] of nonResourceURLs.entries()) {
    const problem = pathProblem(url)
    if (problem !== null) out.push(invalid(at(path, index), url, problem))
  }
}

function pathProblem(path: string): string | null {
  if (path === '') return 'must not be empty'
  if (!path.startsWith('/')) return 'must start with slash'
  if (path.includes(' ')) return 'must not contain white-space'
  if (path.includes('//')) return 'must not contain double slash'
  const star = path.indexOf(ALL)
  if (star < 0 || (star === path.length - 1 && path.endsWith('/*'))) return null
  return 'wildcard can only do suffix matching'
}
