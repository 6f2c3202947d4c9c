/**
 * The `simulated` runtime: pods run in memory only, for tests and for scale. Annotations of the pod say how its
 * containers behave: `simulated.mk8s.io/start-delay-ms`, `run-for-ms` (then they exit), `exit-code`, `start-error`,
 * `exec-exit-code` (also the answer to probes), `log` (lines that every container writes at its start). What is
 * executed says its own command line and then repeats its input.
 */
import { join } from 'node:path'
import { type Clock, sleep, type Timer } from '../../../../base/clock.ts'
import { Mk8sError } from '../../../../base/errors.ts'
import type { Random } from '../../../../base/random.ts'
import { AddressPool, DEFAULT_POD_CIDR, type RangeOfPods } from '../address-pool.ts'
import { ContainerLogWriter } from '../container-log.ts'
import type {
  ContainerConfig,
  ContainerState,
  ContainerStatus,
  ExecResult,
  ImageStatus,
  Runtime,
  RuntimeEvent,
  SandboxConfig,
  SandboxStatus,
} from '../runtime.ts'
import type { ContainerStreams, StreamOptions } from '../streams.ts'
import { simulateAttach, simulateExec } from './simulated-streams.ts'

export interface SimulatedRuntimeParts {
  /** This node's part of the pod network; the default network's first part unless given. */
  readonly podRange?: RangeOfPods
  readonly version?: string
  readonly clock: Clock
  readonly random: Random
}

interface Sandbox {
  readonly id: string
  readonly config: SandboxConfig
  state: 'ready' | 'not-ready'
  readonly createdAt: number
  readonly address: string
}

interface SimulatedContainer {
  readonly id: string
  readonly sandbox: Sandbox
  readonly config: ContainerConfig
  readonly createdAt: number
  state: ContainerState
  startedAt: number
  finishedAt: number
  exitCode: number
  timer: Timer | null
  /** Resolves with the exit code. */
  readonly ended: PromiseWithResolvers<number>
}

const PREFIX = 'simulated.mk8s.io/'

export class SimulatedRuntime implements Runtime {
  readonly name = 'simulated'
  readonly isVirtual = true
  readonly pullsImages = false
  readonly version: string
  readonly #parts: SimulatedRuntimeParts
  readonly #sandboxes = new Map<string, Sandbox>()
  readonly #containers = new Map<string, SimulatedContainer>()
  readonly #addresses: AddressPool
  #onEvent: (event: RuntimeEvent) => void = () => {}

  constructor(parts: SimulatedRuntimeParts) {
    this.#parts = parts
    this.version = parts.version ?? '1.0'
    this.#addresses = new AddressPool(parts.podRange ?? (() => DEFAULT_POD_CIDR))
  }

  async start(onEvent: (event: RuntimeEvent) => void): Promise<void> {
    this.#onEvent = onEvent
  }

  async stop(): Promise<void> {
    this.#onEvent = () => {}
  }

  async runSandbox(config: SandboxConfig): Promise<string> {
    const sandbox: Sandbox = {
      id: this.#newId(),
      config,
      state: 'ready',
      createdAt: this.#parts.clock.now(),
      address: config.hostNetwork ? '' : this.#addresses.allocate(),
    }
    this.#sandboxes.set(sandbox.id, sandbox)
    return sandbox.id
  }

  async stopSandbox(id: string): Promise<void> {
    const sandbox = this.#sandboxes.get(id)
    if (sandbox === undefined || sandbox.state === 'not-ready') return
    for (const container of this.#containers.values()) {
      if (container.sandbox === sandbox) this.#exit(container, 137)
    }
    sandbox.state = 'not-ready'
    this.#addresses.release(sandbox.address)
  }

  async removeSandbox(id: string): Promise<void> {
    await this.stopSandbox(id)
    for (const container of [...this.#containers.values()]) {
      if (container.sandbox.id === id) this.#containers.delete(container.id)
    }
    this.#sandboxes.delete(id)
  }

  async sandboxStatus(id: string): Promise<SandboxStatus | null> {
    const sandbox = this.#sandboxes.get(id)
    return sandbox === undefined ? null : renderSandbox(sandbox)
  }

  async listSandboxes(): Promise<readonly SandboxStatus[]> {
    return [...this.#sandboxes.values()].map(renderSandbox)
  }

  async createContainer(sandboxId: string, config: ContainerConfig): Promise<string> {
    const sandbox = this.#sandboxes.get(sandboxId)
    if (sandbox === undefined) throw new Mk8sError('kubelet/runtime', `sandbox ${sandboxId} does not exist`)
    const container: SimulatedContainer = {
      id: this.#newId(),
      sandbox,
      config,
      createdAt: this.#parts.clock.now(),
      state: 'created',
      startedAt: 0,
      finishedAt: 0,
      exitCode: 0,
      timer: null,
      ended: Promise.withResolvers<number>(),
    }
    this.#containers.set(container.id, container)
    return container.id
  }

  async startContainer(id: string): Promise<void> {
    const container = this.#mustContainer(id)
    if (container.state !== 'created') return
    const settings = container.sandbox.config.annotations
    const error = settings[`${PREFIX}start-error`]
    if (error !== undefined) throw new Mk8sError('kubelet/runtime', error)
    const delay = Number(settings[`${PREFIX}start-delay-ms`] ?? 0)
    if (delay > 0) await sleep(this.#parts.clock, delay)
    await this.#log(container, settings[`${PREFIX}log`])
    container.state = 'running'
    container.startedAt = this.#parts.clock.now()
    const runFor = settings[`${PREFIX}run-for-ms`]
    if (runFor === undefined) return
    const exitCode = Number(settings[`${PREFIX}exit-code`] ?? 0)
    container.timer = this.#parts.clock.after(Number(runFor), () => this.#exit(container, exitCode))
  }

  async stopContainer(id: string, gracePeriodMs: number): Promise<void> {
    const container = this.#containers.get(id)
    if (container !== undefined) this.#exit(container, gracePeriodMs > 0 ? 143 : 137)
  }

  async removeContainer(id: string): Promise<void> {
    await this.stopContainer(id, 0)
    this.#containers.delete(id)
  }

  async containerStatus(id: string): Promise<ContainerStatus | null> {
    const container = this.#containers.get(id)
    return container === undefined ? null : renderContainer(container)
  }

  async listContainers(podUid?: string): Promise<readonly ContainerStatus[]> {
    const all = [...this.#containers.values()].map(renderContainer)
    return podUid === undefined ? all : all.filter(container => container.podUid === podUid)
  }

  async exec(id: string, _command: readonly string[]): Promise<ExecResult> {
    const container = this.#mustContainer(id)
    if (container.state !== 'running') {
      throw new Mk8sError('kubelet/runtime', `container ${id} is not running`)
    }
    const exitCode = Number(container.sandbox.config.annotations[`${PREFIX}exec-exit-code`] ?? 0)
    return { exitCode, stdout: '', stderr: '', timedOut: false }
  }

  async execStream(
    id: string,
    command: readonly string[],
    options: StreamOptions,
  ): Promise<ContainerStreams> {
    const { exitCode } = await this.exec(id, command)
    return simulateExec(command, options, exitCode)
  }

  async attach(id: string, options: StreamOptions): Promise<ContainerStreams> {
    const container = this.#mustContainer(id)
    if (container.state !== 'running') {
      throw new Mk8sError('kubelet/runtime', `container ${id} is not running`)
    }
    return simulateAttach(options, container.ended.promise)
  }

  async portForward(sandboxId: string, port: number): Promise<never> {
    throw new Mk8sError('kubelet/runtime', `simulated pods listen on no port, so not on ${port} either`, {
      fields: { sandboxId },
    })
  }

  /** There is nothing that would be limited. */
  async updateContainer(id: string): Promise<void> {
    const { state } = this.#mustContainer(id)
    if (state !== 'running') throw new Mk8sError('kubelet/runtime', `container ${id} is not running`)
  }

  /** Writes nothing while it runs. */
  async reopenLog(): Promise<void> {}

  async imageStatus(image: string): Promise<ImageStatus> {
    return { image, imageId: `simulated://${image}` }
  }

  async ensureImage(image: string): Promise<ImageStatus> {
    return this.imageStatus(image)
  }

  /** Simulated programs use nothing. */
  async containerUsage() {
    const idle = { cpuNanos: 0, workingSetBytes: 0, usageBytes: 0, rssBytes: 0, processes: 1 }
    const timeMs = this.#parts.clock.now()
    const running = [...this.#containers.values()].filter(({ state }) => state === 'running')
    return running.map(({ id }) => ({ id, timeMs, ...idle, pageFaults: 0, majorPageFaults: 0 }))
  }

  async #log(container: SimulatedContainer, text: string | undefined): Promise<void> {
    if (text === undefined) return
    const writer = new ContainerLogWriter(logPathOf(container), this.#parts.clock)
    await writer.open()
    await writer.write('stdout', Buffer.from(`${text}\n`))
    await writer.close()
  }

  #exit(container: SimulatedContainer, exitCode: number): void {
    if (container.state !== 'running') return
    container.timer?.cancel()
    container.state = 'exited'
    container.exitCode = exitCode
    container.finishedAt = this.#parts.clock.now()
    container.ended.resolve(exitCode)
    const podUid = container.sandbox.config.metadata.uid
    const onEvent = this.#onEvent
    queueMicrotask(() => onEvent({ type: 'container-exited', podUid, containerId: container.id }))
  }

  #mustContainer(id: string): SimulatedContainer {
    const container = this.#containers.get(id)
    if (container === undefined) throw new Mk8sError('kubelet/runtime', `container ${id} does not exist`)
    return container
  }

  #newId(): string {
    return Buffer.from(this.#parts.random.bytes(32)).toString('hex')
  }
}

function logPathOf(container: SimulatedContainer): string {
  return join(container.sandbox.config.logDirectory, container.config.logPath)
}

function renderSandbox(sandbox: Sandbox): SandboxStatus {
  return {
    id: sandbox.id,
    metadata: sandbox.config.metadata,
    state: sandbox.state,
    createdAt: sandbox.createdAt,
    addresses: sandbox.address === '' ? [] : [sandbox.address],
  }
}

function renderContainer(container: SimulatedContainer): ContainerStatus {
  const hasEnded = container.state === 'exited'
  return {
    id: container.id,
    sandboxId: container.sandbox.id,
    podUid: container.sandbox.config.metadata.uid,
    name: container.config.name,
    attempt: container.config.attempt,
    state: container.state,
    createdAt: container.createdAt,
    startedAt: container.startedAt,
    finishedAt: container.finishedAt,
    exitCode: container.exitCode,
    signal: 0,
    reason: hasEnded ? (container.exitCode === 0 ? 'Completed' : 'Error') : '',
    message: '',
    image: container.config.image,
    imageId: `simulated://${container.config.image}`,
    logPath: logPathOf(container),
    labels: container.config.labels,
    annotations: container.config.annotations,
  }
}
