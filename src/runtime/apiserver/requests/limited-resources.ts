/** What the admission configuration lets be had only where a quota of the namespace says how much of it. */

import type { KubeObject } from '../../../kube/object.ts'
import { isInScope, requirementsOf, type ScopeRequirement, usageIn } from '../../../kube/quota-scopes.ts'
import { type CountedResource, usageOf } from '../../../kube/quota-usage.ts'
import type { ResourceQuota } from '../../../kube/types.ts'
import type { LimitedResource } from '../admission/admission-configuration.ts'

/** Why the new object is not let in; null when it is. */
export function limitProblem(
  all: readonly LimitedResource[],
  quotas: readonly ResourceQuota[],
  resource: CountedResource,
  object: KubeObject,
): string | null {
  const limited = all.filter(one => one.group === resource.group && one.resource === resource.resource)
  if (limited.length === 0) return null
  const texts = limited.flatMap(one => one.matchContains)
  const names = [...usageOf(resource, object).keys()].filter(name => texts.some(text => name.includes(text)))
  const bounded = new Set(
    quotas.flatMap(quota => {
      const counted = usageIn(quota, resource, object)
      return Object.keys(quota.status?.hard ?? {}).filter(name => counted.has(name))
    }),
  )
  const lacking = names.filter(name => !bounded.has(name)).sort()
  if (lacking.length > 0) return `insufficient quota to consume: ${lacking.join(',')}`
  const matches = (scope: ScopeRequirement) => isInScope(scope, resource, object)
  const covered = new Set(
    quotas
      .flatMap(requirementsOf)
      .filter(matches)
      .map(one => one.scopeName),
  )
  const open = limited
    .flatMap(one => one.matchScopes)
    .filter(scope => matches(scope) && !covered.has(scope.scopeName))
  return open.length === 0 ? null : `insufficient quota to match these scopes: [${open.map(shown).join(' ')}]`
}

const shown = ({ scopeName, operator, values = [] }: ScopeRequirement): string =>
  `{${scopeName} ${operator} [${values.join(' ')}]}`
