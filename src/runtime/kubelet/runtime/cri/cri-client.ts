/** CRI v1 as typed calls, each with the longest time that it may take. */
import { type Clock, systemClock } from '../../../../base/clock.ts'
import type { RuntimeHandler } from '../runtime.ts'
import type {
  WireContainer,
  WireContainerConfig,
  WireContainerStats,
  WireContainerStatus,
  WireFilesystemUsage,
  WireImage,
  WireResources,
  WireSandbox,
  WireSandboxConfig,
  WireSandboxStatus,
} from './cri-messages.ts'
import { CONTAINERD_EVENTS_PROTO, CONTAINERD_TASKS_PROTO, CRI_PROTO } from './cri-proto.ts'
import { hasRpcCode, RpcChannel } from './rpc.ts'

/** The kubelet's runtimeRequestTimeout is two minutes, and twice that for a sandbox. */
const DEADLINES = {
  ask: 10_000,
  change: 120_000,
  sandbox: 240_000,
  /** A layer may be large and the line slow. */
  pull: 3_600_000,
}
const RUNTIME = 'runtime.v1.RuntimeService'
const IMAGES = 'runtime.v1.ImageService'

export interface RuntimeVersion {
  readonly runtimeName: string
  readonly runtimeVersion: string
}

export interface RuntimeFeatures {
  readonly recursiveReadOnly: boolean
  readonly strictGroups: boolean
  readonly handlers: readonly RuntimeHandler[]
}

export interface RuntimeCondition {
  readonly type: string
  readonly status: boolean
  readonly reason: string
  readonly message: string
}

export interface PullCredentials {
  readonly username: string
  readonly password: string
  /** `https://registry.example:5000`: nobody else is told them. */
  readonly serverAddress: string
}

export class CriClient {
  readonly #channel: RpcChannel

  constructor(channel: RpcChannel) {
    this.#channel = channel
  }

  static async open(socketPath: string, clock: Clock = systemClock): Promise<CriClient> {
    return new CriClient(
      await RpcChannel.open(socketPath, [CRI_PROTO, CONTAINERD_EVENTS_PROTO, CONTAINERD_TASKS_PROTO], clock),
    )
  }

  get channel(): RpcChannel {
    return this.#channel
  }

  close(): void {
    this.#channel.close()
  }

  version(): Promise<RuntimeVersion> {
    return this.#ask('Version', { version: 'v1' })
  }

  async conditions(): Promise<readonly RuntimeCondition[]> {
    type Answer = { status: { conditions: RuntimeCondition[] } | null }
    return (await this.#ask<Answer>('Status', {})).status?.conditions ?? []
  }

  /** What it says that it can do; older ones say nothing. */
  async features(): Promise<RuntimeFeatures> {
    type Answer = {
      runtimeHandlers: {
        name: string
        features: { recursiveReadOnlyMounts: boolean; userNamespaces: boolean } | null
      }[]
      features: { supplementalGroupsPolicy: boolean } | null
    }
    const { runtimeHandlers, features } = await this.#ask<Answer>('Status', {})
    const usual = runtimeHandlers.find(({ name }) => name === '')
    return {
      recursiveReadOnly: usual?.features?.recursiveReadOnlyMounts === true,
      strictGroups: features?.supplementalGroupsPolicy === true,
      handlers: runtimeHandlers.map(({ name, features: each }) => ({
        name,
        recursiveReadOnly: each?.recursiveReadOnlyMounts === true,
        userNamespaces: each?.userNamespaces === true,
      })),
    }
  }

  async runSandbox(config: WireSandboxConfig, runtimeHandler = ''): Promise<string> {
    const request = { config, runtimeHandler }
    type Answer = { podSandboxId: string }
    return (await this.#change<Answer>('RunPodSandbox', request, DEADLINES.sandbox)).podSandboxId
  }

  async stopSandbox(podSandboxId: string): Promise<void> {
    await this.#change('StopPodSandbox', { podSandboxId })
  }

  async removeSandbox(podSandboxId: string): Promise<void> {
    await this.#change('RemovePodSandbox', { podSandboxId })
  }

  async sandboxStatus(podSandboxId: string): Promise<WireSandboxStatus | null> {
    type Answer = { status: WireSandboxStatus | null }
    return orNull(async () => (await this.#ask<Answer>('PodSandboxStatus', { podSandboxId })).status)
  }

  /** What a runtime tells of a sandbox beyond the protocol; JSON in containerd's case. */
  async sandboxInfo(podSandboxId: string): Promise<Readonly<Record<string, string>>> {
    const request = { podSandboxId, verbose: true }
    return (await this.#ask<{ info: Record<string, string> }>('PodSandboxStatus', request)).info
  }

  /** Those with every one of the labels. */
  async listSandboxes(labelSelector: Readonly<Record<string, string>> = {}): Promise<readonly WireSandbox[]> {
    type Answer = { items: WireSandbox[] }
    return (await this.#ask<Answer>('ListPodSandbox', { filter: { labelSelector } })).items
  }

  async createContainer(
    podSandboxId: string,
    config: WireContainerConfig,
    sandboxConfig: WireSandboxConfig,
  ): Promise<string> {
    const request = { podSandboxId, config, sandboxConfig }
    return (await this.#change<{ containerId: string }>('CreateContainer', request)).containerId
  }

  async startContainer(containerId: string): Promise<void> {
    await this.#change('StartContainer', { containerId })
  }

  async stopContainer(containerId: string, timeoutSeconds: number): Promise<void> {
    const request = { containerId, timeout: timeoutSeconds }
    await this.#change('StopContainer', request, timeoutSeconds * 1_000 + DEADLINES.change)
  }

  async removeContainer(containerId: string): Promise<void> {
    await this.#change('RemoveContainer', { containerId })
  }

  async containerStatus(containerId: string): Promise<WireContainerStatus | null> {
    type Answer = { status: WireContainerStatus | null }
    return orNull(async () => (await this.#ask<Answer>('ContainerStatus', { containerId })).status)
  }

  /** What a runtime tells of a container beyond the protocol; JSON in containerd's case. */
  async containerInfo(containerId: string): Promise<Readonly<Record<string, string>>> {
    const request = { containerId, verbose: true }
    return (await this.#ask<{ info: Record<string, string> }>('ContainerStatus', request)).info
  }

  /** An address of the runtime's own streaming server. */
  async streamingUrl(method: 'Exec' | 'Attach' | 'PortForward', request: object): Promise<string> {
    return (await this.#ask<{ url: string }>(method, request)).url
  }

  async listContainers(
    labelSelector: Readonly<Record<string, string>> = {},
  ): Promise<readonly WireContainer[]> {
    type Answer = { containers: WireContainer[] }
    return (await this.#ask<Answer>('ListContainers', { filter: { labelSelector } })).containers
  }

  async listContainerStats(
    labelSelector: Readonly<Record<string, string>>,
  ): Promise<readonly WireContainerStats[]> {
    type Answer = { stats: WireContainerStats[] }
    return (await this.#ask<Answer>('ListContainerStats', { filter: { labelSelector } })).stats
  }

  async updateResources(containerId: string, linux: Partial<WireResources>): Promise<void> {
    await this.#change('UpdateContainerResources', { containerId, linux }, DEADLINES.change)
  }

  async reopenLog(containerId: string): Promise<void> {
    await this.#change('ReopenContainerLog', { containerId })
  }

  /** The deadline is ours: not every runtime ends a program whose children hold its output. */
  execSync(
    containerId: string,
    cmd: readonly string[],
    { timeoutMs, signal }: { readonly timeoutMs: number; readonly signal?: AbortSignal | undefined },
  ): Promise<{ readonly stdout: Buffer; readonly stderr: Buffer; readonly exitCode: number }> {
    const timeout = Math.ceil(timeoutMs / 1_000)
    return this.#channel.call(
      RUNTIME,
      'ExecSync',
      { containerId, cmd, timeout },
      { deadlineMs: timeoutMs, signal },
    )
  }

  async imageStatus(image: string): Promise<WireImage | null> {
    const options = { deadlineMs: DEADLINES.ask }
    type Answer = { image: WireImage | null }
    const answer = await this.#channel.call<Answer>(IMAGES, 'ImageStatus', { image: { image } }, options)
    return answer.image
  }

  async listImages(): Promise<readonly WireImage[]> {
    const options = { deadlineMs: DEADLINES.ask }
    return (await this.#channel.call<{ images: WireImage[] }>(IMAGES, 'ListImages', {}, options)).images
  }

  async pullImage(image: string, auth?: PullCredentials): Promise<string> {
    const request = { image: { image }, ...(auth === undefined ? {} : { auth }) }
    const options = { deadlineMs: DEADLINES.pull }
    return (await this.#channel.call<{ imageRef: string }>(IMAGES, 'PullImage', request, options)).imageRef
  }

  async removeImage(image: string): Promise<void> {
    await this.#channel.call(IMAGES, 'RemoveImage', { image: { image } }, { deadlineMs: DEADLINES.change })
  }

  async imageFilesystems(): Promise<readonly WireFilesystemUsage[]> {
    type Answer = { imageFilesystems: WireFilesystemUsage[] }
    const options = { deadlineMs: DEADLINES.ask }
    return (await this.#channel.call<Answer>(IMAGES, 'ImageFsInfo', {}, options)).imageFilesystems
  }

  #ask<Answer>(method: string, request: object): Promise<Answer> {
    return this.#channel.call(RUNTIME, method, request, { deadlineMs: DEADLINES.ask })
  }

  #change<Answer>(method: string, request: object, deadlineMs = DEADLINES.change): Promise<Answer> {
    return this.#channel.call(RUNTIME, method, request, { deadlineMs })
  }
}

async function orNull<T>(ask: () => Promise<T | null>): Promise<T | null> {
  try {
    return await ask()
  } catch (error) {
    if (hasRpcCode(error, 'NotFound')) return null
    throw error
  }
}
