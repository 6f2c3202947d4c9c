/**
 * Gives addresses of the pools to Services, on the leader while the add-on is enabled. One round after the other, and
 * each sees what the last one wrote; writes carry the leader's term, so that no two leaders give away one address.
 */
import type { Clock } from '../../../base/clock.ts'
import type { Component, Health } from '../../../base/component.ts'
import type { Log } from '../../../base/log.ts'
import type { Random } from '../../../base/random.ts'
import { EventRecorder } from '../../../client/event-recorder.ts'
import { Informer } from '../../../client/informer.ts'
import { KubeClient } from '../../../client/kube-client.ts'
import { ReconcileLoop } from '../../../client/reconcile-loop.ts'
import { SERVICES } from '../../../client/resources.ts'
import type { Transport } from '../../../client/transport.ts'
import type { Service } from '../../../kube/types.ts'
import { ADDONS, type Addon, isEnabled } from '../addon-object.ts'
import { ADDON, ADDRESS_POOLS, type AddressPool, FROM_POOL, ingressOf, readPools } from './address-pool.ts'
import { assignedOf, type Decision, planAddresses } from './plan-addresses.ts'

export interface AddressAllocatorParts {
  /** Follows the Addon; speaks as a member of system:masters. */
  readonly addonTransport: Transport
  /** May do what the add-on's role allows. */
  readonly transport: Transport
  readonly clock: Clock
  readonly random: Random
  readonly term: number
  readonly log: Log
}

const ALL = 'all'
const SETTLE_MS = 20

export function createAddressAllocator(parts: AddressAllocatorParts): Component {
  return new AddressAllocator(parts)
}

class AddressAllocator implements Component {
  readonly name = 'address-allocator'
  readonly #parts: AddressAllocatorParts
  readonly #stopping = new AbortController()
  readonly #addon: Informer<Addon>
  #round: AllocatingRound | null = null

  constructor(parts: AddressAllocatorParts) {
    this.#parts = parts
    const { addonTransport, clock, random, log } = parts
    const client = new KubeClient(addonTransport, { userAgent: 'mk8s/address-allocator' })
    const fieldSelector = `metadata.name=${ADDON}`
    this.#addon = new Informer<Addon>({ client, resource: ADDONS, fieldSelector, clock, random, log })
  }

  async prepare(): Promise<void> {}

  async start(): Promise<void> {
    this.#addon.onChange(() => this.#look())
    this.#addon.start(this.#stopping.signal)
  }

  async stop(): Promise<void> {
    this.#stopping.abort()
    await this.#round?.stop()
  }

  health(): Health {
    return { ok: true, reason: '' }
  }

  /** Its role and its pools are there once the add-on is; until then the caches of them try again. */
  #look(): void {
    const addon = this.#addon.get(ADDON)
    const isWanted = addon !== undefined && isEnabled(addon) && !this.#stopping.signal.aborted
    if (isWanted) this.#round ??= new AllocatingRound(this.#parts)
    else {
      void this.#round?.stop()
      this.#round = null
    }
  }
}

/** From enabling to disabling. */
class AllocatingRound {
  readonly #client: KubeClient
  readonly #recorder: EventRecorder
  readonly #services: Informer<Service>
  readonly #pools: Informer<AddressPool>
  readonly #aborter = new AbortController()
  readonly #loop: ReconcileLoop
  /** Told already, by Service. */
  readonly #told = new Map<string, string>()

  constructor({ transport, clock, random, log, term }: AddressAllocatorParts) {
    this.#client = new KubeClient(transport, { userAgent: 'mk8s/address-allocator', term })
    const common = { client: this.#client, clock, random, log }
    this.#recorder = new EventRecorder({ ...common, component: 'mk8s-loadbalancer' })
    this.#services = new Informer({ ...common, resource: SERVICES })
    this.#pools = new Informer({ ...common, resource: ADDRESS_POOLS })
    this.#loop = new ReconcileLoop({ clock, log, workers: 1, reconcile: () => this.#reconcile() })
    for (const informer of [this.#services, this.#pools]) {
      informer.onChange(() => this.#loop.addAfter(ALL, SETTLE_MS))
      informer.start(this.#aborter.signal)
    }
    void Promise.all([this.#services.synced, this.#pools.synced]).then(() => {
      if (this.#aborter.signal.aborted) return
      this.#loop.start()
      this.#loop.add(ALL)
    })
  }

  async stop(): Promise<void> {
    this.#aborter.abort()
    await this.#loop.stop()
  }

  async #reconcile(): Promise<undefined> {
    const services = this.#services.list()
    const pools = readPools(this.#pools.list())
    for (const decision of planAddresses(services, pools)) {
      const written = await this.#carryOut(decision)
      await this.#services.caughtUp(written, this.#aborter.signal)
    }
    const alive = new Set(services.map(({ metadata }) => metadata.uid ?? ''))
    for (const uid of this.#told.keys()) if (!alive.has(uid)) this.#told.delete(uid)
    await this.#tellPools(pools)
  }

  /** Returns the revision of what it wrote. */
  async #carryOut(decision: Decision): Promise<string | undefined> {
    const { service } = decision
    if (decision.kind === 'assign') return this.#assign(decision)
    if (decision.kind === 'refuse') this.#tell(service, decision.reason, decision.message)
    const had = ingressOf(service)
    const isNoted = service.metadata.annotations?.[FROM_POOL] !== undefined
    if (!isNoted && had.length === 0) return undefined
    let written = service
    if (had.length > 0) written = await this.#writeStatus(written, [])
    if (isNoted) written = await this.#annotate(written, null)
    if (had.length > 0)
      this.#recorder.record(service, 'Normal', 'ClearAssignment', `Released IP ${JSON.stringify(had)}`)
    return written.metadata.resourceVersion
  }

  async #assign({
    service,
    pool,
    addresses,
  }: Extract<Decision, { kind: 'assign' }>): Promise<string | undefined> {
    let written = await this.#annotate(service, pool)
    if (addresses.join() !== ingressOf(service).join()) {
      written = await this.#writeStatus(written, addresses)
      this.#told.delete(service.metadata.uid ?? '')
      this.#recorder.record(service, 'Normal', 'IPAllocated', `Assigned IP ${JSON.stringify(addresses)}`)
    }
    return written.metadata.resourceVersion
  }

  /** Only if nobody has changed the Service since it was decided about. */
  #annotate({ metadata }: Service, pool: string | null): Promise<Service> {
    const { namespace, name = '', resourceVersion } = metadata
    const patch = { metadata: { resourceVersion, annotations: { [FROM_POOL]: pool } } }
    return this.#client.patch<Service>(SERVICES, { namespace, name, type: 'merge', patch })
  }

  #writeStatus({ metadata }: Service, addresses: readonly string[]): Promise<Service> {
    const { namespace, name = '', resourceVersion } = metadata
    const ingress = addresses.map(ip => ({ ip, ipMode: 'VIP' }))
    const patch = {
      metadata: { resourceVersion },
      status: { loadBalancer: { ingress: ingress.length === 0 ? null : ingress } },
    }
    return this.#client.patch<Service>(SERVICES, {
      namespace,
      name,
      subresource: 'status',
      type: 'merge',
      patch,
    })
  }

  /** Once until it changes. */
  #tell(service: Service, reason: string, message: string): void {
    const { uid = '' } = service.metadata
    if (this.#told.get(uid) === message) return
    this.#told.set(uid, message)
    this.#recorder.record(service, 'Warning', reason, message)
  }

  async #tellPools(pools: ReturnType<typeof readPools>): Promise<void> {
    const services = this.#services.list()
    for (const pool of pools) {
      const status = { assigned: assignedOf(services, pool), problem: pool.problem }
      const before = this.#pools.get(pool.name)?.status
      if (before?.assigned === status.assigned && (before.problem ?? '') === status.problem) continue
      await this.#client.patch(ADDRESS_POOLS, {
        ...{ name: pool.name, subresource: 'status', type: 'merge', patch: { status } },
      })
    }
  }
}
