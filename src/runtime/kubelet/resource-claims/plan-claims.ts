/** What the kubelet remembers of claims, and which devices of them a container gets (pure). */
import { claimReferencesOf } from '../../../kube/devices/pod-claims.ts'
import type { Container, ContainerStatus, Pod, ResourceClaim } from '../../../kube/types.ts'
import type { Health } from './device-health.ts'
import type { PreparedDevice } from './dra-plugins.ts'

type ResourceStatus = NonNullable<ContainerStatus['allocatedResourcesStatus']>[number]

export interface ClaimRecord {
  readonly namespace: string
  readonly name: string
  readonly uid: string
  /** Uids of pods that use it here. */
  readonly pods: readonly string[]
  /** All of its drivers have said so. */
  readonly isPrepared: boolean
  /** By driver. */
  readonly devices: Readonly<Record<string, readonly PreparedDevice[]>>
}

/** As it is before any driver was asked; drivers come from what was allocated. */
export function newRecord(claim: ResourceClaim): ClaimRecord {
  const { namespace = '', name = '', uid = '' } = claim.metadata
  const drivers = (claim.status?.allocation?.devices?.results ?? []).map(({ driver }) => driver)
  const devices = Object.fromEntries(drivers.map(driver => [driver, []]))
  return { namespace, name, uid, pods: [], isPrepared: false, devices }
}

export const isOf = (record: ClaimRecord, { metadata }: Pod, name: string): boolean =>
  record.namespace === metadata.namespace && record.name === name

interface Wanted {
  readonly claim: string
  /** Of the claim; empty: all of them. */
  readonly request: string
}

/** What a container asks for by the names of its pod's claims, and by extended resources that devices stand for. */
function wantedBy(pod: Pod, container: Container): readonly Wanted[] {
  const references = claimReferencesOf(pod)
  const named = (container.resources?.claims ?? []).flatMap(({ name, request = '' }) => {
    const claim = references.find(({ podClaim }) => podClaim === name)?.name
    return typeof claim === 'string' ? [{ claim, request }] : []
  })
  const { resourceClaimName: claim = '', requestMappings = [] } =
    pod.status?.extendedResourceClaimStatus ?? {}
  const extended = requestMappings
    .filter(({ containerName }) => containerName === container.name)
    .map(({ requestName: request }) => ({ claim, request }))
  return [...named, ...extended]
}

export interface GivenDevice {
  readonly record: ClaimRecord
  readonly driver: string
  readonly device: PreparedDevice
}

/** Null when one of its claims was never prepared here. */
export function devicesFor(
  pod: Pod,
  container: Container,
  records: readonly ClaimRecord[],
): readonly GivenDevice[] | null {
  const found: GivenDevice[] = []
  for (const { claim, request } of wantedBy(pod, container)) {
    const record = records.find(each => isOf(each, pod, claim))
    if (record === undefined) return null
    for (const [driver, devices] of Object.entries(record.devices)) {
      const mine = devices.filter(({ requestNames }) => isAskedFor(requestNames, request))
      found.push(...mine.map(device => ({ record, driver, device })))
    }
  }
  return found
}

/** A request stands for its alternatives. */
const isAskedFor = (requestNames: readonly string[], request: string): boolean =>
  request === '' ||
  requestNames.length === 0 ||
  requestNames.some(name => name === request || name.split('/')[0] === request)

/** What is known of the devices of each claim that a container names, as its status has it. */
export function healthStatuses(
  pod: Pod,
  container: Container,
  records: readonly ClaimRecord[],
  healthOf: (driver: string, pool: string, device: string) => Health,
): ResourceStatus[] {
  const references = claimReferencesOf(pod)
  const statuses = (container.resources?.claims ?? []).map(({ name, request = '' }) => {
    const claim = references.find(({ podClaim }) => podClaim === name)?.name
    const record = records.find(each => typeof claim === 'string' && isOf(each, pod, claim))
    const resources = Object.entries(record?.devices ?? {}).flatMap(([driver, devices]) =>
      devices
        .filter(({ requestNames }) => isAskedFor(requestNames, request))
        .map(({ poolName, deviceName, cdiDeviceIds: [id = `${driver}/${poolName}/${deviceName}`] }) => ({
          resourceID: id,
          ...healthOf(driver, poolName, deviceName),
        })),
    )
    return { name: request === '' ? `claim:${name}` : `claim:${name}/${request}`, resources }
  })
  return statuses.filter(({ resources }) => resources.length > 0)
}
