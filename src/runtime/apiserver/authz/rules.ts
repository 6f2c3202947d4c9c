/** RBAC rules: does one match a request, and does a set of them cover another. Pure. */
import type { PolicyRule } from '../../../kube/types.ts'
import type { RequestAttributes } from '../ports.ts'

/** What of a request the rules look at. */
export type RuleAttributes = Pick<
  RequestAttributes,
  'verb' | 'isResource' | 'path' | 'group' | 'resource' | 'subresource' | 'name'
>

export function ruleAllows(rule: PolicyRule, request: RuleAttributes): boolean {
  if (!hasOrAll(rule.verbs, request.verb)) return false
  if (!request.isResource) return pathMatches(rule.nonResourceURLs, request.path)
  return (
    hasOrAll(rule.apiGroups, request.group) &&
    resourceMatches(rule.resources, request.resource, request.subresource) &&
    nameMatches(rule.resourceNames, request.name)
  )
}

const hasOrAll = (list: readonly string[] | undefined, wanted: string): boolean =>
  list !== undefined && (list.includes('*') || list.includes(wanted))

function resourceMatches(resources: readonly string[] | undefined, resource: string, sub: string): boolean {
  if (resources === undefined) return false
  const full = sub === '' ? resource : `${resource}/${sub}`
  return resources.some(item => item === '*' || item === full || (sub !== '' && item === `*/${sub}`))
}

const nameMatches = (names: readonly string[] | undefined, name: string): boolean =>
  names === undefined || names.length === 0 || names.includes(name)

function pathMatches(urls: readonly string[] | undefined, path: string): boolean {
  if (urls === undefined) return false
  return urls.some(
    url => url === '*' || url === path || (url.endsWith('*') && path.startsWith(url.slice(0, -1))),
  )
}

/** Those of `wanted` that `owned` does not cover, each broken down to what cannot be broken down further. */
export function uncoveredRules(
  owned: readonly PolicyRule[],
  wanted: readonly PolicyRule[],
): readonly PolicyRule[] {
  return wanted.flatMap(breakDown).filter(rule => !owned.some(owner => covers(owner, rule)))
}

/** One verb, group, resource and name (or path) each. */
function breakDown(rule: PolicyRule): PolicyRule[] {
  const { verbs, apiGroups = [], resources = [], nonResourceURLs = [] } = rule
  const names = rule.resourceNames?.length ? rule.resourceNames : [undefined]
  const broken: PolicyRule[] = []
  for (const verb of verbs) {
    for (const url of nonResourceURLs) broken.push({ verbs: [verb], nonResourceURLs: [url] })
    for (const group of apiGroups) {
      for (const resource of resources) {
        for (const name of names) {
          const resourceNames = name === undefined ? {} : { resourceNames: [name] }
          broken.push({ verbs: [verb], apiGroups: [group], resources: [resource], ...resourceNames })
        }
      }
    }
  }
  return broken
}

function covers(owner: PolicyRule, atom: PolicyRule): boolean {
  const verbs = coversAll(owner.verbs, atom.verbs)
  if (atom.nonResourceURLs !== undefined) {
    return verbs && atom.nonResourceURLs.every(url => pathMatches(owner.nonResourceURLs, url))
  }
  const unnamed = (owner.resourceNames?.length ?? 0) === 0
  const names = unnamed || atom.resourceNames?.every(name => owner.resourceNames?.includes(name)) === true
  return (
    verbs &&
    names &&
    coversAll(owner.apiGroups, atom.apiGroups) &&
    (atom.resources ?? []).every(resource => coversResource(owner.resources, resource))
  )
}

const coversAll = (owned: readonly string[] = [], wanted: readonly string[] = []): boolean =>
  owned.includes('*') || wanted.every(item => owned.includes(item))

function coversResource(owned: readonly string[] = [], wanted: string): boolean {
  const [, subresource] = wanted.split('/')
  return (
    owned.includes('*') ||
    owned.includes(wanted) ||
    (subresource !== undefined && owned.includes(`*/${subresource}`))
  )
}

/** The rule as upstream's messages show it. */
export function showRule(rule: PolicyRule): string {
  const list = (items: readonly string[]): string => `[${items.map(item => JSON.stringify(item)).join(' ')}]`
  const fields: [string, readonly string[] | undefined][] = [
    ['APIGroups', rule.apiGroups],
    ['Resources', rule.resources],
    ['ResourceNames', rule.resourceNames],
    ['NonResourceURLs', rule.nonResourceURLs],
    ['Verbs', rule.verbs],
  ]
  const shown = fields.filter(([, items]) => items !== undefined && items.length > 0)
  return `{${shown.map(([name, items]) => `${name}:${list(items ?? [])}`).join(', ')}}`
}
