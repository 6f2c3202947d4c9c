/** What a claim's status says of the devices that were found for it (pure). */
import type { DeviceClass, NodeSelector, ResourceClaim } from '../../../kube/types.ts'
import type { Chosen } from './allocate.ts'
import type { Allocation, AllocationResult } from './allocated.ts'
import { formatConsumption } from './capacity.ts'

type Configuration = NonNullable<NonNullable<Allocation['devices']>['config']>[number]
type Requirement = NonNullable<NodeSelector['nodeSelectorTerms'][number]['matchExpressions']>[number]

const LOCAL_NAME = 'metadata.name'

/** `shareId` makes names for parts of shared devices. `node` is where the claim is to be used first. */
export function renderAllocation(
  claim: ResourceClaim,
  chosen: readonly Chosen[],
  { node, shareId }: { readonly node: string; readonly shareId: () => string },
): Allocation {
  const results = chosen.map(each => renderResult(each, shareId))
  const config = [...fromClasses(chosen), ...fromClaim(claim, chosen)]
  const nodeSelector = selectorOf(chosen, node)
  return {
    devices: { results, ...(config.length === 0 ? {} : { config }) },
    ...(nodeSelector === null ? {} : { nodeSelector }),
  }
}

function renderResult({ alternative, device, consumed }: Chosen, shareId: () => string): AllocationResult {
  const { bindingConditions, bindingFailureConditions } = device.device
  const { tolerations, adminAccess } = alternative
  return {
    ...{ request: alternative.name, driver: device.driver, pool: device.pool, device: device.device.name },
    ...(adminAccess === undefined ? {} : { adminAccess }),
    ...(tolerations.length === 0 ? {} : { tolerations }),
    ...(bindingConditions?.length ? { bindingConditions } : {}),
    ...(bindingFailureConditions?.length ? { bindingFailureConditions } : {}),
    ...(consumed === null
      ? {}
      : { shareID: shareId(), consumedCapacity: formatConsumption(device.device, consumed) }),
  }
}

/** A class says it once, for all requests that took it. */
function fromClasses(chosen: readonly Chosen[]): Configuration[] {
  const requests = new Map<DeviceClass, Set<string>>()
  for (const { alternative } of chosen) {
    const known = requests.get(alternative.deviceClass) ?? new Set()
    requests.set(alternative.deviceClass, known.add(alternative.name))
  }
  return [...requests].flatMap(([{ spec }, names]) =>
    (spec?.config ?? []).map(each => ({ ...each, source: 'FromClass', requests: [...names] })),
  )
}

/** What the claim says of alternatives that were not taken is left out. */
function fromClaim({ spec }: ResourceClaim, chosen: readonly Chosen[]): Configuration[] {
  const names = new Set(chosen.flatMap(({ alternative }) => [alternative.request, alternative.name]))
  return (spec?.devices?.config ?? [])
    .filter(({ requests = [] }) => requests.length === 0 || requests.some(each => names.has(each)))
    .map(each => ({ ...each, source: 'FromClaim' }))
}

/** Where all of the devices can be reached; null: everywhere. */
function selectorOf(chosen: readonly Chosen[], node: string): NodeSelector | null {
  const onNode = (name: string): NodeSelector => ({
    nodeSelectorTerms: [{ matchFields: [{ key: LOCAL_NAME, operator: 'In', values: [name] }] }],
  })
  const matchFields: Requirement[] = []
  const matchExpressions: Requirement[] = []
  for (const { device } of chosen) {
    if (device.place.nodeName !== undefined) return onNode(device.place.nodeName)
    if (device.device.bindsToNode === true) return onNode(node)
    const [term] = device.place.nodeSelector?.nodeSelectorTerms ?? []
    addNew(matchFields, term?.matchFields)
    addNew(matchExpressions, term?.matchExpressions)
  }
  if (matchFields.length === 0 && matchExpressions.length === 0) return null
  const term = {
    ...(matchFields.length === 0 ? {} : { matchFields }),
    ...(matchExpressions.length === 0 ? {} : { matchExpressions }),
  }
  return { nodeSelectorTerms: [term] }
}

function addNew(known: Requirement[], more: readonly Requirement[] | undefined): void {
  for (const each of more ?? []) {
    const text = JSON.stringify(each)
    if (!known.some(one => JSON.stringify(one) === text)) known.push(each)
  }
}
