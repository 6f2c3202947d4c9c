/**
 * Which requests the rules of webhooks and policies mean: operation, group, version, resource with subresource,
 * scope and selectors, also by way of another version of the same objects. Pure.
 */
import type { AdmissionRule } from '../../../kube/admission-policy/policy-kinds.ts'
import { matchesLabels, requirementsOf } from '../../../kube/labels.ts'
import type { KubeObject } from '../../../kube/object.ts'
import { notFound } from '../../../kube/status.ts'
import type { LabelSelector } from '../../../kube/types.ts'
import type { AdmissionRequest, ObjectReader, ResourceForm } from '../ports.ts'

/** What rules look at. */
export interface RuleSubject {
  readonly operation: string
  /** As the client asked for it. */
  readonly requested: ResourceForm
  readonly subresource: string
  /** Of a Namespace, its own name. */
  readonly namespace: string
  readonly name: string
  readonly object: KubeObject | null
  readonly oldObject: KubeObject | null
}

/** The request as rules see it. */
export function ruleSubject(request: AdmissionRequest): RuleSubject {
  const { operation, subresource, name, object, oldObject } = request
  const { requested } = request.forms
  const namespace = isNamespaces(requested) ? name : request.namespace
  return { operation, requested, subresource, namespace, name, object, oldObject }
}

const ALL = '*'

const isNamespaces = ({ group, version, resource }: Omit<ResourceForm, 'kind'>): boolean =>
  group === '' && version === 'v1' && resource === 'namespaces'

const includes = (values: readonly string[] | undefined, wanted: string): boolean =>
  values !== undefined && (values.includes(ALL) || values.includes(wanted))

function scopeMatches(scope: string | undefined, form: ResourceForm, namespace: string): boolean {
  const isClusterWide = isNamespaces(form) || namespace === ''
  if (scope === 'Namespaced') return !isClusterWide
  return scope === 'Cluster' ? isClusterWide : true
}

function resourceMatches(patterns: readonly string[] | undefined, resource: string, sub: string): boolean {
  return (patterns ?? []).some(pattern => {
    const slash = pattern.indexOf('/')
    const [ofResource, ofSub] =
      slash < 0 ? [pattern, ''] : [pattern.slice(0, slash), pattern.slice(slash + 1)]
    return (ofResource === ALL || ofResource === resource) && (ofSub === ALL || ofSub === sub)
  })
}

/** Whether one rule means the request, seen as `form`. */
export function ruleMatches(rule: AdmissionRule, subject: RuleSubject, form = subject.requested): boolean {
  const { resourceNames = [] } = rule
  return (
    scopeMatches(rule.scope, form, subject.namespace) &&
    includes(rule.operations, subject.operation) &&
    includes(rule.apiGroups, form.group) &&
    includes(rule.apiVersions, form.version) &&
    resourceMatches(rule.resources, form.resource, subject.subresource) &&
    (resourceNames.length === 0 || resourceNames.includes(subject.name))
  )
}

/**
 * The form in which the first rule that matches wants to see the request; null for none. With `Equivalent`, the
 * other versions of the same objects count as well, once no rule matches what was asked for.
 */
export function matchRules(
  rules: readonly AdmissionRule[],
  matchPolicy: string,
  subject: RuleSubject,
  equivalents: () => readonly ResourceForm[],
): ResourceForm | null {
  if (rules.some(rule => ruleMatches(rule, subject))) return subject.requested
  if (matchPolicy !== 'Equivalent') return null
  const { requested } = subject
  const isSame = (form: ResourceForm) => form.group === requested.group && form.version === requested.version
  for (const rule of rules) {
    const found = equivalents().find(form => !isSame(form) && ruleMatches(rule, subject, form))
    if (found !== undefined) return found
  }
  return null
}

const isEmpty = (selector: LabelSelector | null | undefined): boolean =>
  Object.keys(selector?.matchLabels ?? {}).length === 0 && (selector?.matchExpressions ?? []).length === 0

/** Cluster-wide objects are never left out. Throws 404 when the namespace is not there. */
export function matchesNamespace(
  selector: LabelSelector | null | undefined,
  subject: RuleSubject,
  objects: ObjectReader,
): boolean {
  if (subject.namespace === '' || isEmpty(selector)) return true
  const labels = namespaceLabels(subject, objects)
  return matchesLabels(requirementsOf(selector) ?? [], labels)
}

function namespaceLabels(subject: RuleSubject, objects: ObjectReader): Record<string, string> | undefined {
  const { requested, subresource, operation, object, namespace } = subject
  const isWritten = operation === 'CREATE' || operation === 'UPDATE'
  if (isNamespaces(requested) && subresource === '' && isWritten) return object?.metadata.labels
  const found = objects.get('', 'namespaces', '', namespace)
  if (found === null) throw notFound({ group: '', resource: 'namespaces' }, namespace)
  return found.metadata.labels
}

/** The labels of the object, or those that it had: one of them is enough. */
export function matchesObject(
  selector: LabelSelector | null | undefined,
  { object, oldObject }: Pick<RuleSubject, 'object' | 'oldObject'>,
): boolean {
  if (isEmpty(selector)) return true
  const requirements = requirementsOf(selector) ?? []
  return [object, oldObject].some(one => one !== null && matchesLabels(requirements, one.metadata.labels))
}
