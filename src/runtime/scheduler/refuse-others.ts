/** Arguments of a plugin that there are none of. */
import type { JsonMap } from '../../kube/json-map.ts'

export function refuseOthers(
  args: JsonMap,
  known: readonly string[],
  path: string,
  problems: string[],
  isTyped = true,
): void {
  const typed = isTyped ? ['apiVersion', 'kind'] : []
  for (const key of Object.keys(args)) {
    if (![...known, ...typed].includes(key))
      problems.push(`${path}.${key}: Forbidden: it cannot be chosen here`)
  }
}
