/**
 * The `process` runtime: a container is a session of ordinary processes on the host. Images are not pulled, and limits
 * hold where the machine has control groups; the README of this folder's parent says what that means. Containers outlive the daemon.
 */

import { closeSync, existsSync, openSync, readFileSync } from 'node:fs'
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import type { Duplex } from 'node:stream'
import { type Clock, sleep } from '../../../../base/clock.ts'
import { Mk8sError, messageOf } from '../../../../base/errors.ts'
import type { Log } from '../../../../base/log.ts'
import type { Random } from '../../../../base/random.ts'
import { runProgram, spawnDetached } from '../../../../host/programs.ts'
import type { RangeOfPods } from '../address-pool.ts'
import { renderRecord } from '../render-record.ts'
import type {
  ContainerConfig,
  ContainerStatus,
  ExecResult,
  ImageStatus,
  Runtime,
  RuntimeEvent,
  SandboxConfig,
  SandboxStatus,
} from '../runtime.ts'
import type { ContainerStreams, StreamOptions } from '../streams.ts'
import { attachTo } from './attach-streams.ts'
import { ContainerProcess, readExitFile } from './container-process.ts'
import { type Entry, hostProgram, planEntry, requireInside } from './enter.ts'
import { type RunningExec, startExec } from './exec-streams.ts'
import { makeFifos, openInput } from './fifos.ts'
import {
  CONTAINER_MARK,
  identifyProcess,
  isSameProcess,
  killMarked,
  killSessionOf,
} from './host-processes.ts'
import { type Launch, type LaunchHost, planLaunch, probeIsolation } from './launch.ts'
import { KEEPER_SCRIPT, quote, renderTerminalScript } from './launch-script.ts'
import { PodSandboxes } from './pod-sandboxes.ts'
import { joining, ProcessGroups } from './process-groups.ts'
import { readProcessUsage } from './process-usage.ts'
import { type ContainerRecord, RecordStore } from './records.ts'

export interface ProcessRuntimeParts {
  /** `<data-dir>/containers`. */
  readonly directory: string
  /** Name of the control group that containers lie in; without one nothing is limited. */
  readonly nodeId?: string
  /** This node's part of the pod network; the default network's first part unless given. */
  readonly podRange?: RangeOfPods
  readonly version?: string
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
}

export function createProcessRuntime(parts: ProcessRuntimeParts): Runtime {
  return new ProcessRuntime(parts)
}

export class ProcessRuntime implements Runtime {
  readonly name = 'process'
  readonly isVirtual = false
  readonly pullsImages = false
  readonly version: string
  readonly #parts: ProcessRuntimeParts
  readonly #containerStore: RecordStore<ContainerRecord>
  readonly #sandboxes: PodSandboxes
  readonly #containers = new Map<string, ContainerRecord>()
  readonly #processes = new Map<string, ContainerProcess>()
  /** By container: programs that clients run in it. */
  readonly #execs = new Map<string, Set<RunningExec>>()
  #groups: ProcessGroups | null = null
  updateContainer?: NonNullable<Runtime['updateContainer']>
  #host: LaunchHost = { isolation: false, isRoot: false }
  #onEvent: (event: RuntimeEvent) => void = () => {}

  constructor(parts: ProcessRuntimeParts) {
    this.#parts = parts
    this.version = parts.version ?? '1.0'
    this.#sandboxes = new PodSandboxes(parts)
    this.#containerStore = new RecordStore(join(parts.directory, 'containers'))
  }

  get #readerFile(): string {
    return join(this.#parts.directory, 'reader')
  }

  get hasOwnFiles(): boolean {
    return this.#host.isolation
  }

  async start(onEvent: (event: RuntimeEvent) => void): Promise<void> {
    this.#onEvent = onEvent
    await this.#prepareGroups()
    await this.#sandboxes.load()
    await writeFile(this.#readerFile, `${process.pid}\n`, { mode: 0o600 })
    const containers = await this.#containerStore.load()
    for (const container of containers) this.#containers.set(container.id, container)
    await Promise.all(containers.map(container => this.#adopt(container)))
    this.#host = await probeIsolation(join(this.#parts.directory, 'probe'))
    if (this.#host.why !== undefined) {
      this.#parts.log.warn('volumes are reachable under $MK8S_ROOT only', { why: this.#host.why })
    }
  }

  async #prepareGroups(): Promise<void> {
    const { nodeId, log } = this.#parts
    if (nodeId === undefined) return
    const groups = new ProcessGroups(nodeId)
    const why = await groups.prepare(availableParallelism())
    if (why !== '') return log.info('containers are not limited', { why })
    this.#groups = groups
    this.updateContainer = (id, resources) => groups.limit(id, resources)
  }

  async stop(): Promise<void> {
    this.#onEvent = () => {}
    await rm(this.#readerFile, { force: true })
    for (const id of this.#execs.keys()) this.#killExecs(id)
    for (const live of this.#processes.values()) await live.detach()
    this.#processes.clear()
  }

  async runSandbox(config: SandboxConfig): Promise<string> {
    const id = this.#newId()
    await this.#sandboxes.run(id, config)
    return id
  }

  async stopSandbox(id: string): Promise<void> {
    const inside = [...this.#containers.values()].filter(container => container.sandboxId === id)
    await Promise.all(inside.map(container => this.stopContainer(container.id, 0)))
    await this.#sandboxes.end(id)
  }

  async removeSandbox(id: string): Promise<void> {
    await this.stopSandbox(id)
    for (const container of [...this.#containers.values()]) {
      if (container.sandboxId === id) await this.removeContainer(container.id)
    }
    await this.#sandboxes.remove(id)
  }

  async sandboxStatus(id: string): Promise<SandboxStatus | null> {
    return this.#sandboxes.status(id)
  }

  async listSandboxes(): Promise<readonly SandboxStatus[]> {
    return this.#sandboxes.list()
  }

  async createContainer(sandboxId: string, config: ContainerConfig): Promise<string> {
    const sandbox = this.#sandboxes.must(sandboxId)
    if (config.command.length === 0) {
      throw new Mk8sError(
        'kubelet/runtime',
        `process runtime needs spec.containers[].command: container ${config.name} has none, ` +
          'and images are not pulled, so there is no entrypoint to take',
      )
    }
    const id = this.#newId()
    const record: ContainerRecord = {
      id,
      sandboxId,
      podUid: sandbox.config.metadata.uid,
      config,
      logPath: join(sandbox.config.logDirectory, config.logPath),
      createdAt: this.#parts.clock.now(),
      startedAt: 0,
      finishedAt: 0,
      exitCode: 0,
      message: '',
      keeper: null,
      isolated: false,
    }
    const directory = this.#containerStore.directoryOf(id)
    for (const name of ['root', 'cwd']) await mkdir(join(directory, name), { recursive: true, mode: 0o755 })
    const input = hasInput(config) ? ['stdin'] : []
    await makeFifos(['stdout', 'stderr', ...input].map(name => join(directory, name)))
    await this.#containerStore.save(record)
    this.#containers.set(id, record)
    return id
  }

  async startContainer(id: string): Promise<void> {
    const record = this.#mustContainer(id)
    if (record.startedAt !== 0) return
    const directory = this.#containerStore.directoryOf(id)
    const launch = await planLaunch({ config: record.config, directory, host: this.#host })
    record.isolated = launch.isolated
    const live = new ContainerProcess({ directory, logPath: record.logPath, clock: this.#parts.clock })
    const ends = ['stdout', 'stderr'].map(name => openSync(join(directory, name), 'r+'))
    const input = hasInput(record.config) ? openInput(join(directory, 'stdin')) : null
    try {
      await live.open()
      const program = record.config.tty === true ? inTerminal(launch, directory) : launch.argv
      const argv = joining((await this.#groups?.make(id, record.config.resources ?? {})) ?? [], program)
      const args = ['-c', KEEPER_SCRIPT, 'mk8s-keeper', directory, this.#readerFile, ...argv]
      const stdio = [input === null ? ('ignore' as const) : input.fd, ...ends]
      const keeper = await spawnDetached('/bin/sh', args, {
        env: { ...launch.env, [CONTAINER_MARK]: id },
        stdio,
        cwd: directory,
      })
      record.keeper = identifyProcess(keeper.pid)
      record.startedAt = this.#parts.clock.now()
      await this.#containerStore.save(record)
      this.#processes.set(id, live)
      this.#awaitEnd(record, live)
      live.attach(record.keeper, keeper.exited)
    } finally {
      for (const fd of ends) closeSync(fd)
      if (input !== null) closeSync(input.fd)
    }
    await live.running
    // From here on the keeper's child holds it open.
    input?.socket.destroy()
    if (existsSync(join(directory, 'pid'))) return
    const why = await readFile(join(directory, 'setup-error'), 'utf8').catch(() => '')
    throw new Mk8sError(
      'kubelet/runtime',
      `failed to start container ${id}: ${why.trim() || 'no reason given'}`,
    )
  }

  async stopContainer(id: string, gracePeriodMs: number): Promise<void> {
    const live = this.#processes.get(id)
    if (live === undefined) return
    if (gracePeriodMs > 0) {
      live.signal('SIGTERM')
      const done = live.exited.then(() => true)
      if (await Promise.race([done, sleep(this.#parts.clock, gracePeriodMs).then(() => false)])) return
    }
    await live.kill()
    await live.exited
  }

  async removeContainer(id: string): Promise<void> {
    await this.stopContainer(id, 0)
    await this.#groups?.remove(id)
    await this.#containerStore.remove(id)
    this.#containers.delete(id)
  }

  async containerStatus(id: string): Promise<ContainerStatus | null> {
    const record = this.#containers.get(id)
    return record === undefined ? null : renderContainerStatus(record)
  }

  async listContainers(podUid?: string): Promise<readonly ContainerStatus[]> {
    const all = [...this.#containers.values()]
    return all.filter(({ podUid: uid }) => podUid === undefined || uid === podUid).map(renderContainerStatus)
  }

  async reopenLog(id: string): Promise<void> {
    await this.#processes.get(id)?.reopenLog()
  }

  async exec(
    id: string,
    command: readonly string[],
    options: { readonly timeoutMs: number; readonly signal?: AbortSignal },
  ): Promise<ExecResult> {
    const { entry, directory } = await this.#entryOf(id, command)
    const [program = '', ...rest] = entry.argv
    // What is executed in a container ends with it.
    const ended = new AbortController()
    void this.#processes.get(id)?.exited.then(() => ended.abort())
    try {
      return await runProgram(program, rest, {
        accept: 'any',
        cleanEnvironment: true,
        env: entry.env,
        cwd: join(directory, 'cwd'),
        timeoutMs: options.timeoutMs,
        signal: AbortSignal.any([ended.signal, ...(options.signal === undefined ? [] : [options.signal])]),
      })
    } catch (error) {
      if (ended.signal.aborted) {
        return { exitCode: 137, stdout: '', stderr: 'the container ended', timedOut: false }
      }
      if (!(error instanceof Mk8sError) || error.code !== 'host/program-missing') throw error
      return { exitCode: 127, stdout: '', stderr: messageOf(error), timedOut: false }
    }
  }

  async execStream(
    id: string,
    command: readonly string[],
    options: StreamOptions,
  ): Promise<ContainerStreams> {
    const { entry, directory } = await this.#entryOf(id, command)
    await requireInside(entry, command[0] ?? '')
    const name = Buffer.from(this.#parts.random.bytes(8)).toString('hex')
    const { clock } = this.#parts
    const exec = await startExec({ entry, options, directory: join(directory, `exec-${name}`), clock })
    const all = this.#execs.get(id) ?? new Set()
    this.#execs.set(id, all.add(exec))
    void exec.exited.then(() => {
      all.delete(exec)
      if (all.size === 0) this.#execs.delete(id)
    })
    if (!this.#processes.has(id)) exec.kill()
    return exec
  }

  async attach(id: string, options: StreamOptions): Promise<ContainerStreams> {
    const { config } = this.#mustContainer(id)
    const live = this.#processes.get(id)
    if (live === undefined) throw new Mk8sError('kubelet/runtime', `container ${id} is not running`)
    const directory = this.#containerStore.directoryOf(id)
    return attachTo({ live, directory, config, options, clock: this.#parts.clock })
  }

  portForward(sandboxId: string, port: number): Promise<Duplex> {
    return this.#sandboxes.connect(sandboxId, port)
  }

  async #entryOf(id: string, command: readonly string[]): Promise<{ entry: Entry; directory: string }> {
    const record = this.#mustContainer(id)
    const directory = this.#containerStore.directoryOf(id)
    const pid = (await readFile(join(directory, 'pid'), 'utf8').catch(() => '')).trim()
    if (pid === '' || !this.#processes.has(id)) {
      throw new Mk8sError('kubelet/runtime', `container ${id} is not running`)
    }
    return { entry: planEntry({ record, directory, pid, host: this.#host, command }), directory }
  }

  #killExecs(id: string): void {
    for (const exec of this.#execs.get(id) ?? []) exec.kill()
  }

  /** Nothing is pulled: every name is taken as it is. */
  async imageStatus(image: string): Promise<ImageStatus> {
    return { image, imageId: `process://${image}` }
  }

  async ensureImage(image: string): Promise<ImageStatus> {
    return this.imageStatus(image)
  }

  containerUsage() {
    return readProcessUsage(new Set(this.#processes.keys()), this.#parts.clock.now())
  }

  /** A container that runs goes on; one that ended meanwhile gets its facts. */
  async #adopt(record: ContainerRecord): Promise<void> {
    if (record.finishedAt !== 0) return
    const directory = this.#containerStore.directoryOf(record.id)
    record.keeper ??= findKeeper(directory)
    if (record.keeper === null) return
    record.startedAt ||= record.createdAt
    const isRunning = readExitFile(directory) === null && isSameProcess(record.keeper)
    this.#parts.log.info(isRunning ? 'found a running container again' : 'a container ended meanwhile', {
      container: record.config.name,
      id: record.id.slice(0, 12),
    })
    const live = new ContainerProcess({ directory, logPath: record.logPath, clock: this.#parts.clock })
    if (!isRunning) {
      const facts = await live.readEnd(record.keeper)
      record.ranOutOfMemory = this.#groups?.ranOutOfMemory(record.id) === true
      record.exitCode = facts.exitCode
      record.finishedAt = Math.max(facts.finishedAt, record.startedAt)
      return this.#containerStore.save(record)
    }
    await live.open()
    this.#processes.set(record.id, live)
    this.#awaitEnd(record, live)
    live.attach(record.keeper)
  }

  #awaitEnd(record: ContainerRecord, live: ContainerProcess): void {
    live.exited.then(async facts => {
      record.ranOutOfMemory = this.#groups?.ranOutOfMemory(record.id) === true
      record.exitCode = facts.exitCode
      record.finishedAt = Math.max(facts.finishedAt, record.startedAt)
      this.#processes.delete(record.id)
      this.#killExecs(record.id)
      if (!this.#containers.has(record.id)) return
      await this.#containerStore.save(record).catch(error => {
        this.#parts.log.warn('the end of a container could not be recorded', { error })
      })
      this.#onEvent({ type: 'container-exited', podUid: record.podUid, containerId: record.id })
    })
  }

  #mustContainer(id: string): ContainerRecord {
    const record = this.#containers.get(id)
    if (record === undefined) throw new Mk8sError('kubelet/runtime', `container ${id} does not exist`)
    return record
  }

  #newId(): string {
    return Buffer.from(this.#parts.random.bytes(32)).toString('hex')
  }
}

/** A terminal needs an input that stays open, even if nobody ever types. */
const hasInput = ({ stdin, tty }: ContainerConfig): boolean => stdin === true || tty === true

/** The container's program inside a terminal; what it writes there is its output. */
function inTerminal(launch: Launch, directory: string): string[] {
  const report = quote(join(directory, 'terminal'))
  const script = renderTerminalScript({ argv: launch.argv, report, shell: launch.env['SHELL'] })
  return ['env', 'SHELL=/bin/sh', hostProgram('script'), '-qfec', script, '/dev/null']
}

/** The keeper of a container whose start was cut short by the daemon's end. */
function findKeeper(directory: string): { pid: number; startedTicks: string } | null {
  try {
    const pid = Number(readFileSync(join(directory, 'keeper'), 'utf8'))
    const isOurs = readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(directory)
    return isOurs ? identifyProcess(pid) : { pid, startedTicks: 'gone' }
  } catch {
    return null
  }
}

/** Ends everything that the runtime in this directory started: for uninstall and reset, with no daemon running. */
export async function killAllContainers(directory: string): Promise<void> {
  const records = await new RecordStore<ContainerRecord>(join(directory, 'containers')).load()
  for (const { id, keeper } of records) {
    if (keeper !== null) killSessionOf(keeper)
    killMarked(id)
  }
}

const endOf = ({ ranOutOfMemory, exitCode }: ContainerRecord): string =>
  ranOutOfMemory ? 'OOMKilled' : exitCode === 0 ? 'Completed' : 'Error'

function renderContainerStatus(record: ContainerRecord): ContainerStatus {
  const hasEnded = record.finishedAt !== 0
  return renderRecord(record, {
    reason: hasEnded ? endOf(record) : '',
    imageId: `process://${record.config.image}`,
  })
}
