/** Which objects a ResourceQuota is about, and what it asks of their specs. Pure. */
import type { KubeObject } from './object.ts'
import { type CountedResource, type Usage, usageOf } from './quota-usage.ts'
import type { Container, PersistentVolumeClaim, Pod, ResourceQuota } from './types.ts'

export interface ScopeRequirement {
  readonly scopeName: string
  readonly operator: string
  readonly values?: readonly string[] | undefined
}

/** What the object counts for in this quota: nothing when its scopes leave the object out. */
export function usageIn(quota: ResourceQuota, resource: CountedResource, object: KubeObject | null): Usage {
  if (object === null) return new Map()
  const requirements = requirementsOf(quota)
  // Only pods and claims have scopes; a quota with scopes counts nothing else.
  return requirements.every(requirement => isInScope(requirement, resource, object))
    ? usageOf(resource, object)
    : new Map()
}

export function requirementsOf({ spec }: ResourceQuota): ScopeRequirement[] {
  const scopes = (spec?.scopes ?? []).map(scopeName => ({ scopeName, operator: 'Exists' }))
  return [...scopes, ...(spec?.scopeSelector?.matchExpressions ?? [])]
}

export function isInScope(
  requirement: ScopeRequirement,
  resource: CountedResource,
  object: KubeObject,
): boolean {
  if (resource.group !== '') return false
  if (resource.resource === 'pods') return matches(requirement, object as unknown as Pod)
  if (resource.resource !== 'persistentvolumeclaims') return false
  return matchesAttributesClass(requirement, object as unknown as PersistentVolumeClaim)
}

/** A claim has the class that it wants, the one that it has, and the one that it is on its way to. */
function matchesAttributesClass(
  { scopeName, operator, values = [] }: ScopeRequirement,
  { spec, status }: PersistentVolumeClaim,
): boolean {
  if (scopeName !== 'VolumeAttributesClass') return false
  const names = [
    spec?.volumeAttributesClassName,
    status?.currentVolumeAttributesClassName,
    status?.modifyVolumeStatus?.targetVolumeAttributesClassName,
  ].filter(name => name !== undefined && name !== '')
  if (operator === 'In') return names.some(name => values.includes(name ?? ''))
  if (operator === 'NotIn') return names.length === 0 || names.some(name => !values.includes(name ?? ''))
  return operator === 'Exists' ? names.length > 0 : operator === 'DoesNotExist' && names.length === 0
}

function matches({ scopeName, operator, values = [] }: ScopeRequirement, pod: Pod): boolean {
  switch (scopeName) {
    case 'Terminating':
      return hasDeadline(pod)
    case 'NotTerminating':
      return !hasDeadline(pod)
    case 'BestEffort':
      return isBestEffort(pod)
    case 'NotBestEffort':
      return !isBestEffort(pod)
    case 'PriorityClass':
      return matchesPriority(operator, values, pod.spec?.priorityClassName ?? '')
    case 'CrossNamespacePodAffinity':
      return looksAcrossNamespaces(pod)
    default:
      return false
  }
}

const hasDeadline = (pod: Pod): boolean => (pod.spec?.activeDeadlineSeconds ?? -1) >= 0

function matchesPriority(operator: string, values: readonly string[], name: string): boolean {
  if (operator === 'In') return values.includes(name)
  if (operator === 'NotIn') return !values.includes(name)
  return operator === 'Exists' ? name !== '' : operator === 'DoesNotExist' && name === ''
}

function isBestEffort({ spec }: Pod): boolean {
  const asks = (resources: Container['resources'] | undefined) =>
    [resources?.requests, resources?.limits].some(
      amounts => amounts?.['cpu'] !== undefined || amounts?.['memory'] !== undefined,
    )
  const parts = [...(spec?.containers ?? []), ...(spec?.initContainers ?? [])]
  return !parts.some(part => asks(part.resources)) && !asks(spec?.resources)
}

function looksAcrossNamespaces({ spec }: Pod): boolean {
  const terms = [spec?.affinity?.podAffinity, spec?.affinity?.podAntiAffinity].flatMap(affinity => [
    ...(affinity?.requiredDuringSchedulingIgnoredDuringExecution ?? []),
    ...(affinity?.preferredDuringSchedulingIgnoredDuringExecution ?? []).map(one => one.podAffinityTerm),
  ])
  return terms.some(term => term.namespaceSelector !== undefined || (term.namespaces ?? []).length > 0)
}

/** Where one of these is bounded, every container has to say how much it wants. */
const SPOKEN = ['cpu', 'memory', 'requests.cpu', 'requests.memory', 'limits.cpu', 'limits.memory']

/** `must specify limits.cpu for: a,b; requests.memory for: a`; null when nothing lacks. */
export function missingAmounts(names: readonly string[], pod: Pod): string | null {
  const parts = [...(pod.spec?.containers ?? []), ...(pod.spec?.initContainers ?? [])]
  const lacks = names
    .filter(name => SPOKEN.includes(name) && !says(name, pod.spec?.resources))
    .sort()
    .map(name => ({ name, who: parts.filter(part => !says(name, part.resources)).map(part => part.name) }))
    .filter(({ who }) => who.length > 0)
  if (lacks.length === 0) return null
  return `must specify ${lacks.map(({ name, who }) => `${name} for: ${who.sort().join(',')}`).join('; ')}`
}

function says(name: string, resources: Container['resources'] | undefined): boolean {
  const [field, amount = field] = name.split('.')
  const amounts = field === 'limits' ? resources?.limits : resources?.requests
  return amounts?.[amount ?? ''] !== undefined
}
