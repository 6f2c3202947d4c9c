/** Extended resources that device classes stand for: what a pod asks for by them, as a claim of its own (pure). */
import { parseQuantity } from '../../../kube/quantity.ts'
import type { DeviceClass, Pod, ResourceClaim } from '../../../kube/types.ts'

/** What the API says of claims that were made like this. */
const ANNOTATION = 'resource.kubernetes.io/extended-resource-claim'
/** Every class stands for the resource of this name and its own. */
const IMPLICIT = 'deviceclass.resource.kubernetes.io/'
const NANO = 1_000_000_000n
const BASE_LENGTH_MAX = 40

export interface ExtendedClaim {
  readonly claim: ResourceClaim
  readonly mappings: { containerName: string; resourceName: string; requestName: string }[]
}

/** Of several classes the newest counts. */
export function classForResource(name: string, classes: readonly DeviceClass[]): string | undefined {
  if (name.startsWith(IMPLICIT)) {
    const wanted = name.slice(IMPLICIT.length)
    return classes.some(({ metadata }) => metadata.name === wanted) ? wanted : undefined
  }
  const standing = classes
    .filter(({ spec }) => spec?.extendedResourceName === name)
    .toSorted((a, b) => orderText(b).localeCompare(orderText(a)) || nameOf(a).localeCompare(nameOf(b)))
  return standing[0]?.metadata.name
}

const orderText = ({ metadata }: DeviceClass): string => metadata.creationTimestamp ?? ''
const nameOf = ({ metadata }: DeviceClass): string => metadata.name ?? ''

const containersOf = ({ spec }: Pod) => [...(spec?.initContainers ?? []), ...(spec?.containers ?? [])]

/** Names that could be extended resources. */
export const extendedNamesOf = (pod: Pod): string[] => [
  ...new Set(
    containersOf(pod)
      .flatMap(({ resources }) => Object.keys(resources?.requests ?? {}))
      .filter(name => name.startsWith(IMPLICIT) || (name.includes('/') && !name.includes('kubernetes.io/'))),
  ),
]

/** `classes` says what stands for which resource. Null: none of them is asked for. */
export function extendedClaimOf(pod: Pod, classes: ReadonlyMap<string, string>): ExtendedClaim | null {
  const mappings: ExtendedClaim['mappings'] = []
  const requests: object[] = []
  for (const [at, { name: containerName, resources }] of containersOf(pod).entries()) {
    const asked = Object.entries(resources?.requests ?? {}).filter(([name]) => classes.has(name))
    for (const [index, [resourceName, amount]] of asked.toSorted(([a], [b]) => (a < b ? -1 : 1)).entries()) {
      const count = Number(parseQuantity(amount).nano / NANO)
      if (count === 0) continue
      const requestName = `container-${at}-request-${index}`
      const deviceClassName = classes.get(resourceName)
      requests.push({ name: requestName, exactly: { deviceClassName, allocationMode: 'ExactCount', count } })
      mappings.push({ containerName, resourceName, requestName })
    }
  }
  return requests.length === 0 ? null : { claim: renderClaim(pod, requests), mappings }
}

function renderClaim({ apiVersion, kind, metadata }: Pod, requests: readonly object[]): ResourceClaim {
  const { name = '', namespace = '', uid = '' } = metadata
  return {
    apiVersion: 'resource.k8s.io/v1',
    kind: 'ResourceClaim',
    metadata: {
      generateName: `${name.slice(0, BASE_LENGTH_MAX)}-extended-resources-`,
      namespace,
      annotations: { [ANNOTATION]: 'true' },
      ownerReferences: [{ apiVersion, kind, name, uid, controller: true, blockOwnerDeletion: true }],
    },
    spec: { devices: { requests } } as NonNullable<ResourceClaim['spec']>,
  }
}
