/**
 * A program inside a running container, started through containerd's own API: its input and output are named pipes,
 * so that they need no server in between, end one by one, and hold back whoever is too fast.
 */
import { randomBytes } from 'node:crypto'
import { closeSync, constants, openSync, rmSync } from 'node:fs'
import { mkdtemp } from 'node:fs/promises'
import { Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Mk8sError, messageOf } from '../../../../base/errors.ts'
import { makeFifos, openWriter } from '../process/fifos.ts'
import type { ContainerStreams, StreamOptions, TerminalSize } from '../streams.ts'
import type { CriClient } from './cri-client.ts'
import { CONTAINERD_NAMESPACE } from './exit-watch.ts'

export interface TaskExecRequest {
  readonly containerId: string
  readonly command: readonly string[]
  readonly options: StreamOptions
}

const TASKS = 'containerd.services.tasks.v1.Tasks'
const SPEC_TYPE = 'types.containerd.io/opencontainers/runtime-spec/1/Process'
const CALL_MS_MAX = 30_000
const SIGKILL = 9
/** What gRPC puts before the runtime's own words. */
const RPC_HEAD = /^rpc error: code = \w+ desc = /

export async function startTaskExec(client: CriClient, request: TaskExecRequest): Promise<ContainerStreams> {
  const spec = await processSpec(client, request)
  const directory = await mkdtemp(join(tmpdir(), 'mk8s-exec-'))
  const exec = new TaskExec(client, request, directory)
  try {
    return await exec.start(spec)
  } catch (error) {
    rmSync(directory, { recursive: true, force: true })
    throw error
  }
}

/** The container's own process with another command line. */
async function processSpec(
  client: CriClient,
  { containerId, command, options }: TaskExecRequest,
): Promise<object> {
  const { info = '{}' } = await client.containerInfo(containerId)
  const { runtimeSpec } = JSON.parse(info) as { runtimeSpec?: { process?: Record<string, unknown> } }
  const own = runtimeSpec?.process
  if (own === undefined) throw new Mk8sError('kubelet/runtime', `container ${containerId} has no process`)
  const env = (own['env'] as readonly string[] | undefined) ?? []
  const { tty, size } = options
  return {
    ...own,
    args: command,
    terminal: tty,
    env: tty && !env.some(entry => entry.startsWith('TERM=')) ? [...env, 'TERM=xterm'] : env,
    ...(size === undefined ? {} : { consoleSize: size }),
  }
}

class TaskExec {
  readonly #client: CriClient
  readonly #containerId: string
  readonly #options: StreamOptions
  readonly #directory: string
  readonly #execId = randomBytes(32).toString('hex')
  #hasEnded = false

  constructor(client: CriClient, { containerId, options }: TaskExecRequest, directory: string) {
    this.#client = client
    this.#containerId = containerId
    this.#options = options
    this.#directory = directory
  }

  async start(spec: object): Promise<ContainerStreams> {
    const { stdin, stdout, stderr, tty } = this.#options
    const pathOf = (name: string, isUsed: boolean) => (isUsed ? join(this.#directory, name) : '')
    const paths = {
      stdin: pathOf('stdin', stdin),
      stdout: pathOf('stdout', stdout || tty),
      stderr: pathOf('stderr', stderr && !tty),
    }
    const used = Object.values(paths).filter(path => path !== '')
    if (used.length > 0) await makeFifos(used)
    // Held open on both sides until the program has its ends, so that nobody sees an end too early.
    const held = used.map(path => openSync(path, constants.O_RDWR | constants.O_NONBLOCK))
    try {
      const output = (path: string) => (path === '' ? null : openReader(path))
      const streams = { stdout: output(paths.stdout), stderr: output(paths.stderr) }
      const value = Buffer.from(JSON.stringify(spec))
      await this.#call('Exec', { ...paths, terminal: tty, spec: { typeUrl: SPEC_TYPE, value } })
      const exited = this.#wait()
      // Of a program that cannot be started, whoever asked hears by the start.
      exited.catch(() => {})
      const input = paths.stdin === '' ? null : this.#openInput(paths.stdin)
      await this.#begin()
      if (this.#options.size !== undefined) this.#resize(this.#options.size)
      return {
        ...streams,
        stdin: input,
        exited,
        resize: size => this.#resize(size),
        close: () => this.#close(),
      }
    } finally {
      for (const fd of held) closeSync(fd)
    }
  }

  /** As CRI's own exec says it, which is what kubectl then shows. */
  async #begin(): Promise<void> {
    try {
      await this.#call('Start', {})
    } catch (error) {
      await this.#try('DeleteProcess', {})
      const why = messageOf(error).replace(RPC_HEAD, '')
      const message = `failed to exec in container: failed to start exec "${this.#execId}": ${why}`
      throw new Mk8sError('kubelet/runtime', message, { cause: error })
    }
  }

  #openInput(path: string): Socket {
    const socket = openWriter(path)
    // The shim holds the pipe open too, and closes it when it is told to.
    socket.once('close', () => void this.#try('CloseIO', { stdin: true }))
    socket.on('error', () => {})
    return socket
  }

  async #wait(): Promise<number> {
    try {
      const answer = await this.#call<{ exitStatus: number }>('Wait', {}, Number.POSITIVE_INFINITY)
      return answer.exitStatus
    } finally {
      this.#hasEnded = true
      await this.#try('DeleteProcess', {})
      rmSync(this.#directory, { recursive: true, force: true })
    }
  }

  #resize({ width, height }: TerminalSize): void {
    if (this.#options.tty) void this.#try('ResizePty', { width, height })
  }

  #close(): void {
    if (!this.#hasEnded) void this.#try('Kill', { signal: SIGKILL })
  }

  /** What comes too late for a program that has ended is no error. */
  async #try(method: string, request: object): Promise<void> {
    await this.#call(method, request).catch(() => {})
  }

  #call<Answer>(method: string, request: object, deadlineMs = CALL_MS_MAX): Promise<Answer> {
    const target = { containerId: this.#containerId, execId: this.#execId }
    const metadata = { 'containerd-namespace': CONTAINERD_NAMESPACE }
    return this.#client.channel.call(TASKS, method, { ...target, ...request }, { deadlineMs, metadata })
  }
}

function openReader(path: string): Socket {
  const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  return new Socket({ fd, readable: true, writable: false })
}
