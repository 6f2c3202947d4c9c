/**
 * The drivers on this node that prepare devices for claims. A driver may register again before its former self is
 * gone: the last one is asked. What a driver said of devices is taken away when it stays gone.
 */
import { type Clock, sleep } from '../../../base/clock.ts'
import { messageOf } from '../../../base/errors.ts'
import type { Log } from '../../../base/log.ts'
import type { KubeClient } from '../../../client/kube-client.ts'
import { RESOURCE_SLICES } from '../../../client/resources.ts'
import type { ResourceSlice } from '../../../kube/types.ts'
import type { PluginHandler, PluginInfo, TakenPlugin } from '../plugin-registry.ts'
import { hasRpcCode, RpcChannel } from '../runtime/cri/rpc.ts'
import { DeviceHealth, type Health, type ToldHealth } from './device-health.ts'
import { DRA_HEALTH_PROTO, DRA_HEALTH_SERVICE, DRA_VERSIONS } from './dra-proto.ts'

export interface DraPluginsParts {
  readonly client: KubeClient
  readonly nodeName: string
  readonly clock: Clock
  readonly log: Log
  /** A driver is there that was not. */
  readonly onDriver: () => void
  /** A driver says something else of the health of its devices. */
  readonly onHealth: () => void
}

export interface ClaimName {
  readonly namespace: string
  readonly name: string
  readonly uid: string
}

export interface PreparedDevice {
  /** Empty: of all requests. */
  readonly requestNames: readonly string[]
  readonly poolName: string
  readonly deviceName: string
  readonly cdiDeviceIds: readonly string[]
}

/** By the claim's uid. */
type Answers<T> = Readonly<Record<string, T & { readonly error: string }>>

const CALL_MS_MAX = 45_000
/** A driver that is being replaced is back within this. */
const GONE_MS = 30_000
/** Health that a driver stopped to tell is asked for again. */
const HEALTH_RETRY_MS = 5_000

export class DraPlugin {
  readonly name: string
  readonly #channel: RpcChannel
  readonly #service: string

  private constructor(name: string, channel: RpcChannel, service: string) {
    this.name = name
    this.#channel = channel
    this.#service = service
  }

  static async open({ name, endpoint, supportedVersions }: PluginInfo, clock: Clock): Promise<DraPlugin> {
    const version = DRA_VERSIONS.find(({ offered }) => supportedVersions.includes(offered))
    if (version === undefined) {
      const known = DRA_VERSIONS.map(({ offered }) => offered).join(', ')
      const offers = supportedVersions.join(', ')
      throw new Error(`DRA driver ${name} serves none of the versions that are known (${known}): ${offers}`)
    }
    const channel = await RpcChannel.open(endpoint, [version.proto, DRA_HEALTH_PROTO], clock)
    return new DraPlugin(name, channel, version.service)
  }

  async prepare(claim: ClaimName): Promise<readonly PreparedDevice[]> {
    const answer = await this.#ask<{ readonly devices: readonly PreparedDevice[] }>(
      claim,
      'NodePrepareResources',
    )
    return answer.devices
  }

  async unprepare(claim: ClaimName): Promise<void> {
    await this.#ask(claim, 'NodeUnprepareResources')
  }

  /** Resolves or throws when the driver says no more. */
  watchHealth(onHealth: (devices: readonly ToldHealth[]) => void, signal: AbortSignal): Promise<void> {
    return this.#channel.stream<{ readonly devices: readonly ToldHealth[] }>(
      DRA_HEALTH_SERVICE,
      'NodeWatchResources',
      {},
      ({ devices }) => onHealth(devices),
      { signal },
    )
  }

  close(): void {
    this.#channel.close()
  }

  async #ask<T>(claim: ClaimName, method: string): Promise<T> {
    const { claims } = await this.#channel
      .call<{ readonly claims: Answers<T> }>(
        this.#service,
        method,
        { claims: [claim] },
        { deadlineMs: CALL_MS_MAX },
      )
      .catch(error => {
        throw new Error(`${method}: ${messageOf(error)}`, { cause: error })
      })
    const answer = claims[claim.uid]
    if (answer === undefined) throw new Error(`${method} skipped 1 ResourceClaims`)
    if (answer.error !== '')
      throw new Error(`${method} failed for ResourceClaim ${claim.name}: ${answer.error}`)
    return answer
  }
}

export class DraPlugins implements PluginHandler {
  readonly #parts: DraPluginsParts
  readonly #stopping = new AbortController()
  /** In the order in which they registered. */
  readonly #plugins = new Set<DraPlugin>()
  readonly #health: DeviceHealth

  constructor(parts: DraPluginsParts) {
    this.#parts = parts
    this.#health = new DeviceHealth(parts.clock, parts.onHealth)
  }

  healthOf(driver: string, pool: string, device: string): Health {
    return this.#health.of(driver, pool, device)
  }

  /** Throws when it is not there. */
  driver(name: string): DraPlugin {
    const plugin = [...this.#plugins].findLast(each => each.name === name)
    if (plugin === undefined) throw new Error(`DRA driver ${name} is not registered`)
    return plugin
  }

  async take(info: PluginInfo): Promise<TakenPlugin> {
    const plugin = await DraPlugin.open(info, this.#parts.clock)
    this.#plugins.add(plugin)
    this.#parts.onDriver()
    const stopper = new AbortController()
    void this.#followHealth(plugin, AbortSignal.any([stopper.signal, this.#stopping.signal]))
    return {
      release: async () => {
        stopper.abort()
        this.#plugins.delete(plugin)
        plugin.close()
        void this.#forget(names => names.has(plugin.name))
      },
    }
  }

  /** Drivers that were taken off the node while no kubelet was there are not heard of any more. */
  start(): void {
    void this.#forget(() => true)
  }

  stop(): void {
    this.#stopping.abort()
    for (const plugin of this.#plugins) plugin.close()
    this.#plugins.clear()
    this.#health.stop()
  }

  /** As long as the driver is there, unless it tells nothing of health. */
  async #followHealth(plugin: DraPlugin, signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#parts
    const { name } = plugin
    while (!signal.aborted) {
      try {
        await plugin.watchHealth(devices => this.#health.tell(name, devices), signal)
      } catch (error) {
        if (hasRpcCode(error, 'Unimplemented')) return
        log.info('a driver says no more of the health of its devices', { name, error: messageOf(error) })
      }
      // Its successor may have spoken already.
      if (this.#plugins.has(plugin) || !this.#isThere(name)) this.#health.forget(name)
      await sleep(clock, HEALTH_RETRY_MS, signal).catch(() => {})
    }
  }

  #isThere(name: string): boolean {
    return [...this.#plugins].some(each => each.name === name)
  }

  async #forget(isMeant: (names: ReadonlySet<string>) => boolean): Promise<void> {
    const { clock, client, nodeName, log } = this.#parts
    try {
      await sleep(clock, GONE_MS, this.#stopping.signal)
      const own = `spec.nodeName=${nodeName}`
      const { items } = await client.list<ResourceSlice>(RESOURCE_SLICES, { fieldSelector: own })
      const present = new Set([...this.#plugins].map(({ name }) => name))
      const drivers = new Set(items.map(({ spec }) => spec?.driver ?? ''))
      for (const driver of drivers.difference(present)) {
        if (!isMeant(new Set([driver]))) continue
        log.info('the resource slices of a driver that is gone are deleted', { driver })
        await client.deleteCollection(RESOURCE_SLICES, { fieldSelector: `${own},spec.driver=${driver}` })
      }
    } catch (error) {
      if (!this.#stopping.signal.aborted)
        log.warn('resource slices of drivers could not be looked through', { error: messageOf(error) })
    }
  }
}
