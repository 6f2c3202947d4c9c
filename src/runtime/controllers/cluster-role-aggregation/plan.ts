/** The rules of a cluster role that is made of others. */

import { semanticEqual } from '../../../kube/equality.ts'
import { selects } from '../../../kube/labels.ts'
import type { ClusterRole, PolicyRule } from '../../../kube/types.ts'

/** The union of the matching roles' rules in the order of their names; null when nothing is to be done. */
export function planRules(role: ClusterRole, roles: readonly ClusterRole[]): PolicyRule[] | null {
  const selectors = role.aggregationRule?.clusterRoleSelectors ?? []
  if (role.aggregationRule === undefined) return null
  const rules: PolicyRule[] = []
  const seen = new Set<string>()
  const ordered = [...roles].sort((a, b) => ((a.metadata.name ?? '') < (b.metadata.name ?? '') ? -1 : 1))
  for (const selector of selectors) {
    for (const other of ordered) {
      if (other.metadata.name === role.metadata.name) continue
      if (!selects(selector, other.metadata.labels)) continue
      for (const rule of other.rules ?? []) {
        const text = JSON.stringify(rule)
        if (seen.has(text)) continue
        seen.add(text)
        rules.push(rule)
      }
    }
  }
  return semanticEqual(rules, role.rules) ? null : rules
}
