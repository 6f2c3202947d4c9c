/**
 * The door of the add-ons: what the leader of one term does for them. It makes the custom resource, the Addons that a
 * cluster begins with, and has the reconciler look at each whenever something about it changes.
 */
import { type BackoffConfig, backoffMs } from '../../base/backoff.ts'
import { type Clock, sleep } from '../../base/clock.ts'
import type { Component, Health } from '../../base/component.ts'
import { messageOf } from '../../base/errors.ts'
import type { Log } from '../../base/log.ts'
import type { Random } from '../../base/random.ts'
import { Informer } from '../../client/informer.ts'
import { isAlreadyExists, KubeClient } from '../../client/kube-client.ts'
import { ReconcileLoop } from '../../client/reconcile-loop.ts'
import type { ResourceRef } from '../../client/resources.ts'
import type { Transport } from '../../client/transport.ts'
import type { Model } from '../../kube/model-types.ts'
import type { KubeObject } from '../../kube/object.ts'
import {
  ADDON_API_VERSION,
  ADDON_DEFINITION,
  ADDON_ROLES,
  ADDONS,
  type Addon,
  type AddonSpec,
  NAME_LABEL,
  type ObjectName,
} from './addon-object.ts'
import { builtInAddons } from './built-in.ts'
import { ObjectStore } from './object-store.ts'
import { keepBundle, Reconciler } from './reconciler.ts'
import type { ClusterFacts } from './render-manifests.ts'

export interface AddonKeeperParts {
  /** Speaks as a member of system:masters. */
  readonly transport: Transport
  readonly model: Model
  readonly facts: ClusterFacts
  /** What a built-in add-on that is on from the beginning begins with. */
  readonly begin: (name: string, signal: AbortSignal) => Promise<Pick<AddonSpec, 'enabled' | 'parameters'>>
  readonly clock: Clock
  readonly random: Random
  readonly term: number
  readonly log: Log
}

const RETRY: BackoffConfig = { baseMs: 200, maxMs: 10_000 }
const WORKERS = 2

export function createAddonKeeper(parts: AddonKeeperParts): Component {
  return new AddonKeeper(parts)
}

class AddonKeeper implements Component {
  readonly name = 'addons'
  readonly #parts: AddonKeeperParts
  readonly #stopping = new AbortController()
  readonly #client: KubeClient
  readonly #objects: ObjectStore
  readonly #addons: Informer<Addon>
  readonly #watched = new Map<string, Informer<KubeObject>>()
  readonly #loop: ReconcileLoop
  #running: Promise<void> = Promise.resolve()
  #problem = ''

  constructor(parts: AddonKeeperParts) {
    this.#parts = parts
    const { transport, model, clock, random, log, term } = parts
    this.#client = new KubeClient(transport, { userAgent: 'mk8s/addons', term })
    this.#objects = new ObjectStore({ client: this.#client, transport, model, clock })
    this.#addons = new Informer<Addon>({ client: this.#client, resource: ADDONS, clock, random, log })
    const reconciler = new Reconciler({
      client: this.#client,
      objects: this.#objects,
      builtIn: builtInAddons(),
      facts: parts.facts,
      addons: () => this.#addons.list(),
      onKinds: names => this.#watchKinds(names),
      clock,
    })
    const reconcile = (name: string) => reconciler.reconcile(name)
    this.#loop = new ReconcileLoop({ clock, log, workers: WORKERS, reconcile })
  }

  async prepare(): Promise<void> {}

  /** Nobody waits for add-ons; what keeps them from beginning is told in the health. */
  async start(): Promise<void> {
    this.#running = this.#run().catch(() => {})
  }

  async stop(): Promise<void> {
    this.#stopping.abort()
    await Promise.all([this.#loop.stop(), this.#running])
  }

  health(): Health {
    return { ok: true, reason: this.#problem }
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping
    await this.#untilDone(() => this.#define())
    this.#addons.onChange((name, next) => {
      if (next === null) void this.#untilDone(() => this.#begin([name], async () => ({})))
      else for (const one of [name, ...this.#dependents(name)]) this.#loop.add(one)
    })
    this.#addons.start(signal)
    await this.#addons.synced
    if (signal.aborted) return
    this.#loop.start()
    for (const { metadata } of this.#addons.list()) this.#loop.add(metadata.name ?? '')
    await this.#untilDone(() => this.#begin([...builtInAddons().keys()], this.#parts.begin))
  }

  /** Those that wait for something are looked at again when any other changes. */
  #dependents(name: string): string[] {
    const waiting = this.#addons.list().filter(({ metadata, status }) => {
      return metadata.name !== name && status?.failing === `add-on ${name}`
    })
    return waiting.map(({ metadata }) => metadata.name ?? '')
  }

  async #untilDone(work: () => Promise<void>): Promise<void> {
    const { clock, log } = this.#parts
    const { signal } = this.#stopping
    for (let failures = 1; !signal.aborted; failures++) {
      try {
        await work()
        this.#problem = ''
        return
      } catch (error) {
        if (signal.aborted) return
        if (failures === 3) log.warn('the add-ons cannot be kept yet', { error: messageOf(error) })
        this.#problem = `the add-ons cannot be kept yet: ${messageOf(error)}`
        await sleep(clock, backoffMs(RETRY, failures), signal).catch(() => {})
      }
    }
  }

  async #define(): Promise<void> {
    for (const object of [...ADDON_ROLES, ADDON_DEFINITION]) await this.#objects.apply(object)
  }

  /** Those of these names that are on from the beginning and are not there. One that was deleted begins anew. */
  async #begin(names: readonly string[], begin: AddonKeeperParts['begin']): Promise<void> {
    for (const name of names) {
      const source = builtInAddons().get(name)
      if (source === undefined || !source.definition.default || this.#addons.get(name) !== undefined) continue
      const { version } = source.definition
      const start = await begin(name, this.#stopping.signal)
      const bundle = await keepBundle(this.#client, source)
      const spec: AddonSpec = { enabled: true, repository: 'core', version, bundle, ...start }
      const addon: Addon = { apiVersion: ADDON_API_VERSION, kind: 'Addon', metadata: { name }, spec }
      await this.#client.create(ADDONS, addon).catch(error => {
        if (!isAlreadyExists(error)) throw error
      })
    }
  }

  /** So that what somebody deletes or what becomes ready is seen at once. */
  async #watchKinds(names: readonly ObjectName[]): Promise<void> {
    const { clock, random, log } = this.#parts
    for (const name of names) {
      const resource = await this.#objects.resourceOf(name)
      if (resource === null) continue
      const key = keyOf(resource)
      if (this.#watched.has(key)) continue
      const client = this.#client
      const informer = new Informer<KubeObject>({
        ...{ client, resource, clock, random, log },
        labelSelector: NAME_LABEL,
        metadataOnly: true,
      })
      informer.onChange((_, next, previous) => {
        const labels = (next ?? previous)?.metadata.labels ?? {}
        const addon = labels[NAME_LABEL]
        if (addon !== undefined && this.#addons.get(addon) !== undefined) this.#loop.add(addon)
      })
      this.#watched.set(key, informer)
      informer.start(this.#stopping.signal)
    }
  }
}

const keyOf = ({ group, resource }: ResourceRef): string => `${group}/${resource}`
