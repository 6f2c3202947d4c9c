/** An audit policy, `Policy` of audit.k8s.io/v1: how much is written of which request. Read from YAML, judged purely. */
import { Mk8sError, messageOf } from '../../../base/errors.ts'
import { isMap } from '../../../kube/json-map.ts'
import { parseYaml } from '../../../kube/yaml.ts'
import type { RequestInfo } from '../requests/request-info.ts'
import type { UserInfo } from '../user.ts'

export const LEVELS = ['None', 'Metadata', 'Request', 'RequestResponse'] as const
export type Level = (typeof LEVELS)[number]
export const STAGES = ['RequestReceived', 'ResponseStarted', 'ResponseComplete', 'Panic'] as const
export type Stage = (typeof STAGES)[number]

interface GroupResources {
  readonly group: string
  readonly resources: readonly string[]
  readonly resourceNames: readonly string[]
}

interface Rule {
  readonly level: Level
  readonly users: readonly string[]
  readonly userGroups: readonly string[]
  readonly verbs: readonly string[]
  readonly resources: readonly GroupResources[]
  readonly namespaces: readonly string[]
  readonly nonResourceURLs: readonly string[]
  readonly omitStages: readonly Stage[]
  readonly omitManagedFields: boolean
}

export interface Policy {
  readonly rules: readonly Rule[]
}

export interface Judgement {
  readonly level: Level
  readonly omitStages: readonly Stage[]
  readonly omitManagedFields: boolean
}

/** Bodies that hold credentials: at more than Metadata only where a rule names the resource itself. */
const SENSITIVE: readonly string[] = [
  '/secrets',
  '/serviceaccounts/token',
  'authentication.k8s.io/tokenreviews',
]

export function judge(policy: Policy, user: UserInfo, info: RequestInfo): Judgement {
  const rule = policy.rules.find(one => matches(one, user, info))
  if (rule === undefined) return { level: 'None', omitStages: STAGES, omitManagedFields: false }
  const { level, omitStages, omitManagedFields } = rule
  const showsBodies = level === 'Request' || level === 'RequestResponse'
  const isKept = showsBodies && isSensitive(info) && !namesResource(rule, info)
  return { level: isKept ? 'Metadata' : level, omitStages, omitManagedFields }
}

const fullName = ({ resource, subresource }: RequestInfo): string =>
  subresource === '' ? resource : `${resource}/${subresource}`

const isSensitive = (info: RequestInfo): boolean =>
  info.isResource && SENSITIVE.includes(`${info.group}/${fullName(info)}`)

const namesResource = (rule: Rule, info: RequestInfo): boolean =>
  rule.resources.some(({ group, resources }) => group === info.group && resources.includes(fullName(info)))

function matches(rule: Rule, user: UserInfo, info: RequestInfo): boolean {
  const { users, userGroups, verbs } = rule
  if (users.length > 0 && !users.includes(user.username)) return false
  if (userGroups.length > 0 && !userGroups.some(group => user.groups.includes(group))) return false
  if (verbs.length > 0 && !verbs.includes(info.verb)) return false
  if (rule.namespaces.length > 0 || rule.resources.length > 0)
    return info.isResource && matchesResource(rule, info)
  if (rule.nonResourceURLs.length > 0)
    return !info.isResource && rule.nonResourceURLs.some(pattern => matchesPath(pattern, info.path))
  return true
}

const matchesPath = (pattern: string, path: string): boolean =>
  pattern.endsWith('*') ? path.startsWith(pattern.slice(0, -1)) : pattern === path

function matchesResource({ namespaces, resources }: Rule, info: RequestInfo): boolean {
  if (namespaces.length > 0 && !namespaces.includes(info.namespace)) return false
  if (resources.length === 0) return true
  return resources.some(one => {
    if (one.group !== info.group) return false
    if (one.resourceNames.length > 0 && !one.resourceNames.includes(info.name)) return false
    return one.resources.length === 0 || one.resources.some(name => matchesName(name, info))
  })
}

function matchesName(pattern: string, info: RequestInfo): boolean {
  if (pattern === '*' || pattern === fullName(info)) return true
  if (info.subresource === '') return false
  return pattern === `*/${info.subresource}` || pattern === `${info.resource}/*`
}

/** Throws `config/invalid` with everything that is wrong. */
export function parsePolicy(text: string, path: string): Policy {
  const problems: string[] = []
  const value = readDocument(text, path)
  if (value['apiVersion'] !== 'audit.k8s.io/v1' || value['kind'] !== 'Policy')
    problems.push('it is not a Policy of audit.k8s.io/v1')
  const rules = Array.isArray(value['rules']) ? value['rules'] : []
  if (rules.length === 0) problems.push('rules: there are none')
  const common = { stages: stagesOf(value['omitStages'], 'omitStages', problems) }
  const managed = value['omitManagedFields'] === true
  const parsed = rules.map((rule, at) => ruleOf(rule, `rules[${at}]`, problems))
  if (problems.length > 0)
    throw new Mk8sError('config/invalid', `${path} is not an audit policy`, { why: problems.join('\n') })
  return {
    rules: parsed.map(({ omitManagedFields, ...rule }) => ({
      ...rule,
      omitStages: [...new Set([...common.stages, ...rule.omitStages])],
      omitManagedFields: omitManagedFields ?? managed,
    })),
  }
}

function readDocument(text: string, path: string): Record<string, unknown> {
  try {
    const value = parseYaml(text)
    if (isMap(value)) return value
  } catch (error) {
    throw new Mk8sError('config/invalid', `${path} is not YAML`, { why: messageOf(error), cause: error })
  }
  throw new Mk8sError('config/invalid', `${path} is not an audit policy`, { why: 'it holds no object' })
}

function texts(value: unknown, field: string, problems: string[]): readonly string[] {
  if (value === undefined || value === null) return []
  if (Array.isArray(value) && value.every(one => typeof one === 'string')) return value
  problems.push(`${field}: must be a list of texts`)
  return []
}

function stagesOf(value: unknown, field: string, problems: string[]): readonly Stage[] {
  const given = texts(value, field, problems)
  const known = STAGES.filter(stage => given.includes(stage))
  if (known.length < new Set(given).size) problems.push(`${field}: the stages are ${STAGES.join(', ')}`)
  return known
}

function ruleOf(
  value: unknown,
  field: string,
  problems: string[],
): Omit<Rule, 'omitManagedFields'> & { readonly omitManagedFields: boolean | undefined } {
  const rule = isMap(value) ? value : {}
  const level = LEVELS.find(one => one === rule['level'])
  if (level === undefined) problems.push(`${field}.level: must be one of ${LEVELS.join(', ')}`)
  const list = (key: string) => texts(rule[key], `${field}.${key}`, problems)
  const groups = Array.isArray(rule['resources']) ? rule['resources'] : []
  const resources = groups.map((one, at) => groupOf(one, `${field}.resources[${at}]`, problems))
  const [namespaces, nonResourceURLs] = [list('namespaces'), list('nonResourceURLs')]
  if (nonResourceURLs.length > 0 && (namespaces.length > 0 || resources.length > 0))
    problems.push(
      `${field}.nonResourceURLs: rules cannot apply to both regular resources and non-resource URLs`,
    )
  if (nonResourceURLs.some(url => url !== '*' && (!url.startsWith('/') || url.slice(0, -1).includes('*'))))
    problems.push(`${field}.nonResourceURLs: must begin with "/"; "*" may only stand at the end`)
  return {
    level: level ?? 'None',
    users: list('users'),
    userGroups: list('userGroups'),
    verbs: list('verbs'),
    ...{ resources, namespaces, nonResourceURLs },
    omitStages: stagesOf(rule['omitStages'], `${field}.omitStages`, problems),
    omitManagedFields: typeof rule['omitManagedFields'] === 'boolean' ? rule['omitManagedFields'] : undefined,
  }
}

function groupOf(value: unknown, field: string, problems: string[]): GroupResources {
  const fields = isMap(value) ? value : {}
  const group = typeof fields['group'] === 'string' ? fields['group'] : ''
  const resources = texts(fields['resources'], `${field}.resources`, problems)
  const resourceNames = texts(fields['resourceNames'], `${field}.resourceNames`, problems)
  if (group.includes('/')) problems.push(`${field}.group: must not include a version`)
  if (resourceNames.length > 0 && resources.length === 0)
    problems.push(`${field}.resourceNames: using resourceNames requires at least one resource`)
  return { group, resources, resourceNames }
}
