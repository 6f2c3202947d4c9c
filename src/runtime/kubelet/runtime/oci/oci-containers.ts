/** The containers of the oci runtime: made, started, watched to their end, and found again by a later daemon. */

import { type FSWatcher, watch } from 'node:fs'
import { mkdir, readFile, rm, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { type Clock, sleep, type Timer } from '../../../../base/clock.ts'
import { Mk8sError, messageOf } from '../../../../base/errors.ts'
import type { Log } from '../../../../base/log.ts'
import { mountsBelow, unmountBelow } from '../../../../host/mounts.ts'
import {
  identifyProcess,
  isRunning,
  type ProcessIdentity,
  signalProcess,
} from '../../../../host/processes.ts'
import { processesIn } from '../cri/pod-cgroups.ts'
import { RecordStore } from '../process/records.ts'
import { renderRecord } from '../render-record.ts'
import type { ContainerStatus } from '../runtime.ts'
import { beginContainer } from './begin.ts'
import {
  createWithConmon,
  deleteContainer,
  forgetContainer,
  type OciProgram,
  readExit,
  reopenLog,
} from './conmon.ts'
import { makeBundle, type NewContainer } from './container-bundle.ts'
import { endExecs } from './oci-exec.ts'
import { containerFiles, type OciPaths } from './oci-paths.ts'
import type { ContainerRecord } from './oci-records.ts'
import type { SpecHost } from './render-spec.ts'

export interface ContainersParts {
  readonly paths: OciPaths
  readonly layersDirectory: string
  /** Directory for roots of containers with user namespaces. */
  readonly passage: string
  readonly conmon: string
  readonly host: SpecHost
  readonly cdiDirectories: readonly string[]
  readonly clock: Clock
  readonly log: Log
  readonly onExit: (record: ContainerRecord) => void
}

/** conmon leaves an exit code, unless it is killed itself; looked at so often. */
const LOOK_MS = 2_000
/** How long an exit code may take after the processes have gone. */
const EXIT_MS = 2_000
const KILL_PAUSE_MS = 20
const KILL_ROUNDS_MAX = 500
const KILLED = 137

export class OciContainers {
  readonly #parts: ContainersParts
  readonly #store: RecordStore<ContainerRecord>
  readonly #records = new Map<string, ContainerRecord>()
  readonly #ends = new Map<string, PromiseWithResolvers<void>>()
  #watcher: FSWatcher | null = null
  #timer: Timer | null = null
  #isStopped = false

  constructor(parts: ContainersParts) {
    this.#parts = parts
    this.#store = new RecordStore(parts.paths.containers)
  }

  async start(): Promise<void> {
    const { exits } = this.#parts.paths
    await mkdir(exits, { recursive: true, mode: 0o700 })
    // Before the look at what is there, so that nothing is missed in between.
    this.#watcher = watch(exits, { persistent: false }, (_event, name) => void this.#noteExit(name ?? ''))
    const records = await this.#store.load()
    for (const record of records) this.#records.set(record.id, record)
    await Promise.all(records.map(record => this.#adopt(record)))
    this.#look()
  }

  stop(): void {
    this.#isStopped = true
    this.#watcher?.close()
    this.#timer?.cancel()
  }

  get(id: string): ContainerRecord | undefined {
    return this.#records.get(id)
  }

  must(id: string): ContainerRecord {
    const record = this.#records.get(id)
    if (record === undefined) throw new Mk8sError('kubelet/runtime', `container ${id} does not exist`)
    return record
  }

  mustRunning(id: string): ContainerRecord {
    const record = this.must(id)
    if (isLive(record) && record.init !== null && isRunning(record.init)) return record
    throw new Mk8sError('kubelet/runtime', `container ${id} is not running`)
  }

  all(): ContainerRecord[] {
    return [...this.#records.values()]
  }

  directoryOf(id: string): string {
    return this.#store.directoryOf(id)
  }

  /** Where something of it may be mounted. */
  placesOf(id: string): string[] {
    const { root } = this.#records.get(id) ?? {}
    return [this.directoryOf(id), ...(root === undefined ? [] : [root])]
  }

  async create(wanted: NewContainer): Promise<string> {
    const { id } = wanted
    const record = this.#newRecord(wanted)
    await mkdir(dirname(record.logPath), { recursive: true, mode: 0o755 })
    // From here on whoever comes after a kill knows what to take away.
    await this.#store.save(record)
    this.#records.set(id, record)
    try {
      const user = await makeBundle(record, wanted, { ...this.#parts, directory: this.directoryOf(id) })
      record.user = { uid: user.uid, gid: user.gid, groups: user.additionalGids }
      return id
    } catch (error) {
      await this.remove(id)
      throw error
    }
  }

  async startContainer(id: string): Promise<void> {
    const record = this.must(id)
    if (record.startedAt !== 0) return
    const { paths, conmon, clock } = this.#parts
    const { config } = record
    record.begun = true
    await this.#store.save(record)
    const program = this.programOf(record)
    try {
      const created = await createWithConmon({
        ...{ id, conmon, exits: paths.exits, logPath: record.logPath, runtime: program },
        directory: this.directoryOf(id),
        tty: config.tty === true,
        stdin: config.stdin === true,
        stdinOnce: config.stdinOnce === true,
      })
      record.conmon = created.conmon
      record.init = created.init
      record.startedAt = clock.now()
      await this.#store.save(record)
      await this.#begin(record)
    } catch (error) {
      await this.#failStart(record, messageOf(error))
      throw error
    }
    void this.#noteExit(id)
  }

  /** SIGTERM or what the image wants instead, and SIGKILL to everything in it after the time. */
  async stopContainer(id: string, gracePeriodMs: number): Promise<void> {
    const record = this.#records.get(id)
    if (record === undefined || !isLive(record)) return
    const ended = this.ended(id)
    if (gracePeriodMs > 0 && record.init !== null) {
      signalProcess(record.init, record.stopSignal as NodeJS.Signals)
      const late = sleep(this.#parts.clock, gracePeriodMs).then(() => false)
      if (await Promise.race([ended.then(() => true), late])) return
    }
    await this.#kill(record)
    await ended
  }

  /** Resolves once it has ended. */
  ended(id: string): Promise<void> {
    const record = this.#records.get(id)
    if (record === undefined || !isLive(record)) return Promise.resolve()
    const end = this.#ends.get(id) ?? Promise.withResolvers<void>()
    this.#ends.set(id, end)
    return end.promise
  }

  /** What it wrote stays; all else goes. */
  async remove(id: string): Promise<void> {
    const record = this.#records.get(id)
    if (record === undefined) return
    await this.stopContainer(id, 0)
    if (record.begun) await forgetContainer(this.programOf(record), id, record.cgroup)
    const places = this.placesOf(id)
    await unmountBelow(places)
    // What is still mounted would be emptied.
    const [left] = mountsBelow(places)
    if (left !== undefined) throw new Mk8sError('kubelet/runtime', `${left} is still mounted`)
    await this.#store.remove(id)
    if (record.root !== undefined) await rm(record.root, { recursive: true, force: true })
    await rm(join(this.#parts.paths.exits, id), { force: true })
    this.#records.delete(id)
  }

  async reopenLog(id: string): Promise<void> {
    if (isLive(this.must(id))) await reopenLog(this.directoryOf(id))
  }

  programOf({ program }: Pick<ContainerRecord, 'program'>): OciProgram {
    return { path: program, state: join(this.#parts.paths.state, basename(program)) }
  }

  #newRecord({ id, sandbox, config, image, volumeImages, podCgroup }: NewContainer): ContainerRecord {
    return {
      id,
      sandboxId: sandbox.id,
      podUid: sandbox.config.metadata.uid,
      config,
      imageId: image.repoDigest ?? image.id,
      layers: image.layers,
      volumeLayers: [...volumeImages.values()].flatMap(({ layers }) => layers),
      cgroup: join(podCgroup, id),
      stopSignal: signalName(config.stopSignal ?? image.config.StopSignal),
      path: this.directoryOf(id),
      root: sandbox.config.isolation?.userRange === undefined ? undefined : join(this.#parts.passage, id),
      program: sandbox.program,
      logPath: join(sandbox.config.logDirectory, config.logPath),
      createdAt: this.#parts.clock.now(),
      begun: false,
      startedAt: 0,
      finishedAt: 0,
      exitCode: 0,
      reason: '',
      message: '',
      conmon: null,
      init: null,
    }
  }

  #begin(record: ContainerRecord): Promise<void> {
    const { id, init } = record
    const { clock } = this.#parts
    const directory = this.directoryOf(id)
    return beginContainer({ id, directory, init, clock, program: this.programOf(record) })
  }

  async #failStart(record: ContainerRecord, message: string): Promise<void> {
    await deleteContainer(this.programOf(record), record.id).catch(() => {})
    await this.#settle(record, { exitCode: 128, message, reason: 'StartError' })
  }

  async #kill(record: ContainerRecord): Promise<void> {
    if (record.init !== null) signalProcess(record.init, 'SIGKILL')
    for (let round = 0; round < KILL_ROUNDS_MAX && isLive(record); round++) {
      const left = processesIn(record.cgroup)
      for (const pid of left) {
        try {
          process.kill(pid, 'SIGKILL')
        } catch {
          // It ended by itself in between.
        }
      }
      await Promise.race([this.ended(record.id), sleep(this.#parts.clock, KILL_PAUSE_MS)])
      if (left.length === 0 && (record.conmon === null || !isRunning(record.conmon))) await this.#lost(record)
    }
  }

  /** conmon names the file after the container. */
  async #noteExit(id: string): Promise<void> {
    const record = this.#records.get(id)
    if (record === undefined || !isLive(record)) return
    const exitCode = await readExit(this.#parts.paths.exits, id)
    if (exitCode !== null) await this.#settle(record, { exitCode, message: '' })
  }

  async #settle(
    record: ContainerRecord,
    { exitCode, message, reason }: { exitCode: number; message: string; reason?: string },
  ): Promise<void> {
    if (record.finishedAt !== 0) return
    const { paths, clock, log, onExit } = this.#parts
    const noted = await stat(join(paths.exits, record.id)).catch(() => null)
    const oom = await stat(containerFiles(this.directoryOf(record.id)).oom).catch(() => null)
    if (record.finishedAt !== 0) return
    record.startedAt ||= record.createdAt
    record.finishedAt = Math.max(Math.floor(noted?.mtimeMs ?? clock.now()), record.startedAt)
    record.exitCode = exitCode
    record.reason = reason ?? (oom !== null ? 'OOMKilled' : exitCode === 0 ? 'Completed' : 'Error')
    record.message = message
    if (this.#records.has(record.id)) {
      await this.#store.save(record).catch(error => {
        log.warn('the end of a container could not be recorded', { error })
      })
    }
    this.#ends.get(record.id)?.resolve()
    this.#ends.delete(record.id)
    onExit(record)
  }

  /** One that runs goes on; one whose start was cut short is as if it had never been begun. */
  async #adopt(record: ContainerRecord): Promise<void> {
    if (record.finishedAt !== 0 || !record.begun) return
    if (record.startedAt === 0) return this.#forgetStart(record)
    await this.#noteExit(record.id)
    if (!isLive(record)) return
    if (record.conmon !== null && isRunning(record.conmon)) {
      this.#parts.log.info('found a running container again', { container: record.config.name })
      await endExecs(this.directoryOf(record.id), record.cgroup)
      // Cut short between the two steps: it waits to be told to begin.
      await this.#begin(record).catch(() => {})
    } else await this.#lost(record, 0)
  }

  async #forgetStart(record: ContainerRecord): Promise<void> {
    const files = containerFiles(this.directoryOf(record.id))
    const pid = Number(await readFile(files.conmonPid, 'utf8').catch(() => ''))
    const words = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')
    const conmon = words.split('\0').includes(record.id) ? identifyProcess(pid) : undefined
    await deleteContainer(this.programOf(record), record.id)
    if (conmon !== undefined) signalProcess(conmon, 'SIGKILL')
    await rm(join(this.#parts.paths.exits, record.id), { force: true })
    record.begun = false
    await this.#store.save(record)
  }

  /** Nobody is left who could say how it ended: what is left of it is of no use. */
  async #lost(record: ContainerRecord, waitMs = EXIT_MS): Promise<void> {
    await Promise.race([this.ended(record.id), sleep(this.#parts.clock, waitMs)])
    await this.#noteExit(record.id)
    if (!isLive(record)) return
    await deleteContainer(this.programOf(record), record.id).catch(() => {})
    await this.#settle(record, { exitCode: KILLED, message: 'its monitor was killed' })
  }

  #look(): void {
    if (this.#isStopped) return
    const gone = this.all().filter(record => isLive(record) && !isWatched(record.conmon))
    for (const record of gone) {
      this.#lost(record).catch(error => this.#parts.log.warn('a lost container stays', { error }))
    }
    this.#timer = this.#parts.clock.after(LOOK_MS, () => this.#look())
  }
}

export const isLive = ({ startedAt, finishedAt }: ContainerRecord): boolean =>
  startedAt !== 0 && finishedAt === 0
const isWatched = (conmon: ProcessIdentity | null): boolean => conmon !== null && isRunning(conmon)

const signalName = (wanted = ''): string => {
  const name = wanted.toUpperCase().replace(/^(SIG)?/, 'SIG')
  return /^SIG[A-Z0-9]+$/.test(name) && !/^SIG\d/.test(name) ? name : 'SIGTERM'
}

export function renderStatus(record: ContainerRecord): ContainerStatus {
  const { user, stopSignal } = record
  return { ...renderRecord(record, record), user, stopSignal }
}
