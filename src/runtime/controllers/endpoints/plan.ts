/** The Endpoints object of a service, from its pods: addresses packed by the ports that they share. Pure. */
import { compareTexts } from '../../../base/compare-texts.ts'
import { semanticEqual } from '../../../kube/equality.ts'
import type { Endpoints, Pod, Service } from '../../../kube/types.ts'
import { isFinished, isReady } from '../shared/pods.ts'
import { resolvePorts } from '../shared/service-ports.ts'

export const MANAGED_BY_LABEL = 'endpoints.kubernetes.io/managed-by'
const MANAGED_BY = 'endpoint-controller'
const HEADLESS_LABEL = 'service.kubernetes.io/headless'
const OVER_CAPACITY = 'endpoints.kubernetes.io/over-capacity'
/** Old clients never see more; endpoint slices have them all. */
const ADDRESSES_MAX = 1_000

type Subset = NonNullable<Endpoints['subsets']>[number]
type Address = NonNullable<Subset['addresses']>[number]

export type EndpointsPlan =
  | { readonly kind: 'nothing' }
  | { readonly kind: 'create' | 'update'; readonly endpoints: Endpoints }

export function planEndpoints(
  service: Service,
  parts: { readonly pods: readonly Pod[]; readonly existing: Endpoints | undefined },
): EndpointsPlan {
  const { existing } = parts
  const all = pack(service, parts.pods)
  const isOver = countOf(all) > ADDRESSES_MAX
  const subsets = isOver ? truncate(all) : all
  const next: Endpoints = {
    apiVersion: 'v1',
    kind: 'Endpoints',
    metadata: {
      ...(existing?.metadata ?? {
        name: service.metadata.name ?? '',
        namespace: service.metadata.namespace ?? '',
      }),
      labels: labelsOf(service),
      annotations: annotationsOf(existing, isOver),
    },
    ...(subsets.length > 0 ? { subsets } : {}),
  }
  if (existing === undefined) return { kind: 'create', endpoints: next }
  return isSame(existing, next) ? { kind: 'nothing' } : { kind: 'update', endpoints: next }
}

function isSame(a: Endpoints, b: Endpoints): boolean {
  return (
    semanticEqual(a.subsets ?? [], b.subsets ?? []) &&
    semanticEqual(a.metadata.labels ?? {}, b.metadata.labels ?? {}) &&
    semanticEqual(a.metadata.annotations ?? {}, b.metadata.annotations ?? {})
  )
}

function labelsOf(service: Service): Record<string, string> {
  const labels = { ...service.metadata.labels, [MANAGED_BY_LABEL]: MANAGED_BY }
  delete (labels as Record<string, string>)[HEADLESS_LABEL]
  return service.spec?.clusterIP === 'None' ? { ...labels, [HEADLESS_LABEL]: '' } : labels
}

function annotationsOf(existing: Endpoints | undefined, isOver: boolean): Record<string, string> {
  const { [OVER_CAPACITY]: _over, ...annotations } = existing?.metadata.annotations ?? {}
  return isOver ? { ...annotations, [OVER_CAPACITY]: 'truncated' } : annotations
}

interface Entry {
  readonly address: Address
  readonly isReady: boolean
}

/** One subset for each list of ports; pods may resolve a named port differently. */
function pack(service: Service, pods: readonly Pod[]): Subset[] {
  const groups = new Map<string, { ports: Subset['ports']; entries: Entry[] }>()
  for (const pod of pods) {
    const entry = entryOf(service, pod)
    if (entry === undefined) continue
    const ports = resolvePorts(service, pod)
      .map(({ name, port, protocol, appProtocol }) => ({
        ...(name ? { name } : {}),
        port,
        protocol,
        ...(appProtocol === undefined ? {} : { appProtocol }),
      }))
      .sort((a, b) => compareTexts(JSON.stringify(a), JSON.stringify(b)))
    // A service with ports none of which this pod has says nothing of the pod.
    if (ports.length === 0 && (service.spec?.ports ?? []).length > 0) continue
    const key = JSON.stringify(ports)
    const group = groups.get(key) ?? { ports, entries: [] }
    group.entries.push(entry)
    groups.set(key, group)
  }
  return [...groups].sort(([a], [b]) => compareTexts(a, b)).map(([, group]) => renderSubset(group))
}

/** Pods that are being deleted are left out unless the service wants unready ones too. */
function entryOf(service: Service, pod: Pod): Entry | undefined {
  const ip = addressOf(service, pod)
  const publishesAll = service.spec?.publishNotReadyAddresses === true
  if (ip === undefined || isFinished(pod)) return undefined
  if (pod.metadata.deletionTimestamp !== undefined && !publishesAll) return undefined
  const { namespace = '', name = '', uid = '' } = pod.metadata
  const hostname = pod.spec?.hostname
  const isNamed = hostname && pod.spec?.subdomain === service.metadata.name
  const address = {
    ip,
    ...(isNamed ? { hostname } : {}),
    ...(pod.spec?.nodeName ? { nodeName: pod.spec.nodeName } : {}),
    targetRef: { kind: 'Pod', namespace, name, uid },
  }
  return { address, isReady: publishesAll || isReady(pod) }
}

/** Endpoints have one address family: the service's first. */
function addressOf(service: Service, pod: Pod): string | undefined {
  const wantsIPv6 =
    service.spec?.ipFamilies?.[0] === 'IPv6' || service.spec?.clusterIP?.includes(':') === true
  const ips = pod.status?.podIPs?.map(({ ip }) => ip) ?? [pod.status?.podIP]
  return ips.find(ip => ip !== undefined && ip !== '' && ip.includes(':') === wantsIPv6)
}

function renderSubset({ ports, entries }: { ports: Subset['ports']; entries: readonly Entry[] }): Subset {
  const of = (ready: boolean) =>
    entries
      .filter(entry => entry.isReady === ready)
      .map(({ address }) => address)
      .sort((a, b) => compareTexts(`${a.ip}|${a.targetRef?.uid}`, `${b.ip}|${b.targetRef?.uid}`))
  const [addresses, notReadyAddresses] = [of(true), of(false)]
  return {
    ...(addresses.length > 0 ? { addresses } : {}),
    ...(notReadyAddresses.length > 0 ? { notReadyAddresses } : {}),
    ...(ports && ports.length > 0 ? { ports } : {}),
  }
}

const countOf = (subsets: readonly Subset[]): number =>
  subsets.reduce(
    (sum, each) => sum + (each.addresses?.length ?? 0) + (each.notReadyAddresses?.length ?? 0),
    0,
  )

/** Ready addresses before those that are not, in the order of the subsets. */
function truncate(subsets: readonly Subset[]): Subset[] {
  let room = ADDRESSES_MAX
  const take = (list: readonly Address[] | undefined): Address[] => {
    const taken = (list ?? []).slice(0, room)
    room -= taken.length
    return taken
  }
  const ready = subsets.map(subset => take(subset.addresses))
  const unready = subsets.map(subset => take(subset.notReadyAddresses))
  return subsets.flatMap((subset, at) => {
    const [addresses = [], notReadyAddresses = []] = [ready[at], unready[at]]
    if (addresses.length + notReadyAddresses.length === 0) return []
    const { ports } = subset
    return [
      {
        ...(addresses.length > 0 ? { addresses } : {}),
        ...(notReadyAddresses.length > 0 ? { notReadyAddresses } : {}),
        ...(ports ? { ports } : {}),
      },
    ]
  })
}
