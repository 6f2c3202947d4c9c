/** The pools of devices that drivers tell of in slices, and what of them a node can reach (pure). */
import { matchesTerm } from '../../../client/node-affinity.ts'
import type { SliceDevice } from '../../../kube/devices/device-expressions.ts'
import { parseQuantity } from '../../../kube/quantity.ts'
import type { Node, NodeSelector, ResourceSlice } from '../../../kube/types.ts'

type SliceSpec = NonNullable<ResourceSlice['spec']>

export interface PoolDevice {
  /** `driver/pool/device`. */
  readonly id: string
  readonly driver: string
  readonly pool: string
  readonly device: SliceDevice
  readonly place: Place
  /** What it takes of `set/counter` of its pool while it is allocated, in billionths. */
  readonly consumes: readonly (readonly [string, bigint])[]
}

/** Where a device can be reached: on one node, on those selected, or everywhere. */
export interface Place {
  readonly nodeName?: string | undefined
  readonly nodeSelector?: NodeSelector | undefined
}

export interface Pool {
  readonly driver: string
  readonly name: string
  /** Not all slices of its newest generation are there. */
  readonly isIncomplete: boolean
  readonly isInvalid: boolean
  /** All of them, wherever they are. */
  readonly devices: readonly PoolDevice[]
  /** What there is of `set/counter`, in billionths. */
  readonly counters: ReadonlyMap<string, bigint>
}

export const deviceId = (of: { driver: string; pool: string; device: string }): string =>
  `${of.driver}/${of.pool}/${of.device}`

export interface Pools {
  /** Pools whose devices are all on one node, by node. */
  readonly local: ReadonlyMap<string, readonly Pool[]>
  readonly shared: readonly Pool[]
}

export const NO_POOLS: Pools = { local: new Map(), shared: [] }

/** Older generations of a pool count for nothing. */
export function gatherPools(slices: readonly ResourceSlice[]): Pools {
  const byPool = Map.groupBy(slices, ({ spec }) => `${spec?.driver}/${spec?.pool?.name}`)
  const local = new Map<string, Pool[]>()
  const shared: Pool[] = []
  for (const key of [...byPool.keys()].sort()) {
    const specs = newest(byPool.get(key) ?? [])
    const pool = poolOf(specs)
    const [node] = specs.map(({ nodeName }) => nodeName)
    if (node !== undefined && specs.every(({ nodeName }) => nodeName === node))
      local.set(node, [...(local.get(node) ?? []), pool])
    else shared.push(pool)
  }
  return { local, shared }
}

function newest(slices: readonly ResourceSlice[]): SliceSpec[] {
  const specs = slices
    .toSorted((a, b) => ((a.metadata.name ?? '') < (b.metadata.name ?? '') ? -1 : 1))
    .map(({ spec }) => spec)
    .filter(spec => spec !== undefined)
  const generation = Math.max(...specs.map(({ pool }) => pool.generation))
  return specs.filter(({ pool }) => pool.generation === generation)
}

function poolOf(specs: readonly SliceSpec[]): Pool {
  const [first] = specs
  const devices = specs.flatMap(devicesOf)
  const counters = new Map<string, bigint>()
  for (const { sharedCounters = [] } of specs) {
    for (const { name, counters: inside } of sharedCounters) {
      for (const [counter, { value }] of Object.entries(inside))
        counters.set(`${name}/${counter}`, parseQuantity(value).nano)
    }
  }
  const isTwice = new Set(devices.map(({ id }) => id)).size < devices.length
  const isUncounted = devices.some(({ consumes }) => consumes.some(([key]) => !counters.has(key)))
  return {
    driver: first?.driver ?? '',
    name: first?.pool.name ?? '',
    isIncomplete: specs.length !== first?.pool.resourceSliceCount,
    isInvalid: isTwice || isUncounted,
    devices,
    counters,
  }
}

function devicesOf(spec: SliceSpec): PoolDevice[] {
  const { driver } = spec
  const pool = spec.pool.name
  return ((spec.devices ?? []) as readonly SliceDevice[]).map(device => ({
    ...{ id: deviceId({ driver, pool, device: device.name }), driver, pool, device },
    place: spec.perDeviceNodeSelection === true ? device : spec,
    consumes: consumptionOf(device),
  }))
}

const consumptionOf = ({ consumesCounters = [] }: SliceDevice): readonly (readonly [string, bigint])[] =>
  consumesCounters.flatMap(({ counterSet, counters }) =>
    Object.entries(counters).map(
      ([counter, { value }]) => [`${counterSet}/${counter}`, parseQuantity(value).nano] as const,
    ),
  )

export const canReach = ({ nodeName, nodeSelector }: Place, node: Node): boolean => {
  if (nodeName !== undefined) return nodeName === node.metadata.name
  if (nodeSelector === undefined) return true
  return nodeSelector.nodeSelectorTerms.some(term => matchesTerm(term, node))
}

/** Pools with devices that the node can reach, and those devices; the ones that can be bound at once come first. */
export function poolsAt(
  pools: Pools,
  node: Node,
): readonly { readonly pool: Pool; readonly devices: readonly PoolDevice[] }[] {
  const here = pools.local.get(node.metadata.name ?? '') ?? []
  return [...here, ...pools.shared]
    .map(pool => ({ pool, devices: pool.devices.filter(({ place }) => canReach(place, node)) }))
    .filter(({ devices }) => devices.length > 0)
}
