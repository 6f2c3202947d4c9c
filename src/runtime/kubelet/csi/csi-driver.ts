/** One CSI driver on this node: its node service behind a unix socket. */
import type { Clock } from '../../../base/clock.ts'
import { RpcChannel } from '../runtime/cri/rpc.ts'
import { CSI_PROTO } from './csi-proto.ts'

/** As long as upstream gives a driver for a call. */
const CALL_MS_MAX = 120_000
const NODE = 'csi.v1.Node'

export interface DriverNodeInfo {
  readonly nodeId: string
  /** 0: as many as there are. */
  readonly volumesMax: number
  readonly topology: Readonly<Record<string, string>>
}

export interface VolumeCapability {
  readonly block?: object
  readonly mount?: {
    readonly fsType: string
    readonly mountFlags: readonly string[]
    readonly volumeMountGroup?: string
  }
  readonly accessMode: { readonly mode: string }
}

export interface VolumeUsage {
  readonly available: number
  readonly total: number
  readonly used: number
  readonly unit: string
}

export interface VolumeStats {
  readonly usage: readonly VolumeUsage[]
  readonly volumeCondition: { readonly abnormal: boolean; readonly message: string } | null
}

/** In the words of the protocol, whose names are in camel case here. */
export interface PublishRequest {
  readonly volumeId: string
  readonly publishContext: Readonly<Record<string, string>>
  readonly volumeCapability: VolumeCapability
  readonly volumeContext: Readonly<Record<string, string>>
  readonly secrets: Readonly<Record<string, string>>
}

export class CsiDriver {
  readonly name: string
  readonly #channel: RpcChannel
  readonly #capabilities: ReadonlySet<string>
  #info: DriverNodeInfo

  private constructor(
    name: string,
    channel: RpcChannel,
    facts: { readonly info: DriverNodeInfo; readonly capabilities: ReadonlySet<string> },
  ) {
    this.name = name
    this.#channel = channel
    this.#info = facts.info
    this.#capabilities = facts.capabilities
  }

  /** Asks the driver what it can do and what it calls this node. */
  static async open(name: string, endpoint: string, clock: Clock): Promise<CsiDriver> {
    const channel = await RpcChannel.open(endpoint, [CSI_PROTO], clock)
    try {
      return new CsiDriver(name, channel, await ask(channel))
    } catch (error) {
      channel.close()
      throw error
    }
  }

  close(): void {
    this.#channel.close()
  }

  /** As it was last asked. */
  get info(): DriverNodeInfo {
    return this.#info
  }

  /** How many volumes it can attach may change; what it calls the node, and where that is, does not. */
  async askAgain(): Promise<void> {
    const { volumesMax } = await askInfo(this.#channel)
    this.#info = { ...this.#info, volumesMax }
  }

  /** Volumes are mounted once for the node before they are for a pod. */
  get stages(): boolean {
    return this.#capabilities.has('STAGE_UNSTAGE_VOLUME')
  }

  get skills(): DriverSkills {
    return {
      tellsWriters: this.#capabilities.has('SINGLE_NODE_MULTI_WRITER_SERVICE'),
      mountsGroup: this.#capabilities.has('VOLUME_MOUNT_GROUP'),
    }
  }

  /** A volume that has grown has to be made use of on the node, too. */
  get expands(): boolean {
    return this.#capabilities.has('EXPAND_VOLUME')
  }

  get tellsUsage(): boolean {
    return this.#capabilities.has('GET_VOLUME_STATS')
  }

  stage(request: PublishRequest & { readonly stagingTargetPath: string }): Promise<unknown> {
    return this.#call('NodeStageVolume', request)
  }

  unstage(volumeId: string, path: string): Promise<unknown> {
    return this.#call('NodeUnstageVolume', { volumeId, stagingTargetPath: path })
  }

  publish(
    request: PublishRequest & {
      readonly stagingTargetPath?: string
      readonly targetPath: string
      readonly readonly: boolean
    },
  ): Promise<unknown> {
    return this.#call('NodePublishVolume', request)
  }

  unpublish(volumeId: string, path: string): Promise<unknown> {
    return this.#call('NodeUnpublishVolume', { volumeId, targetPath: path })
  }

  async expand(request: {
    readonly volumeId: string
    readonly volumePath: string
    readonly stagingTargetPath: string
    readonly capacityRange: { readonly requiredBytes: number }
    readonly volumeCapability: VolumeCapability
    readonly secrets: Readonly<Record<string, string>>
  }): Promise<void> {
    await this.#call('NodeExpandVolume', request)
  }

  stats(request: {
    readonly volumeId: string
    readonly volumePath: string
    readonly stagingTargetPath: string
  }): Promise<VolumeStats> {
    return this.#call<VolumeStats>('NodeGetVolumeStats', request)
  }

  #call<Answer>(method: string, request: object): Promise<Answer> {
    return this.#channel.call<Answer>(NODE, method, request, { deadlineMs: CALL_MS_MAX })
  }
}

interface Capabilities {
  readonly capabilities: readonly { readonly rpc: { readonly type: string } | null }[]
}

interface NodeInfo {
  readonly nodeId: string
  readonly maxVolumesPerNode: number
  readonly accessibleTopology: { readonly segments: Readonly<Record<string, string>> } | null
}

async function ask(channel: RpcChannel) {
  const options = { deadlineMs: CALL_MS_MAX }
  const { capabilities } = await channel.call<Capabilities>(NODE, 'NodeGetCapabilities', {}, options)
  return {
    capabilities: new Set(capabilities.flatMap(({ rpc }) => (rpc === null ? [] : [rpc.type]))),
    info: await askInfo(channel),
  }
}

async function askInfo(channel: RpcChannel): Promise<DriverNodeInfo> {
  const info = await channel.call<NodeInfo>(NODE, 'NodeGetInfo', {}, { deadlineMs: CALL_MS_MAX })
  return {
    nodeId: info.nodeId,
    volumesMax: info.maxVolumesPerNode,
    topology: info.accessibleTopology?.segments ?? {},
  }
}

/** What of a driver decides how it is asked. */
export interface DriverSkills {
  /** Knows a writer that is alone on its node from one that is alone in its pod. */
  readonly tellsWriters: boolean
  readonly mountsGroup: boolean
}
