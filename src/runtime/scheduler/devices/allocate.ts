/**
 * Finds devices for claims on one node: the first combination, in order of requests and devices, that all requests,
 * constraints, counters and capacities allow (pure).
 */
import {
  attributeOf,
  type DeviceAttribute,
  DeviceExpressionError,
} from '../../../kube/devices/device-expressions.ts'
import type { Node } from '../../../kube/types.ts'
import type { Allocated } from './allocated.ts'
import { type Consumption, consumptionFor, hasLeft } from './capacity.ts'
import { type Pool, type PoolDevice, type Pools, poolsAt } from './pools.ts'
import { type Alternative, type ClaimRequests, type Constraint, concerns } from './requests.ts'

/** Of one claim. */
const RESULTS_MAX = 32
/** Devices that are tried before the search on a node is given up. */
const STEPS_MAX = 20_000

export interface Chosen {
  readonly claim: ClaimRequests
  readonly alternative: Alternative
  readonly device: PoolDevice
  /** What it takes of a device that others may share; null: the device is its own. */
  readonly consumed: Consumption | null
}

/** Whether the expression chooses the device. Throws DeviceExpressionError. */
export type DeviceMatcher = (expression: string, device: PoolDevice) => boolean

/** Steps that are left for all nodes together, since whatever else this process does waits meanwhile. */
export interface SearchBudget {
  left: number
}

/** Of one pod: about a second. */
export const POD_STEPS_MAX = 100_000

export interface AllocateInput {
  readonly claims: readonly ClaimRequests[]
  readonly node: Node
  readonly pools: Pools
  readonly allocated: Allocated
  readonly matches: DeviceMatcher
  readonly budget: SearchBudget
}

/** Something is wrong with a claim or with pools, which no other node will mend. */
export class AllocationError extends Error {}

export type AllocateOutcome = readonly Chosen[] | 'none' | 'too-long'

export function allocate(input: AllocateInput): AllocateOutcome {
  return new Search(input).run()
}

interface Candidates {
  readonly devices: readonly PoolDevice[]
  /** False: a request for all devices cannot have them all. */
  readonly isWhole: boolean
}

class TooLong extends Error {}

class Search {
  readonly #input: AllocateInput
  readonly #reachable: ReturnType<typeof poolsAt>
  readonly #poolOf = new Map<string, Pool>()
  readonly #candidates = new Map<Alternative, Candidates>()
  readonly #chosen: Chosen[] = []
  /** What devices that are allocated take of counters, by pool. */
  readonly #inUse = new Map<Pool, ReadonlyMap<string, bigint>>()
  #steps = 0

  constructor(input: AllocateInput) {
    this.#input = input
    this.#reachable = poolsAt(input.pools, input.node)
    for (const { pool } of this.#reachable) this.#poolOf.set(`${pool.driver}/${pool.name}`, pool)
  }

  run(): AllocateOutcome {
    if (this.#input.budget.left <= 0) return 'too-long'
    try {
      return this.#request(0, 0) ? [...this.#chosen] : 'none'
    } catch (error) {
      if (error instanceof TooLong) return 'too-long'
      throw error
    }
  }

  /** From this request on everything can be had. */
  #request(claimAt: number, requestAt: number): boolean {
    const claim = this.#input.claims[claimAt]
    if (claim === undefined) return true
    const alternatives = claim.requests[requestAt]
    if (alternatives === undefined) return this.#request(claimAt + 1, 0)
    const next = () => this.#request(claimAt, requestAt + 1)
    return alternatives.some(alternative => {
      const { devices, isWhole } = this.#candidatesOf(claim, alternative)
      const count = alternative.isAll ? devices.length : alternative.count
      const before = this.#chosen.filter(each => each.claim === claim).length
      if (!isWhole || count === 0 || before + count > RESULTS_MAX) return false
      const canRepeat = !alternative.isAll && devices.some(isShared)
      return this.#take({ claim, alternative, devices, count, canRepeat, next }, 0, 0)
    })
  }

  #take(
    want: {
      readonly claim: ClaimRequests
      readonly alternative: Alternative
      readonly devices: readonly PoolDevice[]
      readonly count: number
      /** Some of the devices may be taken more than once. */
      readonly canRepeat: boolean
      readonly next: () => boolean
    },
    taken: number,
    first: number,
  ): boolean {
    const { claim, alternative, devices, count, canRepeat, next } = want
    if (taken === count) return next()
    for (let at = first; at < devices.length; at++) {
      const device = devices[at]
      if (device === undefined) break
      // Too few from here on.
      if (!canRepeat && devices.length - at < count - taken) return false
      const choice = this.#try(claim, alternative, device)
      if (choice !== null) {
        this.#chosen.push(choice)
        if (this.#take(want, taken + 1, canRepeat && isShared(device) ? at : at + 1)) return true
        this.#chosen.pop()
      }
      // All means each of them.
      if (alternative.isAll) return false
    }
    return false
  }

  #try(claim: ClaimRequests, alternative: Alternative, device: PoolDevice): Chosen | null {
    const { budget } = this.#input
    this.#steps += 1
    budget.left -= 1
    if (this.#steps > STEPS_MAX || budget.left < 0) throw new TooLong()
    const shares = isShared(device)
    const isAdmin = alternative.adminAccess === true
    const same = this.#chosen.filter(({ device: { id } }) => id === device.id)
    if (!shares && same.some(each => each.claim === claim || (!isAdmin && !isAdminChoice(each)))) return null
    const wanted = consumptionFor(device.device, alternative.capacity)
    if (wanted === null) return null
    const choice = { claim, alternative, device, consumed: shares ? wanted : null }
    if (!isAdmin && shares && !this.#hasRoom(choice, wanted, same)) return null
    if (!isAdmin && !this.#hasCounters(device)) return null
    return claim.constraints.every(each => this.#holds(each, choice)) ? choice : null
  }

  #hasRoom({ device }: Chosen, wanted: Consumption, same: readonly Chosen[]): boolean {
    const others = same.filter(each => !isAdminChoice(each)).map(({ consumed }) => consumed ?? new Map())
    const known = this.#input.allocated.consumed.get(device.id) ?? new Map<string, bigint>()
    return hasLeft(device.device, wanted, [known, ...others])
  }

  /** What the device takes of its pool's counters is left by those that are allocated and those that are chosen. */
  #hasCounters({ driver, pool: name, consumes, id }: PoolDevice): boolean {
    if (consumes.length === 0) return true
    const pool = this.#poolOf.get(`${driver}/${name}`)
    if (pool === undefined) return false
    const { devices: allocated } = this.#input.allocated
    const mine = new Map<string, PoolDevice>()
    for (const choice of this.#chosen) {
      const { device } = choice
      const isOfPool = device.driver === driver && device.pool === name
      if (isOfPool && !isAdminChoice(choice) && !allocated.has(device.id)) mine.set(device.id, device)
    }
    // Who shares it has taken it once and for all.
    if (mine.has(id) || allocated.has(id)) return true
    const used = sumUp(mine.values(), this.#inUseOf(pool))
    return consumes.every(([key, amount]) => (used.get(key) ?? 0n) + amount <= (pool.counters.get(key) ?? 0n))
  }

  #inUseOf(pool: Pool): ReadonlyMap<string, bigint> {
    const { devices } = this.#input.allocated
    return this.#inUse.getOrInsertComputed(pool, () =>
      sumUp(pool.devices.filter(({ id }) => devices.has(id))),
    )
  }

  #holds({ requests, matchAttribute, distinctAttribute }: Constraint, choice: Chosen): boolean {
    if (!concerns(requests, choice.alternative)) return true
    const name = matchAttribute ?? distinctAttribute
    if (name === undefined) return true
    const value = attributeText(choice.device, name)
    if (value === null) return false
    const others = this.#chosen.filter(
      ({ claim, alternative }) => claim === choice.claim && concerns(requests, alternative),
    )
    return others.every(({ device }) => {
      const isSame = attributeText(device, name) === value
      return matchAttribute === undefined ? !isSame : isSame
    })
  }

  #candidatesOf(claim: ClaimRequests, alternative: Alternative): Candidates {
    const known = this.#candidates.get(alternative)
    if (known !== undefined) return known
    const found = alternative.isAll ? this.#allOf(claim, alternative) : this.#anyOf(claim, alternative)
    this.#candidates.set(alternative, found)
    return found
  }

  #anyOf(claim: ClaimRequests, alternative: Alternative): Candidates {
    const usable = this.#reachable.filter(({ pool }) => !pool.isIncomplete && !pool.isInvalid)
    const devices = usable
      .flatMap(each => each.devices)
      .filter(device => this.#isFree(device, alternative) && isTolerated(device, alternative))
      .filter(device => this.#isChosenBy(claim, alternative, device))
    const waits = (device: PoolDevice) => (device.device.bindingConditions ?? []).length > 0
    // Those that can be bound at once come first.
    const sorted = [...devices.filter(each => !waits(each)), ...devices.filter(waits)]
    return { devices: sorted, isWhole: true }
  }

  #allOf(claim: ClaimRequests, alternative: Alternative): Candidates {
    const { name, namespace } = claim.claim.metadata
    const devices: PoolDevice[] = []
    for (const { pool, devices: here } of this.#reachable) {
      const asks = `claim ${namespace}/${name}, request ${alternative.request}: asks for all devices`
      if (pool.isIncomplete)
        throw new AllocationError(`${asks}, but resource pool ${pool.name} is currently being updated`)
      if (pool.isInvalid)
        throw new AllocationError(`${asks}, but resource pool ${pool.name} is currently invalid`)
      devices.push(...here.filter(device => this.#isChosenBy(claim, alternative, device)))
    }
    const isWhole = devices.every(each => this.#isFree(each, alternative) && isTolerated(each, alternative))
    return { devices, isWhole }
  }

  #isFree({ id, device }: PoolDevice, { adminAccess }: Alternative): boolean {
    if (adminAccess === true || device.allowMultipleAllocations === true) return true
    return !this.#input.allocated.devices.has(id)
  }

  #isChosenBy({ claim }: ClaimRequests, { expressions }: Alternative, device: PoolDevice): boolean {
    return expressions.every((expression, at) => {
      try {
        return this.#input.matches(expression, device)
      } catch (error) {
        if (!(error instanceof DeviceExpressionError)) throw error
        const { namespace, name } = claim.metadata
        throw new AllocationError(`claim ${namespace}/${name}: selector #${at}: ${error.message}`)
      }
    })
  }
}

function sumUp(devices: Iterable<PoolDevice>, before: ReadonlyMap<string, bigint> = new Map()) {
  const sums = new Map(before)
  for (const { consumes } of devices)
    for (const [key, amount] of consumes) sums.set(key, (sums.get(key) ?? 0n) + amount)
  return sums
}

const isShared = ({ device }: PoolDevice): boolean => device.allowMultipleAllocations === true
const isAdminChoice = ({ alternative }: Chosen): boolean => alternative.adminAccess === true

interface DeviceToleration {
  readonly key?: string
  readonly operator?: string
  readonly value?: string
  readonly effect?: string
}

/** Taints without an effect are for people to read. */
function isTolerated({ device }: PoolDevice, { tolerations }: Alternative): boolean {
  const taints = (device.taints ?? []).filter(
    ({ effect }) => effect === 'NoSchedule' || effect === 'NoExecute',
  )
  return taints.every(taint =>
    (tolerations as readonly DeviceToleration[]).some(({ key, operator, value = '', effect }) => {
      if (effect && effect !== taint.effect) return false
      if (key && key !== taint.key) return false
      return operator === 'Exists' || (Boolean(key) && value === (taint.value ?? ''))
    }),
  )
}

/** Equal texts, equal values of one type; null: the device has no such attribute. */
function attributeText({ device, driver }: PoolDevice, name: string): string | null {
  const attribute: DeviceAttribute | undefined = attributeOf(device, driver, name)
  return attribute === undefined ? null : JSON.stringify(attribute)
}
