/** What an object counts for in a ResourceQuota, by the quota's names (`pods`, `requests.cpu`, …). Pure. */
import type { KubeObject } from './object.ts'
import { addQuantities, compareQuantities, parseQuantity, type Quantity } from './quantity.ts'
import type { Container, PersistentVolumeClaim, Pod, PodSpec, ResourceClaim, Service } from './types.ts'

export type Usage = ReadonlyMap<string, Quantity>

export interface CountedResource {
  readonly group: string
  readonly resource: string
}

/** Counted by their bare name too, and not by `count/…` alone. */
const NAMED = ['replicationcontrollers', 'resourcequotas', 'secrets', 'configmaps']
const STORAGE_MARK = '.storageclass.storage.k8s.io/'
const DEVICES_MARK = '.deviceclass.resource.k8s.io/devices'
/** What an allocation can hold, and so the most that a request for all devices can get. */
const DEVICES_MAX = 32
const STORAGE_CLASS_ANNOTATION = 'volume.beta.kubernetes.io/storage-class'

const whole = (count: number): Quantity => ({ nano: BigInt(count) * 1_000_000_000n, format: 'DecimalSI' })
const ONE = whole(1)

export function usageOf({ group, resource }: CountedResource, object: KubeObject): Usage {
  const usage = new Map<string, Quantity>([
    [`count/${group === '' ? resource : `${resource}.${group}`}`, ONE],
  ])
  if (group === 'resource.k8s.io' && resource === 'resourceclaims') {
    addAll(usage, devicesOf(object as unknown as ResourceClaim))
  }
  if (group !== '') return usage
  if (resource === 'pods') addPod(usage, object as unknown as Pod)
  else if (resource === 'services') addService(usage, object as unknown as Service)
  else if (resource === 'persistentvolumeclaims') addClaim(usage, object as unknown as PersistentVolumeClaim)
  else if (NAMED.includes(resource)) usage.set(resource, ONE)
  return usage
}

/** The resource whose objects a quota's name counts. */
export function resourceCountedBy(name: string): CountedResource {
  if (name.startsWith('count/')) {
    const [resource = '', ...group] = name.slice('count/'.length).split('.')
    return { group: group.join('.'), resource }
  }
  if (name.endsWith(DEVICES_MARK)) return { group: 'resource.k8s.io', resource: 'resourceclaims' }
  if (NAMED.includes(name)) return { group: '', resource: name }
  if (name === 'services' || name.startsWith('services.')) return { group: '', resource: 'services' }
  const isClaim =
    name === 'persistentvolumeclaims' || name === 'requests.storage' || name.includes(STORAGE_MARK)
  return { group: '', resource: isClaim ? 'persistentvolumeclaims' : 'pods' }
}

/** A pod that has ended holds its place among `count/pods` only. */
function addPod(usage: Map<string, Quantity>, pod: Pod): void {
  const phase = pod.status?.phase
  if (phase === 'Succeeded' || phase === 'Failed' || pod.spec === undefined) return
  usage.set('pods', ONE)
  for (const [name, quantity] of podTotal(pod.spec, 'requests')) {
    if (isBare(name)) usage.set(name, quantity)
    usage.set(`requests.${name}`, quantity)
  }
  for (const [name, quantity] of podTotal(pod.spec, 'limits')) usage.set(`limits.${name}`, quantity)
}

/** Requests that a quota may name without `requests.`. */
const isBare = (name: string): boolean =>
  ['cpu', 'memory', 'ephemeral-storage'].includes(name) || name.startsWith('hugepages-')

/** Containers and sidecars together, or an init container with the sidecars before it; and the overhead. */
export function podTotal(spec: PodSpec, field: 'requests' | 'limits'): Usage {
  const running = new Map<string, Quantity>()
  const starting = new Map<string, Quantity>()
  const sidecars = new Map<string, Quantity>()
  for (const container of spec.containers) addAll(running, amountsOf(container, field))
  for (const container of spec.initContainers ?? []) {
    const own = amountsOf(container, field)
    const together = new Map(sidecars)
    addAll(together, own)
    if (container.restartPolicy === 'Always') {
      addAll(running, own)
      addAll(sidecars, own)
    }
    raiseTo(starting, together)
  }
  raiseTo(running, starting)
  for (const [name, text] of Object.entries(spec.resources?.[field] ?? {})) {
    running.set(name, parseQuantity(text))
  }
  for (const [name, quantity] of parsed(spec.overhead)) {
    if (field === 'requests' || running.has(name)) addAll(running, [[name, quantity]])
  }
  return running
}

type Amounts = Iterable<readonly [string, Quantity]>

const amountsOf = (container: Container, field: 'requests' | 'limits'): Amounts =>
  parsed(container.resources?.[field])

const parsed = (amounts: Readonly<Record<string, string>> | undefined): [string, Quantity][] =>
  Object.entries(amounts ?? {}).map(([name, text]) => [name, parseQuantity(text)])

export function addAll(sum: Map<string, Quantity>, amounts: Amounts): void {
  for (const [name, amount] of amounts) {
    const before = sum.get(name)
    sum.set(name, before === undefined ? amount : addQuantities(before, amount))
  }
}

function raiseTo(target: Map<string, Quantity>, amounts: Amounts): void {
  for (const [name, amount] of amounts) {
    const before = target.get(name)
    if (before === undefined || compareQuantities(before, amount) < 0) target.set(name, amount)
  }
}

function addService(usage: Map<string, Quantity>, { spec }: Service): void {
  usage.set('services', ONE)
  const ports = spec?.ports ?? []
  if (spec?.type === 'NodePort') usage.set('services.nodeports', whole(ports.length))
  if (spec?.type !== 'LoadBalancer') return
  usage.set('services.loadbalancers', ONE)
  const isAllocated = spec.allocateLoadBalancerNodePorts !== false
  const held = isAllocated ? ports : ports.filter(({ nodePort }) => (nodePort ?? 0) !== 0)
  usage.set('services.nodeports', whole(held.length))
}

function addClaim(usage: Map<string, Quantity>, { metadata, spec }: PersistentVolumeClaim): void {
  const className = metadata.annotations?.[STORAGE_CLASS_ANNOTATION] ?? spec?.storageClassName ?? ''
  const names = (name: string) => (className === '' ? [name] : [name, `${className}${STORAGE_MARK}${name}`])
  for (const name of names('persistentvolumeclaims')) usage.set(name, ONE)
  const asked = spec?.resources?.requests?.['storage']
  if (asked === undefined) return
  for (const name of names('requests.storage')) usage.set(name, parseQuantity(asked))
}

interface Wanted {
  readonly deviceClassName?: string
  readonly allocationMode?: string
  readonly count?: number
}

/** The devices that a claim may get, by class; of alternatives the most for each class. */
function devicesOf({ spec }: ResourceClaim): Usage {
  const sum = new Map<string, Quantity>()
  for (const { exactly, firstAvailable = [] } of spec?.devices?.requests ?? []) {
    if (exactly !== undefined) addAll(sum, [wantedOf(exactly)])
    const most = new Map<string, Quantity>()
    for (const one of firstAvailable) raiseTo(most, [wantedOf(one)])
    addAll(sum, most)
  }
  return sum
}

const wantedOf = ({ deviceClassName, allocationMode = 'ExactCount', count = 1 }: Wanted) =>
  [`${deviceClassName}${DEVICES_MARK}`, whole(allocationMode === 'All' ? DEVICES_MAX : count)] as const
