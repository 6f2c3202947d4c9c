/** A device plugin inside the daemon: offers GPUs of one resource to the kubelet by the protocol that all plugins speak. */
import { access, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Clock } from '../../../base/clock.ts'
import type { Log } from '../../../base/log.ts'
import { DEVICE_PLUGIN_PROTO } from '../../kubelet/devices/device-proto.ts'
import { RpcChannel } from '../../kubelet/runtime/cri/rpc.ts'
import { serveRpc } from '../../kubelet/runtime/cri/rpc-server.ts'
import { type Allocation, type OfferedDevice, preferredShares } from './gpu-devices.ts'

export interface GpuPluginParts {
  readonly resource: string
  /** Of the kubelet's socket, and of ours. */
  readonly directory: string
  readonly allocate: (deviceIds: readonly string[]) => Promise<Allocation>
  readonly clock: Clock
  readonly log: Log
}

interface Allocating {
  readonly containerRequests: readonly { readonly deviceIds: readonly string[] }[]
}

interface Preferring {
  readonly containerRequests: readonly {
    readonly availableDeviceIds: readonly string[]
    readonly mustIncludeDeviceIds: readonly string[]
    readonly allocationSize: number
  }[]
}

const CALL_MS_MAX = 10_000
const OPTIONS = { preStartRequired: false, getPreferredAllocationAvailable: true }

export class GpuPlugin {
  readonly #parts: GpuPluginParts
  readonly #listeners = new Set<(message: object) => void>()
  #devices: readonly OfferedDevice[] = []
  #server: { close(): void } | null = null
  #problem = 'it has not registered yet'

  constructor(parts: GpuPluginParts) {
    this.#parts = parts
  }

  /** Empty while the kubelet listens. */
  get problem(): string {
    return this.#listeners.size > 0 ? '' : this.#problem
  }

  /** Tells the kubelet what is new, and registers when it does not listen. */
  async offer(devices: readonly OfferedDevice[]): Promise<void> {
    const isNew = JSON.stringify(devices) !== JSON.stringify(this.#devices)
    this.#devices = devices
    if (isNew) for (const tell of this.#listeners) tell({ devices })
    if (this.#listeners.size > 0) return
    try {
      await this.#register()
      this.#problem = ''
    } catch (error) {
      this.#problem = `the kubelet does not take ${this.#parts.resource}`
      this.#parts.log.warn(this.#problem, { error })
    }
  }

  close(): void {
    this.#server?.close()
    this.#server = null
    this.#listeners.clear()
  }

  get #endpoint(): string {
    return `mk8s-${this.#parts.resource.replaceAll(/[^a-z0-9]+/g, '-')}.sock`
  }

  async #register(): Promise<void> {
    const { directory, clock, resource } = this.#parts
    const kubelet = join(directory, 'kubelet.sock')
    await access(kubelet)
    this.#server ??= await this.#serve()
    const channel = await RpcChannel.open(kubelet, [DEVICE_PLUGIN_PROTO], clock)
    const request = {
      ...{ version: 'v1beta1', endpoint: this.#endpoint, resourceName: resource, options: OPTIONS },
    }
    const options = { deadlineMs: CALL_MS_MAX }
    await channel.call('v1beta1.Registration', 'Register', request, options).finally(() => channel.close())
  }

  async #serve(): Promise<{ close(): void }> {
    const socket = join(this.#parts.directory, this.#endpoint)
    await rm(socket, { force: true })
    return serveRpc(socket, {
      proto: DEVICE_PLUGIN_PROTO,
      service: 'v1beta1.DevicePlugin',
      methods: {
        GetDevicePluginOptions: async () => OPTIONS,
        PreStartContainer: async () => ({}),
        Allocate: request => this.#allocate(request as Allocating),
        GetPreferredAllocation: async request => prefer(request as Preferring),
      },
      streams: {
        ListAndWatch: (write, closed) => {
          this.#listeners.add(write)
          closed.addEventListener('abort', () => this.#listeners.delete(write))
          write({ devices: this.#devices })
        },
      },
    })
  }

  async #allocate({ containerRequests }: Allocating): Promise<object> {
    const all = containerRequests.map(({ deviceIds }) => this.#parts.allocate(deviceIds))
    return { containerResponses: await Promise.all(all) }
  }
}

const prefer = ({ containerRequests }: Preferring): object => ({
  containerResponses: containerRequests.map(each => ({
    deviceIds: preferredShares(each.availableDeviceIds, {
      mustInclude: each.mustIncludeDeviceIds,
      count: each.allocationSize,
    }),
  })),
})
