/** Programs, clients and connections inside containers of the oci runtime: exec, attach and port-forward. */
import type { Duplex } from 'node:stream'
import type { Clock } from '../../../../base/clock.ts'
import { Mk8sError } from '../../../../base/errors.ts'
import type { RunningExec } from '../process/exec-streams.ts'
import type { ExecResult } from '../runtime.ts'
import type { ContainerStreams, StreamOptions } from '../streams.ts'
import { resizeTerminal } from './conmon.ts'
import type { OciContainers } from './oci-containers.ts'
import { type ExecTarget, execStreams, execSync } from './oci-exec.ts'
import { sandboxFiles } from './oci-paths.ts'
import type { OciSandboxes } from './oci-sandboxes.ts'
import { openAttach, openPort } from './relay.ts'

export interface OciStreamsParts {
  readonly containers: OciContainers
  readonly sandboxes: OciSandboxes
  readonly newId: () => string
  readonly clock: Clock
}

export class OciStreams {
  readonly #parts: OciStreamsParts
  /** Programs of clients, by container. */
  readonly #execs = new Map<string, Set<RunningExec>>()

  constructor(parts: OciStreamsParts) {
    this.#parts = parts
  }

  stop(): void {
    for (const id of this.#execs.keys()) this.ended(id)
  }

  /** The container has ended, and what clients run in it with it. */
  ended(id: string): void {
    for (const exec of this.#execs.get(id) ?? []) exec.kill()
  }

  async exec(
    id: string,
    command: readonly string[],
    options: { readonly timeoutMs: number; readonly signal?: AbortSignal },
  ): Promise<ExecResult> {
    return execSync(this.#target(id), command, options)
  }

  async execStream(
    id: string,
    command: readonly string[],
    options: StreamOptions,
  ): Promise<ContainerStreams> {
    const exec = await execStreams(this.#target(id), command, options)
    const all = this.#execs.get(id) ?? new Set()
    this.#execs.set(id, all.add(exec))
    void exec.exited.then(() => {
      all.delete(exec)
      if (all.size === 0) this.#execs.delete(id)
    })
    return exec
  }

  async attach(id: string, options: StreamOptions): Promise<ContainerStreams> {
    const record = this.#parts.containers.mustRunning(id)
    const { config } = record
    const directory = this.#parts.containers.directoryOf(id)
    const relay = await openAttach(directory, { endsInput: config.stdinOnce === true && config.tty !== true })
    const takesInput = options.stdin && config.stdin === true
    if (!options.stdout) relay.stdout.resume()
    if (!options.stderr) relay.stderr.resume()
    return {
      stdin: takesInput ? relay.stdin : null,
      stdout: options.stdout ? relay.stdout : null,
      stderr: options.stderr && config.tty !== true ? relay.stderr : null,
      resize: size => void resizeTerminal(directory, size).catch(() => {}),
      exited: this.#parts.containers.ended(id).then(() => this.#parts.containers.get(id)?.exitCode ?? 0),
      close: () => relay.kill(),
    }
  }

  async portForward(sandboxId: string, port: number): Promise<Duplex> {
    const sandbox = this.#parts.sandboxes.get(sandboxId)
    if (sandbox === undefined || sandbox.state !== 'ready') {
      throw new Mk8sError('kubelet/runtime', `sandbox ${sandboxId} is not running`)
    }
    const { net } = sandboxFiles(this.#parts.sandboxes.directoryOf(sandboxId))
    return openPort(sandbox.config.hostNetwork ? undefined : net, port)
  }

  #target(id: string): ExecTarget {
    const record = this.#parts.containers.mustRunning(id)
    return {
      id,
      directory: this.#parts.containers.directoryOf(id),
      program: this.#parts.containers.programOf(record),
      init: record.init?.pid ?? 0,
      name: this.#parts.newId().slice(0, 16),
      clock: this.#parts.clock,
      ended: this.#parts.containers.ended(id),
    }
  }
}
