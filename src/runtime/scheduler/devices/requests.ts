/** What a claim asks for, in one form: each request with its alternatives, the best first (pure). */
import type { DeviceClass, ResourceClaim } from '../../../kube/types.ts'

type DeviceClaim = NonNullable<NonNullable<ResourceClaim['spec']>['devices']>
type DeviceRequest = NonNullable<DeviceClaim['requests']>[number]
export type Constraint = NonNullable<DeviceClaim['constraints']>[number]
type Exact = NonNullable<DeviceRequest['exactly']>

export interface Alternative {
  /** `request`, or `request/alternative`. */
  readonly name: string
  readonly request: string
  readonly deviceClass: DeviceClass
  readonly isAll: boolean
  readonly count: number
  readonly expressions: readonly string[]
  readonly tolerations: NonNullable<Exact['tolerations']>
  readonly capacity: Readonly<Record<string, string>>
  readonly adminAccess: boolean | undefined
}

export interface ClaimRequests {
  readonly claim: ResourceClaim
  readonly requests: readonly (readonly Alternative[])[]
  readonly constraints: readonly Constraint[]
}

/** Upstream's words when a class is not there. */
export const missingClass = (request: string, name: string): string =>
  `request ${request}: device class ${name} does not exist`

/** The first request whose class is not there, in upstream's words; null when there are all. */
export function findMissingClass(
  claim: ResourceClaim,
  classOf: (name: string) => DeviceClass | undefined,
): string | null {
  for (const { name, exactly, firstAvailable = [] } of claim.spec?.devices?.requests ?? []) {
    if (exactly !== undefined && classOf(exactly.deviceClassName) === undefined)
      return missingClass(name, exactly.deviceClassName)
    for (const each of firstAvailable) {
      if (classOf(each.deviceClassName) === undefined)
        return missingClass(`${name}/${each.name}`, each.deviceClassName)
    }
  }
  return null
}

export function readRequests(
  claim: ResourceClaim,
  classOf: (name: string) => DeviceClass | undefined,
): ClaimRequests {
  const { requests = [], constraints = [] } = claim.spec?.devices ?? {}
  return {
    claim,
    constraints,
    requests: requests.map(({ name, exactly, firstAvailable = [] }) =>
      exactly === undefined
        ? firstAvailable.flatMap(each => read(`${name}/${each.name}`, name, each, classOf))
        : read(name, name, exactly, classOf),
    ),
  }
}

function read(
  name: string,
  request: string,
  asked: Omit<Exact, 'adminAccess'> & Pick<Exact, 'adminAccess'>,
  classOf: (name: string) => DeviceClass | undefined,
): Alternative[] {
  const deviceClass = classOf(asked.deviceClassName)
  if (deviceClass === undefined) return []
  const selectors = [...(deviceClass.spec?.selectors ?? []), ...(asked.selectors ?? [])]
  return [
    {
      ...{ name, request, deviceClass },
      isAll: asked.allocationMode === 'All',
      count: asked.count ?? 1,
      expressions: selectors.map(({ cel }) => cel?.expression ?? 'false'),
      tolerations: asked.tolerations ?? [],
      capacity: asked.capacity?.requests ?? {},
      adminAccess: asked.adminAccess,
    },
  ]
}

/** An empty list means all requests; a request stands for its alternatives. */
export const concerns = (names: readonly string[] | undefined, { name, request }: Alternative): boolean =>
  names === undefined || names.length === 0 || names.includes(request) || names.includes(name)
