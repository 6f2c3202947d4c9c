/**
 * Device plugins of this node: they register on a socket, tell their devices, and say what a container needs to use
 * them. Which container has which device is written down before a pod is taken in.
 */
import { mkdirSync, readFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Clock } from '../../../base/clock.ts'
import { Mk8sError, messageOf, systemCodeOf } from '../../../base/errors.ts'
import type { Log } from '../../../base/log.ts'
import { writeFileDurably } from '../../../host/files.ts'
import type { Pod } from '../../../kube/types.ts'
import type { PodFailure } from '../pod-failure.ts'
import type { ClaimManager } from '../resource-claims/claim-manager.ts'
import { hasRpcCode, RpcChannel } from '../runtime/cri/rpc.ts'
import { serveRpc } from '../runtime/cri/rpc-server.ts'
import type { Device, Mount } from '../runtime/runtime.ts'
import { DEVICE_PLUGIN_PROTO } from './device-proto.ts'
import {
  type DeviceGrant,
  deviceAmounts,
  grantDevices,
  type PreferenceQuestion,
  planGrants,
} from './plan-devices.ts'
import { servePodResources } from './pod-resources.ts'

export interface DeviceManagerParts {
  /** `<data-dir>/device-plugins`. */
  readonly directory: string
  /** `<data-dir>/pod-resources`. */
  readonly podResources: string
  /** Devices that claims of pods were met with. */
  readonly claims: Pick<ClaimManager, 'preparedFor'>
  /** Those that are not over; null while they are not known yet. */
  readonly livePods: () => readonly Pod[] | null
  /** `holders`: pods whose devices may be well or unwell now. */
  readonly onChange: (holders: readonly string[]) => void
  readonly clock: Clock
  readonly log: Log
}

export interface DeviceSettings {
  readonly env: Readonly<Record<string, string>>
  readonly mounts: readonly Mount[]
  readonly devices: readonly Device[]
  /** Full names. */
  readonly cdiDevices: readonly string[]
  readonly annotations: Readonly<Record<string, string>>
}

export interface DeviceHealth {
  readonly name: string
  readonly resources: { readonly resourceID: string; readonly health: string }[]
}

interface Registering {
  readonly version: string
  readonly endpoint: string
  readonly resourceName: string
  readonly options: PluginOptions | null
}

interface PluginOptions {
  readonly preStartRequired: boolean
  readonly getPreferredAllocationAvailable: boolean
}

interface Listed {
  readonly devices: readonly {
    readonly id: string
    readonly health: string
    readonly topology: { readonly nodes: readonly { readonly id: number }[] } | null
  }[]
}

interface Allocated {
  readonly containerResponses: readonly {
    readonly envs: Readonly<Record<string, string>>
    readonly mounts: readonly Mount[]
    readonly devices: readonly { containerPath: string; hostPath: string; permissions: string }[]
    readonly annotations: Readonly<Record<string, string>>
    readonly cdiDevices: readonly { readonly name: string }[]
  }[]
}

interface Plugin {
  readonly channel: RpcChannel
  readonly ending: AbortController
  readonly options: PluginOptions
}

interface Preferred {
  readonly containerResponses: readonly { readonly deviceIds: readonly string[] }[]
}

interface Preference {
  readonly container: string
  readonly resource: string
  readonly ids: readonly string[]
}

const SERVICE = 'v1beta1.DevicePlugin'
const CALL_MS_MAX = 30_000
const PREFERENCE_MS_MAX = 5_000
const RESOURCE_NAME =
  /^(?!kubernetes\.io\/)[a-z0-9]([-a-z0-9.]*[a-z0-9])?\/[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$/
const ENDPOINT = /^[^/\0]+$/

export class DeviceManager {
  readonly #parts: DeviceManagerParts
  readonly #plugins = new Map<string, Plugin>()
  readonly #devices = new Map<string, ReadonlyMap<string, boolean>>()
  readonly #numaNodes = new Map<string, ReadonlyMap<string, readonly number[]>>()
  /** Of pods that were asked for, by their uids. */
  readonly #preferences = new Map<string, readonly Preference[]>()
  #grants: readonly DeviceGrant[] = []
  #servers: readonly { close(): void }[] = []

  constructor(parts: DeviceManagerParts) {
    this.#parts = parts
  }

  /** Plugins see that the socket is a new one, and register again. */
  async start(): Promise<void> {
    const { directory } = this.#parts
    mkdirSync(directory, { recursive: true, mode: 0o750 })
    this.#load()
    const socket = join(directory, 'kubelet.sock')
    await rm(socket, { force: true })
    const registration = await serveRpc(socket, {
      proto: DEVICE_PLUGIN_PROTO,
      service: 'v1beta1.Registration',
      methods: { Register: request => this.#register(request as Registering) },
    })
    this.#servers = [registration, await this.#servePodResources()]
  }

  #servePodResources(): Promise<{ close(): void }> {
    return servePodResources(this.#parts.podResources, () => ({
      pods: this.#parts.livePods() ?? [],
      grants: this.#grants,
      devices: this.#devices,
      claimed: (pod, container) => this.#parts.claims.preparedFor(pod, container),
      numaNodes: (resource, id) => this.#numaNodes.get(resource)?.get(id) ?? [],
    }))
  }

  stop(): void {
    for (const server of this.#servers) server.close()
    for (const { ending, channel } of this.#plugins.values()) {
      ending.abort()
      channel.close()
    }
    this.#plugins.clear()
  }

  amounts(): ReturnType<typeof deviceAmounts> {
    return deviceAmounts(this.#devices)
  }

  #heldBeside(uid: string): DeviceGrant[] {
    const pods = this.#parts.livePods()
    const live = pods && new Set(pods.map(({ metadata }) => metadata.uid))
    return this.#grants.filter(({ podUid }) => podUid !== uid && (live === null || live.has(podUid)))
  }

  /** Which devices plugins would rather give to a new pod; asked before it is judged, since that may not wait. */
  async askPreferences(pod: Pod): Promise<void> {
    const { uid = '' } = pod.metadata
    const steps = planGrants(pod, { known: this.#devices, held: this.#heldBeside(uid) })
    const found: Preference[] = []
    for (let step = steps.next(); !step.done; ) {
      const { container, resource } = step.value
      const ids = await this.#preferred(step.value)
      found.push({ container, resource, ids })
      step = steps.next(ids)
    }
    this.#forgetPreferences()
    if (found.length > 0) this.#preferences.set(uid, found)
  }

  /** Of pods that are over or gone. */
  #forgetPreferences(): void {
    const live = this.#parts.livePods()
    if (live === null) return
    const uids = new Set(live.map(({ metadata }) => metadata.uid ?? ''))
    for (const uid of this.#preferences.keys()) if (!uids.has(uid)) this.#preferences.delete(uid)
  }

  /** A plugin that does not say is no reason to refuse a pod. */
  async #preferred(question: PreferenceQuestion): Promise<readonly string[]> {
    const { resource, available, mustInclude, count } = question
    const plugin = this.#plugins.get(resource)
    if (plugin?.options.getPreferredAllocationAvailable !== true) return []
    const request = {
      availableDeviceIds: available,
      mustIncludeDeviceIds: mustInclude,
      allocationSize: count,
    }
    try {
      const { channel } = plugin
      const options = { deadlineMs: PREFERENCE_MS_MAX }
      const all = { containerRequests: [request] }
      const answer = await channel.call<Preferred>(SERVICE, 'GetPreferredAllocation', all, options)
      return answer.containerResponses[0]?.deviceIds ?? []
    } catch (error) {
      this.#parts.log.warn('a device plugin names no devices that it prefers', { resource, error })
      return []
    }
  }

  /** Null: the pod has its devices, or needs none. */
  admit(pod: Pod): PodFailure | null {
    const { uid = '' } = pod.metadata
    const held = this.#heldBeside(uid)
    // They stay, as the pod may be judged once more.
    const preferences = this.#preferences.get(uid) ?? []
    const granted = grantDevices(pod, { known: this.#devices, held }, asked => {
      const isIt = (each: Preference) =>
        each.container === asked.container && each.resource === asked.resource
      return preferences.find(isIt)?.ids ?? []
    })
    if ('failure' in granted) return granted.failure
    if (granted.grants.length === 0) return null
    this.#grants = [...held, ...granted.grants]
    this.#save()
    return null
  }

  /** Of a pod as a whole, by resource, in the order of its containers. */
  idsOf(podUid: string): ReadonlyMap<string, readonly string[]> {
    const own = Map.groupBy(
      this.#grants.filter(grant => grant.podUid === podUid),
      ({ resource }) => resource,
    )
    return new Map([...own].map(([name, grants]) => [name, [...new Set(grants.flatMap(({ ids }) => ids))]]))
  }

  /** As a container's status tells it. */
  healthOf(podUid: string, container: string): DeviceHealth[] {
    const own = this.#grants.filter(grant => grant.podUid === podUid && grant.container === container)
    return own.map(({ resource, ids }) => ({
      name: resource,
      resources: ids.map(id => ({ resourceID: id, health: this.#healthOf(resource, id) })),
    }))
  }

  #healthOf(resource: string, id: string): string {
    const isHealthy = this.#devices.get(resource)?.get(id)
    return isHealthy === undefined ? 'Unknown' : isHealthy ? 'Healthy' : 'Unhealthy'
  }

  /** Pods that have some of its devices. */
  #holdersOf(resource: string): string[] {
    return [...new Set(this.#grants.flatMap(grant => (grant.resource === resource ? [grant.podUid] : [])))]
  }

  /** What a container needs for the devices that it was given; asks their plugins. */
  async settingsFor(podUid: string, container: string): Promise<DeviceSettings> {
    const own = this.#grants.filter(grant => grant.podUid === podUid && grant.container === container)
    const all = await Promise.all(own.map(grant => this.#allocate(grant)))
    return {
      env: Object.assign({}, ...all.map(({ envs }) => envs)),
      annotations: Object.assign({}, ...all.map(({ annotations }) => annotations)),
      mounts: all.flatMap(({ mounts }) => mounts),
      cdiDevices: [...new Set(all.flatMap(({ cdiDevices }) => cdiDevices.map(({ name }) => name)))],
      devices: all.flatMap(({ devices }) =>
        devices.map(({ containerPath, hostPath, permissions }) => ({
          ...{ containerPath, hostPath, readOnly: !permissions.includes('w') },
        })),
      ),
    }
  }

  async #allocate({ resource, ids }: DeviceGrant): Promise<Allocated['containerResponses'][number]> {
    const plugin = this.#plugins.get(resource)
    if (plugin === undefined)
      throw new Mk8sError('kubelet/runtime', `the device plugin of ${resource} is not registered`)
    const options = { deadlineMs: CALL_MS_MAX }
    const request = { containerRequests: [{ deviceIds: ids }] }
    const answer = await plugin.channel.call<Allocated>(SERVICE, 'Allocate', request, options)
    const response = answer.containerResponses[0]
    if (response === undefined)
      throw new Mk8sError('kubelet/runtime', `the device plugin of ${resource} gave no answer`)
    if (plugin.options.preStartRequired)
      await plugin.channel.call(SERVICE, 'PreStartContainer', { deviceIds: ids }, options)
    return response
  }

  async #register({ version, endpoint, resourceName, options }: Registering): Promise<object> {
    if (version !== 'v1beta1') throw new Error(`requested API version ${version} is not supported by kubelet`)
    if (!RESOURCE_NAME.test(resourceName))
      throw new Error(`the ResourceName ${JSON.stringify(resourceName)} is invalid`)
    if (!ENDPOINT.test(endpoint)) throw new Error(`the endpoint ${JSON.stringify(endpoint)} is no file name`)
    const { directory, clock } = this.#parts
    const channel = await RpcChannel.open(join(directory, endpoint), [DEVICE_PLUGIN_PROTO], clock)
    const ending = new AbortController()
    const plugin = { channel, ending, options: await optionsOf(channel, options) }
    this.#drop(resourceName)
    this.#plugins.set(resourceName, plugin)
    void this.#follow(resourceName, plugin)
    return {}
  }

  /** Until the plugin ends, whose devices are gone then until it registers again. */
  async #follow(resource: string, plugin: Plugin): Promise<void> {
    const { log, onChange } = this.#parts
    log.info('a device plugin is registered', { resource })
    const { signal } = plugin.ending
    const take = ({ devices }: Listed) => {
      if (signal.aborted) return
      this.#devices.set(resource, new Map(devices.map(({ id, health }) => [id, health === 'Healthy'])))
      const nodes = devices.map(
        ({ id, topology }) => [id, topology?.nodes.map(node => node.id) ?? []] as const,
      )
      this.#numaNodes.set(resource, new Map(nodes))
      onChange(this.#holdersOf(resource))
    }
    try {
      await plugin.channel.stream<Listed>(SERVICE, 'ListAndWatch', {}, take, { signal })
    } catch (error) {
      log.warn('a device plugin is gone', { resource, error })
    }
    if (signal.aborted) return
    this.#drop(resource)
    this.#devices.set(resource, new Map())
    onChange(this.#holdersOf(resource))
  }

  #drop(resource: string): void {
    const plugin = this.#plugins.get(resource)
    this.#plugins.delete(resource)
    plugin?.ending.abort()
    plugin?.channel.close()
  }

  get #path(): string {
    return join(this.#parts.directory, 'kubelet_internal_checkpoint')
  }

  /** A resource that was known stays so, with no devices until its plugin is back. */
  #load(): void {
    try {
      const kept = JSON.parse(readFileSync(this.#path, 'utf8')) as { grants: readonly DeviceGrant[] }
      this.#grants = kept.grants
    } catch (error) {
      if (systemCodeOf(error) !== 'ENOENT')
        this.#parts.log.warn('which pod has which devices cannot be read', { error: messageOf(error) })
    }
    for (const { resource } of this.#grants) this.#devices.set(resource, new Map())
  }

  #save(): void {
    writeFileDurably(this.#path, JSON.stringify({ grants: this.#grants }), 0o600)
  }
}

/** What it says when it is asked, and otherwise what it said when it came. */
async function optionsOf(channel: RpcChannel, said: PluginOptions | null): Promise<PluginOptions> {
  const none = { preStartRequired: false, getPreferredAllocationAvailable: false }
  try {
    const options = { deadlineMs: CALL_MS_MAX }
    return await channel.call<PluginOptions>(SERVICE, 'GetDevicePluginOptions', {}, options)
  } catch (error) {
    if (hasRpcCode(error, 'Unimplemented')) return said ?? none
    channel.close()
    throw error
  }
}
