/** Which FlowSchema a request belongs to, and which flow in it. Pure. */
import type { RequestInfo } from '../requests/request-info.ts'
import type { UserInfo } from '../user.ts'
import type { FlowSchemaConfig, Rule } from './config.ts'

type Subject = Rule['subjects'][number]
type ResourceRule = NonNullable<Rule['resourceRules']>[number]
type NonResourceRule = NonNullable<Rule['nonResourceRules']>[number]

const ANY = '*'

/** The first schema that matches; the mandatory one at the end matches everything. */
export function schemaFor(
  schemas: readonly FlowSchemaConfig[],
  user: UserInfo,
  info: RequestInfo,
): FlowSchemaConfig | undefined {
  return schemas.find(({ rules }) => rules.some(rule => matches(rule, user, info)))
}

export function distinguisherOf({ by }: FlowSchemaConfig, user: UserInfo, info: RequestInfo): string {
  if (by === 'ByUser') return user.username
  return by === 'ByNamespace' ? info.namespace : ''
}

function matches(rule: Rule, user: UserInfo, info: RequestInfo): boolean {
  if (!(rule.subjects ?? []).some(subject => isSubject(subject, user))) return false
  return info.isResource
    ? (rule.resourceRules ?? []).some(one => matchesResource(one, info))
    : (rule.nonResourceRules ?? []).some(one => matchesPath(one, info))
}

function isSubject(subject: Subject, { username, groups }: UserInfo): boolean {
  switch (subject.kind) {
    case 'User':
      return subject.user?.name === ANY || subject.user?.name === username
    case 'Group':
      return subject.group?.name === ANY || groups.includes(subject.group?.name ?? '')
    case 'ServiceAccount': {
      const { namespace = '', name = '' } = subject.serviceAccount ?? {}
      const prefix = `system:serviceaccount:${namespace}:`
      return name === ANY ? username.startsWith(prefix) : username === prefix + name
    }
    default:
      return false
  }
}

const has = (list: readonly string[] | undefined, value: string): boolean =>
  list?.includes(ANY) === true || list?.includes(value) === true

function matchesResource(rule: ResourceRule, info: RequestInfo): boolean {
  const { resource, subresource, namespace } = info
  if (!has(rule.verbs, info.verb) || !has(rule.apiGroups, info.group)) return false
  if (!has(rule.resources, subresource === '' ? resource : `${resource}/${subresource}`)) return false
  return namespace === '' ? rule.clusterScope === true : has(rule.namespaces, namespace)
}

function matchesPath(rule: NonResourceRule, { verb, path }: RequestInfo): boolean {
  if (!has(rule.verbs, verb)) return false
  return (rule.nonResourceURLs ?? []).some(
    one => one === path || (one.endsWith(ANY) && path.startsWith(one.slice(0, -1))),
  )
}
