/**
 * Gives the claims of a pod the devices that were found for them, and reserves them for the pod, before the pod is
 * bound; what it knows of devices is what the filter decides by.
 */
import type { Clock } from '../../../base/clock.ts'
import type { Random } from '../../../base/random.ts'
import { type Informer, keyOf } from '../../../client/informer.ts'
import type { InformerSet } from '../../../client/informer-set.ts'
import { isConflict, type KubeClient } from '../../../client/kube-client.ts'
import { DEVICE_CLASSES, PODS, RESOURCE_CLAIMS, RESOURCE_SLICES } from '../../../client/resources.ts'
import { choosesDevice } from '../../../kube/devices/device-expressions.ts'
import {
  CLAIM_FINALIZER,
  canBeReserved,
  claimNamesOf,
  isReservedFor,
  reservedFor,
} from '../../../kube/devices/pod-claims.ts'
import { formatTime } from '../../../kube/time.ts'
import type { DeviceClass, Pod, ResourceClaim, ResourceSlice } from '../../../kube/types.ts'
import { waitUntil } from '../wait-until.ts'
import { type Allocated, type Allocation, gatherAllocated } from './allocated.ts'
import { bindingProblem, hasBindingConditions, isBindable } from './binding-conditions.ts'
import type { ClaimAllocation } from './device-filters.ts'
import type { DeviceView } from './device-view.ts'
import type { ExtendedClaim } from './extended-resources.ts'
import { gatherPools, type PoolDevice, type Pools } from './pools.ts'

export interface DeviceReservation {
  readonly pod: Pod
  readonly allocations: readonly ClaimAllocation[]
}

/** Of a status that others write, too. */
const WRITES_MAX = 5
/** Until a driver has said that devices are ready. */
const READY_MS_MAX = 600_000

export class DeviceBinder implements DeviceView {
  readonly #client: KubeClient
  readonly #clock: Clock
  readonly #random: Random
  readonly #claims: Informer<ResourceClaim>
  readonly #classes: Informer<DeviceClass>
  readonly #slices: Informer<ResourceSlice>
  /** What was found for claims and is not in their status yet, by uid. */
  readonly #pending = new Map<string, Allocation>()
  readonly #verdicts = new WeakMap<object, Map<string, boolean>>()
  #pools: Pools | null = null
  #allocated: Allocated | null = null

  constructor(parts: {
    readonly client: KubeClient
    readonly clock: Clock
    readonly random: Random
    readonly informers: InformerSet
  }) {
    const { informers } = parts
    this.#client = parts.client
    this.#clock = parts.clock
    this.#random = parts.random
    this.#claims = informers.informer(RESOURCE_CLAIMS)
    this.#classes = informers.informer(DEVICE_CLASSES)
    this.#slices = informers.informer(RESOURCE_SLICES)
    this.#claims.onChange(() => {
      this.#allocated = null
    })
    this.#slices.onChange(() => {
      this.#pools = null
    })
  }

  get synced(): Promise<unknown> {
    return Promise.all([this.#claims.synced, this.#classes.synced, this.#slices.synced])
  }

  /** Calls when something changed that may let a pod with claims run; returns an unsubscribe. */
  onChange(listener: () => void): () => void {
    const subscriptions = [this.#claims, this.#classes, this.#slices].map(each => each.onChange(listener))
    return () => {
      for (const unsubscribe of subscriptions) unsubscribe()
    }
  }

  claim(namespace: string, name: string): ResourceClaim | undefined {
    return this.#claims.get(`${namespace}/${name}`)
  }

  isPending({ metadata }: ResourceClaim): boolean {
    return this.#pending.has(metadata.uid ?? '')
  }

  deviceClasses(): readonly DeviceClass[] {
    return this.#classes.list()
  }

  deviceClass(name: string): DeviceClass | undefined {
    return this.#classes.get(name)
  }

  pools(): Pools {
    this.#pools ??= gatherPools(this.#slices.list())
    return this.#pools
  }

  allocated(): Allocated {
    this.#allocated ??= gatherAllocated(this.#allocations())
    return this.#allocated
  }

  *#allocations(): Generator<Allocation> {
    for (const { metadata, status } of this.#claims.list()) {
      if (status?.allocation && !this.#pending.has(metadata.uid ?? '')) yield status.allocation
    }
    yield* this.#pending.values()
  }

  /** A device that has not changed is not judged again. */
  matches = (expression: string, { driver, device }: PoolDevice): boolean => {
    const known = this.#verdicts.get(device) ?? new Map<string, boolean>()
    this.#verdicts.set(device, known)
    const key = `${driver} ${expression}`
    const verdict = known.get(key) ?? choosesDevice(expression, driver, device)
    known.set(key, verdict)
    return verdict
  }

  shareId = (): string => this.#random.uuid()

  /** The devices are the claims' until `release`; null when there is nothing to write. */
  reserve(pod: Pod, allocations: DeviceReservation['allocations']): DeviceReservation | null {
    const isDone = this.#claimsOf(pod).every(claim => claim.status?.allocation && isReservedFor(claim, pod))
    if (isDone && allocations.length === 0) return null
    for (const { claim, allocation } of allocations) this.#pending.set(pendingKey(claim, pod), allocation)
    this.#allocated = null
    return { pod, allocations }
  }

  release({ pod, allocations }: DeviceReservation): void {
    for (const { claim } of allocations) this.#pending.delete(pendingKey(claim, pod))
    this.#allocated = null
  }

  /** Resolves once the claims say that they are the pod's, and drivers that the devices are ready. */
  async bind({ pod, allocations }: DeviceReservation, signal: AbortSignal): Promise<void> {
    for (const claim of this.#claimsOf(pod)) {
      const found = allocations.find(each => each.claim.metadata.uid === claim.metadata.uid)
      await this.#write(claim, pod, found?.allocation)
    }
    const made = allocations.filter(({ extended }) => extended !== undefined)
    const names = this.#claimsOf(pod).map(keyOf)
    for (const { extended, allocation } of made)
      if (extended !== undefined) names.push(await this.#makeExtended(pod, extended, allocation))
    const isReady = () => names.every(name => this.#isReady(name))
    const onChange = (listener: () => void) => this.#claims.onChange(listener)
    await waitUntil({ isDone: isReady, onChange, clock: this.#clock, timeoutMs: READY_MS_MAX, signal })
  }

  /** The pod was not bound: its claims are not its own, and devices that did not become ready are given back. */
  async unreserve(pod: Pod): Promise<void> {
    for (const claim of this.#claimsOf(pod)) {
      if (!isReservedFor(claim, pod)) continue
      const others = (claim.status?.reservedFor ?? []).filter(({ uid }) => uid !== pod.metadata.uid)
      if (others.length === 0 && hasBindingConditions(claim)) await this.free(claim)
      else {
        const { reservedFor: _mine, ...status } = claim.status ?? {}
        const next = { ...claim, status: others.length === 0 ? status : { ...status, reservedFor: others } }
        await this.#writeStatus(next)
      }
    }
  }

  /** Takes a claim's devices away, so that others may be found. */
  async free(claim: ResourceClaim): Promise<void> {
    const { reservedFor: _reserved, allocation: _allocation, ...status } = claim.status ?? {}
    await this.#writeStatus({ ...claim, status })
  }

  /** Made, allocated, reserved, and told in the pod's status. A claim that does not come so far is taken away. */
  async #makeExtended(pod: Pod, { claim, mappings }: ExtendedClaim, allocation: Allocation): Promise<string> {
    const { namespace, name = '', uid } = pod.metadata
    const made = await this.#client.create<ResourceClaim>(RESOURCE_CLAIMS, claim)
    await this.#claims.caughtUp(made.metadata.resourceVersion)
    try {
      await this.#write(made, pod, allocation)
      const told = { requestMappings: mappings, resourceClaimName: made.metadata.name }
      const patch = { metadata: { uid }, status: { extendedResourceClaimStatus: told } }
      await this.#client.patch<Pod>(PODS, {
        namespace,
        name,
        subresource: 'status',
        type: 'strategic',
        patch,
      })
    } catch (error) {
      await this.#client.delete(RESOURCE_CLAIMS, { namespace, name: made.metadata.name ?? '' })
      throw error
    }
    return keyOf(made)
  }

  #claimsOf(pod: Pod): ResourceClaim[] {
    return claimNamesOf(pod)
      .map(name => this.claim(pod.metadata.namespace ?? '', name))
      .filter(claim => claim !== undefined)
  }

  async #write(cached: ResourceClaim, pod: Pod, allocation: Allocation | undefined): Promise<void> {
    let claim = cached
    for (let tries = 1; ; tries++) {
      if (claim.metadata.uid !== cached.metadata.uid || claim.metadata.deletionTimestamp !== undefined)
        throw new Error(`claim ${keyOf(claim)} got deleted in the meantime`)
      try {
        await this.#assign(claim, pod, allocation)
        return
      } catch (error) {
        if (!isConflict(error) || tries === WRITES_MAX) throw error
        const { namespace, name = '' } = claim.metadata
        claim = await this.#client.get<ResourceClaim>(RESOURCE_CLAIMS, { namespace, name })
      }
    }
  }

  async #assign(claim: ResourceClaim, pod: Pod, allocation: Allocation | undefined): Promise<void> {
    let next = claim
    if (allocation !== undefined) {
      if (claim.status?.allocation)
        throw new Error(`claim ${keyOf(claim)} got allocated elsewhere in the meantime`)
      next = await this.#protected(claim)
      const allocationTimestamp = formatTime(this.#clock.now())
      next = { ...next, status: { ...next.status, allocation: { ...allocation, allocationTimestamp } } }
    } else if (!claim.status?.allocation) {
      throw new Error(`claim ${keyOf(claim)} got deallocated in the meantime`)
    }
    if (!isReservedFor(next, pod)) {
      if (!canBeReserved(next)) throw new Error(`claim ${keyOf(claim)} is in use`)
      next = reservedFor(next, pod)
    } else if (next === claim) return
    await this.#writeStatus(next)
  }

  async #protected(claim: ResourceClaim): Promise<ResourceClaim> {
    const { finalizers = [] } = claim.metadata
    if (finalizers.includes(CLAIM_FINALIZER)) return claim
    const metadata = { ...claim.metadata, finalizers: [...finalizers, CLAIM_FINALIZER] }
    return this.#client.update<ResourceClaim>(RESOURCE_CLAIMS, { ...claim, metadata })
  }

  async #writeStatus(next: ResourceClaim): Promise<void> {
    const written = await this.#client.update<ResourceClaim>(RESOURCE_CLAIMS, next, { subresource: 'status' })
    await this.#claims.caughtUp(written.metadata.resourceVersion)
  }

  /** Throws when a driver says that it will not be. */
  #isReady(key: string): boolean {
    const claim = this.#claims.get(key)
    if (claim === undefined) throw new Error(`claim ${key} got deleted in the meantime`)
    const problem = bindingProblem(claim)
    if (problem !== null) throw new Error(problem)
    return isBindable(claim)
  }
}

/** A claim that is yet to be made has no uid. */
const pendingKey = ({ metadata }: ResourceClaim, pod: Pod): string =>
  metadata.uid ?? `extended resources of ${pod.metadata.uid}`
