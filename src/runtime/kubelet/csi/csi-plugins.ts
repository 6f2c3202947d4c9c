/**
 * The CSI drivers of this node. A driver's registrar puts a socket into the registry directory; the kubelet asks it
 * who it is, asks the driver what it calls this node, writes that to CSINode, and tells the registrar.
 */
import { type FSWatcher, watch } from 'node:fs'
import { mkdir, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { type BackoffConfig, backoffMs } from '../../../base/backoff.ts'
import { type Clock, sleep } from '../../../base/clock.ts'
import { messageOf } from '../../../base/errors.ts'
import type { Log } from '../../../base/log.ts'
import { isNotFound, type KubeClient } from '../../../client/kube-client.ts'
import { CSI_NODES, NODES } from '../../../client/resources.ts'
import type { CSINode, Node } from '../../../kube/types.ts'
import { RpcChannel } from '../runtime/cri/rpc.ts'
import { CsiDriver } from './csi-driver.ts'
import { REGISTRATION_PROTO } from './csi-proto.ts'
import { withDriver, withoutDriver } from './plan-csi-node.ts'

export interface CsiPluginsParts {
  readonly client: KubeClient
  readonly nodeName: string
  /** `<data-dir>/plugins_registry`. */
  readonly directory: string
  readonly clock: Clock
  readonly log: Log
}

const SERVICE = 'pluginregistration.Registration'
const ASK_MS_MAX = 10_000
const RETRY: BackoffConfig = { baseMs: 500, maxMs: 30_000 }

interface PluginInfo {
  readonly type: string
  readonly name: string
  readonly endpoint: string
  readonly supportedVersions: readonly string[]
}

export class CsiPlugins {
  readonly #parts: CsiPluginsParts
  readonly #aborter = new AbortController()
  /** By the socket that it registered through. */
  readonly #drivers = new Map<string, CsiDriver>()
  readonly #failures = new Map<string, number>()
  #watcher: FSWatcher | null = null
  #isDirty = false
  #running: Promise<void> | null = null

  constructor(parts: CsiPluginsParts) {
    this.#parts = parts
  }

  /** Undefined as long as no driver of this name is registered. */
  driver(name: string): CsiDriver | undefined {
    return [...this.#drivers.values()].find(driver => driver.name === name)
  }

  async start(): Promise<void> {
    const { directory } = this.#parts
    await mkdir(directory, { recursive: true, mode: 0o750 })
    this.#watcher = watch(directory, { persistent: false }, () => this.#wake())
    this.#wake()
  }

  async stop(): Promise<void> {
    this.#aborter.abort()
    this.#watcher?.close()
    await this.#running
    for (const driver of this.#drivers.values()) driver.close()
    this.#drivers.clear()
  }

  #wake(): void {
    this.#isDirty = true
    this.#running ??= this.#look().finally(() => {
      this.#running = null
    })
  }

  async #look(): Promise<void> {
    const { directory, log, clock } = this.#parts
    while (this.#isDirty && !this.#aborter.signal.aborted) {
      this.#isDirty = false
      const sockets = new Set(await socketsIn(directory))
      for (const socket of this.#drivers.keys()) if (!sockets.has(socket)) await this.#forget(socket)
      for (const socket of sockets) {
        if (this.#drivers.has(socket)) continue
        try {
          await this.#register(socket)
          this.#failures.delete(socket)
        } catch (error) {
          const failures = (this.#failures.get(socket) ?? 0) + 1
          this.#failures.set(socket, failures)
          log.warn('a CSI driver could not be registered', { socket, error: messageOf(error) })
          void sleep(clock, backoffMs(RETRY, failures), this.#aborter.signal).then(
            () => this.#wake(),
            () => {},
          )
        }
      }
    }
  }

  async #register(socket: string): Promise<void> {
    const { clock, log } = this.#parts
    const channel = await RpcChannel.open(socket, [REGISTRATION_PROTO], clock)
    const call = <Answer>(method: string, request: object) =>
      channel.call<Answer>(SERVICE, method, request, { deadlineMs: ASK_MS_MAX })
    try {
      const info = await call<PluginInfo>('GetInfo', {})
      // Other sorts of plugins register here, too, with whoever serves them.
      if (info.type !== 'CSIPlugin') return
      try {
        const driver = await this.#open(info)
        this.#drivers.set(socket, driver)
        await call('NotifyRegistrationStatus', { pluginRegistered: true, error: '' })
        log.info('a CSI driver is registered', { driver: info.name })
      } catch (error) {
        const status = { pluginRegistered: false, error: messageOf(error) }
        await call('NotifyRegistrationStatus', status).catch(() => {})
        throw error
      }
    } finally {
      channel.close()
    }
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

  async #forget(socket: string): Promise<void> {
    const driver = this.#drivers.get(socket)
    if (driver === undefined) return
    this.#drivers.delete(socket)
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

async function socketsIn(directory: string): Promise<string[]> {
  const names = await readdir(directory).catch(() => [])
  const found: string[] = []
  for (const name of names) {
    const path = join(directory, name)
    const entry = await stat(path).catch(() => null)
    if (entry?.isSocket()) found.push(path)
  }
  return found
}
