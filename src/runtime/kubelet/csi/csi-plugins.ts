/**
 * The CSI drivers of this node: each is asked what it calls this node, and that is written to CSINode, before its
 * registrar is told that it is taken in.
 */
import type { Clock } from '../../../base/clock.ts'
import { messageOf } from '../../../base/errors.ts'
import type { Log } from '../../../base/log.ts'
import type { Random } from '../../../base/random.ts'
import { isNotFound, type KubeClient } from '../../../client/kube-client.ts'
import { CSI_NODES, NODES } from '../../../client/resources.ts'
import type { CSINode, Node } from '../../../kube/types.ts'
import type { PluginHandler, PluginInfo, TakenPlugin } from '../plugin-registry.ts'
import { refreshAllocatable } from './allocatable-refresh.ts'
import { CsiDriver } from './csi-driver.ts'
import { withCount, withDriver, withoutDriver } from './plan-csi-node.ts'

export interface CsiPluginsParts {
  readonly client: KubeClient
  readonly nodeName: string
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
}

export class CsiPlugins implements PluginHandler {
  readonly #parts: CsiPluginsParts
  /** With what ends its being asked again. */
  readonly #drivers = new Map<CsiDriver, AbortController>()

  constructor(parts: CsiPluginsParts) {
    this.#parts = parts
  }

  /** Undefined as long as no driver of this name is registered. */
  driver(name: string): CsiDriver | undefined {
    return [...this.#drivers.keys()].find(driver => driver.name === name)
  }

  /** Asks a driver at once how many volumes it can attach; what it does not say now it says some time. */
  async refresh(name: string): Promise<void> {
    const driver = this.driver(name)
    if (driver === undefined) return
    await this.#refresh(driver).catch(error => {
      const about = { driver: name, error: messageOf(error) }
      this.#parts.log.warn('a CSI driver does not say how many volumes it can attach', about)
    })
  }

  async take(info: PluginInfo): Promise<TakenPlugin> {
    const driver = await this.#open(info)
    this.#follow(driver)
    return { release: () => this.#forget(driver) }
  }

  stop(): void {
    for (const [driver, stopper] of this.#drivers) {
      stopper.abort()
      driver.close()
    }
    this.#drivers.clear()
  }

  async #open({ name, endpoint, supportedVersions }: PluginInfo): Promise<CsiDriver> {
    if (!supportedVersions.some(version => version.replace(/^v/, '').startsWith('1.'))) {
      throw new Error(
        `driver ${name} speaks none of the versions that are known: ${supportedVersions.join(', ')}`,
      )
    }
    const known = this.driver(name)
    if (known !== undefined) throw new Error(`driver ${name} is registered already`)
    const driver = await CsiDriver.open(name, endpoint, this.#parts.clock)
    try {
      await this.#announce(driver)
    } catch (error) {
      driver.close()
      throw error
    }
    return driver
  }

  /** Labels first: once CSINode names the keys, provisioners look for them. */
  async #announce(driver: CsiDriver): Promise<void> {
    const { client, nodeName } = this.#parts
    const labels = driver.info.topology
    const node = await client.patch<Node>(NODES, {
      ...{ name: nodeName, type: 'strategic' },
      patch: { metadata: { labels } },
    })
    const current = await this.#csiNode()
    const next = withDriver(current, node, driver)
    if (current === null) await client.create(CSI_NODES, next)
    else await client.update(CSI_NODES, next)
  }

  /** How many volumes it can attach is told anew while it is registered, where its CSIDriver asks for that. */
  #follow(driver: CsiDriver): void {
    const stopper = new AbortController()
    this.#drivers.set(driver, stopper)
    const followed = { name: driver.name, refresh: () => this.#refresh(driver) }
    refreshAllocatable(this.#parts, followed, stopper.signal)
  }

  async #refresh(driver: CsiDriver): Promise<void> {
    const before = driver.info.volumesMax
    await driver.askAgain()
    const { volumesMax } = driver.info
    const next = withCount(await this.#csiNode(), driver.name, volumesMax)
    if (next === null) return
    await this.#parts.client.update(CSI_NODES, next)
    const about = { driver: driver.name, before, now: volumesMax }
    this.#parts.log.info('a CSI driver can attach another number of volumes', about)
  }

  async #forget(driver: CsiDriver): Promise<void> {
    this.#drivers.get(driver)?.abort()
    this.#drivers.delete(driver)
    driver.close()
    try {
      const next = withoutDriver(await this.#csiNode(), driver.name)
      if (next !== null) await this.#parts.client.update(CSI_NODES, next)
    } catch (error) {
      this.#parts.log.warn('a CSI driver could not be taken out', { driver: driver.name, error })
    }
  }

  async #csiNode(): Promise<CSINode | null> {
    try {
      return await this.#parts.client.get<CSINode>(CSI_NODES, { name: this.#parts.nodeName })
    } catch (error) {
      if (isNotFound(error)) return null
      throw error
    }
  }
}
