/**
 * A containerd of our own: its directory, socket, images and pod network belong to this node alone. It is started
 * when it does not run, found again when it does, and goes on running when the daemon stops.
 */
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, rmSync } from 'node:fs'
import { type BackoffConfig, backoffMs } from '../../../../base/backoff.ts'
import { type Clock, sleep, type Timer } from '../../../../base/clock.ts'
import type { Component, Health } from '../../../../base/component.ts'
import { Mk8sError, messageOf } from '../../../../base/errors.ts'
import type { Log } from '../../../../base/log.ts'
import { readOrEmpty, writeFileDurably } from '../../../../host/files.ts'
import { isRunning, type ProcessIdentity, readPidFile, writePidFile } from '../../../../host/processes.ts'
import { runProgram, spawnDetached } from '../../../../host/programs.ts'
import type { PodRange } from '../../pod-range.ts'
import { POD_NETWORK_FILE, renderPodNetwork } from '../pod-network.ts'
import {
  type ContainerdFacts,
  type ContainerdPaths,
  containerdPaths,
  renderContainerdConfig,
} from './containerd-config.ts'
import { CriClient } from './cri-client.ts'
import { endLostShims } from './shims.ts'

export interface ManagedContainerdParts {
  readonly dataDir: string
  /** Of this node; pods can be started once it is there. */
  readonly podRange: Pick<PodRange, 'cidrs' | 'onChange'> & Partial<Pick<PodRange, 'mtu'>>
  /** Directories whose mounts pods may see and make: they become shared mounts. */
  readonly sharedDirectories: readonly string[]
  readonly facts: () => ContainerdFacts
  /** Puts the image that sandboxes are made of into the containerd behind this socket. */
  readonly importSandboxImage: (socketPath: string) => Promise<void>
  /** What is run with `--config FILE`; `containerd` unless given. */
  readonly program?: readonly [string, ...string[]]
  readonly clock: Clock
  readonly log: Log
}

const LOOK_MS = 2_000
const ANSWER_MS_MAX = 30_000
const ANSWER_POLL_MS = 10
const RETRY: BackoffConfig = { baseMs: 200, maxMs: 30_000 }
/** One that ran for so long has not failed at its start. */
const STEADY_MS = 60_000
const LOG_WORDS = 400

export class ManagedContainerd implements Component {
  readonly name = 'containerd'
  readonly #parts: ManagedContainerdParts
  readonly #paths: ContainerdPaths
  #identity: ProcessIdentity | undefined
  #timer: Timer | null = null
  readonly #stopper = new AbortController()
  #failures = 0
  #startedMs = 0
  #isStopped = false
  #launching: Promise<void> = Promise.resolve()
  #problem = 'containerd has not been started yet'

  constructor(parts: ManagedContainerdParts) {
    this.#parts = parts
    this.#paths = containerdPaths(parts.dataDir)
  }

  get socketPath(): string {
    return this.#paths.socket
  }

  async prepare(): Promise<void> {}

  /** Returns once it answers and has the sandbox image. */
  async start(signal: AbortSignal): Promise<void> {
    const facts = this.#parts.facts()
    for (const directory of this.#parts.sharedDirectories) await shareMount(directory)
    this.#writeFiles(facts)
    this.#identity = readPidFile(this.#paths.pid)
    const isNew = this.#identity === undefined
    if (isNew) await this.#launch()
    await this.#answers(signal, facts)
    if (isNew) void this.#endLostShims()
    this.#problem = ''
    this.#watch()
  }

  async stop(): Promise<void> {
    this.#isStopped = true
    this.#stopper.abort()
    this.#timer?.cancel()
    // Whoever ends containerd next must know its process.
    await this.#launching.catch(() => {})
  }

  health(): Health {
    return { ok: this.#problem === '', reason: this.#problem }
  }

  #writeFiles(facts: ContainerdFacts): void {
    const paths = this.#paths
    for (const directory of [paths.directory, paths.cniConfig, paths.registries]) {
      mkdirSync(directory, { recursive: true, mode: 0o700 })
    }
    writeFileDurably(paths.config, renderContainerdConfig(paths, facts), 0o600)
    const { podRange } = this.#parts
    const ipam = `${paths.directory}/ipam`
    const hasBandwidth = existsSync(`${facts.cniPlugins}/bandwidth`)
    const writeNetwork = (podCidrs: readonly string[]) => {
      const network = renderPodNetwork({ ipam, podCidrs, mtu: podRange.mtu ?? null, hasBandwidth })
      writeFileDurably(`${paths.cniConfig}/${POD_NETWORK_FILE}`, network, 0o600)
    }
    if (podRange.cidrs.length > 0) writeNetwork(podRange.cidrs)
    // containerd watches the directory.
    podRange.onChange(writeNetwork)
  }

  async #launch(): Promise<void> {
    const { clock, dataDir, log, program = ['containerd'] } = this.#parts
    const [name, ...words] = program
    this.#forgetLastBoot()
    mkdirSync(`${dataDir}/run`, { recursive: true, mode: 0o700 })
    const output = openSync(this.#paths.log, 'w', 0o600)
    try {
      const { pid } = await spawnDetached(name, [...words, '--config', this.#paths.config], {
        cwd: '/',
        env: environment(),
        stdio: ['ignore', output, output],
      })
      writePidFile(this.#paths.pid, pid)
      this.#identity = readPidFile(this.#paths.pid)
      this.#startedMs = clock.monotonic()
      log.info('containerd was started', { pid })
    } finally {
      closeSync(output)
    }
  }

  /** What ran before the machine was restarted is gone, and its records would only mislead. */
  #forgetLastBoot(): void {
    const note = `${this.#paths.directory}/boot`
    const bootId = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8')
    if (readOrEmpty(note) !== bootId) {
      rmSync(this.#paths.state, { recursive: true, force: true })
      rmSync(`${this.#paths.directory}/ipam`, { recursive: true, force: true })
      writeFileDurably(note, bootId, 0o600)
    }
  }

  async #answers(signal: AbortSignal, { sandboxImage }: ContainerdFacts): Promise<void> {
    const { clock, importSandboxImage } = this.#parts
    const deadline = clock.monotonic() + ANSWER_MS_MAX
    const client = await CriClient.open(this.#paths.socket)
    try {
      for (;;) {
        signal.throwIfAborted()
        try {
          if ((await client.imageStatus(sandboxImage)) === null) await importSandboxImage(this.#paths.socket)
          return
        } catch (error) {
          const hasEnded = this.#identity === undefined || !isRunning(this.#identity)
          if (hasEnded || clock.monotonic() > deadline) throw this.#silent(error)
        }
        await sleep(clock, ANSWER_POLL_MS, signal)
      }
    } finally {
      client.close()
    }
  }

  #silent(cause: unknown): Mk8sError {
    const words = readOrEmpty(this.#paths.log).trim().slice(-LOG_WORDS)
    return new Mk8sError('kubelet/runtime', 'containerd does not answer', {
      why: `${messageOf(cause)}${words === '' ? '' : `\n${words}`}`,
      hint: `see ${this.#paths.log}`,
      cause,
    })
  }

  /** Those that the containerd before this one left behind. */
  async #endLostShims(): Promise<void> {
    const { clock, log } = this.#parts
    const containerd = this.#identity
    if (containerd === undefined) return
    const { signal } = this.#stopper
    try {
      const ids = await endLostShims({ socketPath: this.#paths.socket, containerd, clock, signal })
      for (const id of ids) log.info('a shim that containerd has lost was ended', { sandbox: id })
    } catch (error) {
      if (!signal.aborted) log.warn('shims that containerd may have lost stay', { error: messageOf(error) })
    }
  }

  #watch(): void {
    if (this.#isStopped) return
    this.#timer = this.#parts.clock.after(LOOK_MS, () => void this.#look())
  }

  async #look(): Promise<void> {
    const { clock, log } = this.#parts
    if (this.#identity !== undefined && isRunning(this.#identity)) return this.#watch()
    this.#failures = clock.monotonic() - this.#startedMs > STEADY_MS ? 1 : this.#failures + 1
    this.#problem = 'containerd has ended and is being started again'
    log.warn('containerd has ended and is started again', { failures: this.#failures })
    try {
      if (this.#failures > 1) await sleep(clock, backoffMs(RETRY, this.#failures - 1))
      if (this.#isStopped) return
      this.#launching = this.#launch()
      await this.#launching
      this.#problem = ''
      void this.#endLostShims()
    } catch (error) {
      this.#problem = messageOf(error)
    }
    this.#watch()
  }
}

/** containerd sees nothing of the shell that happened to start the daemon. */
function environment(): Record<string, string> {
  const path = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
  const passed = ['HTTP_PROXY', 'HTTPS_PROXY', 'NO_PROXY', 'http_proxy', 'https_proxy', 'no_proxy', 'TZ']
  const proxies = passed.flatMap(name => (process.env[name] === undefined ? [] : [[name, process.env[name]]]))
  return { PATH: path, HOME: '/root', LANG: 'C.UTF-8', ...Object.fromEntries(proxies) }
}

/** A mount point of its own, whose later mounts reach into pods and back. */
export async function shareMount(directory: string): Promise<void> {
  mkdirSync(directory, { recursive: true, mode: 0o750 })
  const points = readOrEmpty('/proc/self/mountinfo')
    .split('\n')
    .map(line => line.split(' '))
  const own = points.find(fields => fields[4] === directory)
  if (own?.some(field => field.startsWith('shared:'))) return
  if (own === undefined) await runProgram('mount', ['--bind', directory, directory])
  await runProgram('mount', ['--make-rshared', directory])
}
