/** What pods need that not every node of a cluster can do, in upstream's names (pure). */
import { semanticEqual } from './equality.ts'
import { parseAmounts } from './pod-requests.ts'
import type { Node, Pod } from './types.ts'

export const RESTART_ALL = 'RestartAllContainersOnContainerExits'
export const POD_LEVEL_RESIZE = 'InPlacePodLevelResourcesVerticalScaling'
export const STREAM_WEBSOCKETS = 'ExtendWebSocketsToKubelet'

/** What a pod needs of the node that is to run it. */
export function featuresFor({ spec }: Pod): readonly string[] {
  const containers = [...(spec?.initContainers ?? []), ...(spec?.containers ?? [])]
  const restartsAll = containers.some(({ restartPolicyRules }) =>
    restartPolicyRules?.some(({ action }) => action === 'RestartAllContainers'),
  )
  return restartsAll ? [RESTART_ALL] : []
}

/** What a change of a pod needs of the node that runs it. */
export const featuresForUpdate = (next: Pod, previous: Pod): readonly string[] =>
  semanticEqual(amountsOf(next), amountsOf(previous)) ? [] : [POD_LEVEL_RESIZE]

const amountsOf = ({ spec }: Pod): object => ({
  requests: Object.fromEntries(parseAmounts(spec?.resources?.requests)),
  limits: Object.fromEntries(parseAmounts(spec?.resources?.limits)),
})

export function missingFeatures(
  needed: readonly string[],
  { status }: Pick<Node, 'status'>,
): readonly string[] {
  return needed.filter(name => !(status?.declaredFeatures ?? []).includes(name))
}
