/** What a quota's status should say of the objects of its namespace. Pure. */
import type { KubeObject } from '../../../kube/object.ts'
import { formatQuantity, parseQuantity, type Quantity } from '../../../kube/quantity.ts'
import { usageIn } from '../../../kube/quota-scopes.ts'
import { addAll, type CountedResource, resourceCountedBy } from '../../../kube/quota-usage.ts'
import type { ResourceQuota } from '../../../kube/types.ts'

export interface QuotaStatus {
  readonly hard: Readonly<Record<string, string>>
  readonly used: Readonly<Record<string, string>>
}

/** The resources that the quota's names count, each once. */
export function countedResources(quota: ResourceQuota): readonly CountedResource[] {
  const all = Object.keys(quota.spec?.hard ?? {}).map(resourceCountedBy)
  return [...new Map(all.map(one => [`${one.group}/${one.resource}`, one])).values()]
}

/** `objects` holds those of every counted resource that this server has; others stay unknown. */
export function quotaStatus(
  quota: ResourceQuota,
  objects: readonly { readonly resource: CountedResource; readonly items: readonly KubeObject[] }[],
): QuotaStatus {
  const hard = quota.spec?.hard ?? {}
  const sum = new Map<string, Quantity>()
  for (const { resource, items } of objects) {
    for (const item of items) addAll(sum, usageIn(quota, resource, item))
  }
  const isKnown = (name: string) => {
    const { group, resource } = resourceCountedBy(name)
    return objects.some(one => one.resource.group === group && one.resource.resource === resource)
  }
  const names = Object.keys(hard).filter(isKnown)
  const used = names.map(name => [name, formatQuantity(sum.get(name) ?? parseQuantity('0'))])
  return { hard: { ...hard }, used: Object.fromEntries(used) }
}
