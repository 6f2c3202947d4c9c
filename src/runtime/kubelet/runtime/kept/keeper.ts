/**
 * The keeper of one container, a process of its own that outlives the daemon: starts the program, writes its log, notes
 * its exit code, and answers the daemon over a local endpoint. Where it is more than a shell could do: macOS, Windows.
 */
import { readFileSync } from 'node:fs'
import { createServer, type Server, type Socket } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { sleepAlive, systemClock } from '../../../../base/clock.ts'
import { messageOf } from '../../../../base/errors.ts'
import { isBundled } from '../../../../host/assets.ts'
import { writeFileDurably } from '../../../../host/files.ts'
import {
  type ChildProcess,
  createProcessFamily,
  type ProcessFamily,
} from '../../../../host/process-family.ts'
import { ContainerLogWriter, type LogStream } from '../container-log.ts'
import { exitCodeOf, feed } from './keeper-io.ts'
import { Cutter, FRAME, frame, type KeeperRequest, type KeeperState, stateFrame } from './keeper-protocol.ts'
import { runKeptExec } from './kept-exec.ts'
import type { KeptLaunch } from './kept-launch.ts'

export const LAUNCH_FILE = 'launch.json'
export const EXIT_FILE = 'exit'

/** How long pipes that strays hold are waited for after the end. */
const DRAIN_MS = 1_000
/** What cannot be sent to a client that does not read is let go with the client. */
const CLIENT_BYTES_MAX = 1024 * 1024
/** How long clients may take to read the last of it. */
const FAREWELL_MS = 2_000

/** Runs until the container has ended. */
export async function runKeeper(directory: string): Promise<number> {
  const launch = JSON.parse(readFileSync(join(directory, LAUNCH_FILE), 'utf8')) as KeptLaunch
  for (const name of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(name, () => {})
  const keeper = new Keeper(directory, launch)
  return keeper.run()
}

class Keeper {
  readonly #directory: string
  readonly #launch: KeptLaunch
  readonly #family: ProcessFamily = createProcessFamily()
  readonly #log: ContainerLogWriter
  readonly #watchers = new Set<Socket>()
  readonly #taps = new Map<Socket, ReadonlySet<LogStream>>()
  readonly #execs = new Set<number>()
  readonly #ended = Promise.withResolvers<number>()
  #child: ChildProcess | null = null
  #state: KeeperState = {}

  constructor(directory: string, launch: KeptLaunch) {
    this.#directory = directory
    this.#launch = launch
    this.#log = new ContainerLogWriter(launch.logPath, systemClock)
  }

  async run(): Promise<number> {
    await this.#log.open()
    const server = await this.#listen()
    this.#start()
    const code = await this.#ended.promise
    await this.#log.close()
    writeFileDurably(join(this.#directory, EXIT_FILE), `${code}\n`, 0o600)
    this.#tell({ ...this.#state, exitCode: code })
    await this.#sayFarewell(server)
    return 0
  }

  #listen(): Promise<Server> {
    const server = createServer(socket => this.#serve(socket))
    return new Promise((resolve, reject) => {
      server.once('error', reject)
      server.listen(this.#launch.endpoint, () => resolve(server))
    })
  }

  #start(): void {
    const { command, stdin } = this.#launch
    const child = this.#family.start(command, { ...this.#launch, hasInput: stdin })
    this.#child = child
    child.stdin?.on('error', () => {})
    const drained = (['stdout', 'stderr'] as const).map(name => this.#copy(name, child))
    child.once('spawn', () => this.#tell({ pid: child.pid ?? 0 }))
    child.once('error', error => {
      if (this.#state.pid !== undefined) return
      this.#tell({ failed: messageOf(error) })
      this.#ended.resolve(128)
    })
    child.once('exit', (code, signal) => {
      for (const pid of [child.pid ?? 0, ...this.#execs]) this.#family.end(pid)
      const waits = Promise.race([Promise.all(drained), sleepAlive(systemClock, DRAIN_MS)])
      void waits.then(() => this.#ended.resolve(exitCodeOf(code, signal)))
    })
  }

  /** What is written waits for the file, so that a fast program does not fill the memory. */
  async #copy(name: LogStream, child: ChildProcess): Promise<void> {
    const stream = child[name]
    if (stream === null) return
    try {
      for await (const chunk of stream as AsyncIterable<Buffer>) {
        this.#toTaps(name, chunk)
        // A full disk costs lines of the log, not the program.
        await this.#log.write(name, chunk).catch(() => {})
      }
    } catch {
      // It was destroyed with its program.
    }
  }

  #toTaps(name: LogStream, chunk: Buffer): void {
    for (const [socket, wanted] of this.#taps) {
      if (!wanted.has(name)) continue
      socket.write(frame(FRAME[name], chunk))
      if (socket.writableLength > CLIENT_BYTES_MAX) socket.destroy()
    }
  }

  #tell(state: KeeperState): void {
    this.#state = state
    for (const socket of this.#watchers) socket.write(stateFrame(state))
  }

  #serve(socket: Socket): void {
    const cutter = new Cutter({ hasLine: true })
    const input = { take: (_kind: number, _bytes: Buffer) => {} }
    socket.on('error', () => {})
    socket.once('close', () => {
      this.#watchers.delete(socket)
      this.#taps.delete(socket)
    })
    socket.on('data', chunk => {
      try {
        cutter.take(chunk as Buffer, {
          line: text => this.#answer(socket, JSON.parse(text) as KeeperRequest, input),
          frame: (kind, bytes) => input.take(kind, bytes),
        })
      } catch {
        socket.destroy()
      }
    })
  }

  #answer(socket: Socket, request: KeeperRequest, input: { take(kind: number, bytes: Buffer): void }): void {
    const child = this.#child
    switch (request.do) {
      case 'watch':
        this.#watchers.add(socket)
        if (this.#state.pid !== undefined || this.#state.failed !== undefined)
          socket.write(stateFrame(this.#state))
        return
      case 'signal':
        if (child?.pid !== undefined) this.#family.signal(child.pid, request.signal)
        socket.end(stateFrame(this.#state))
        return
      case 'reopen':
        // What goes wrong is told by no answer: the container goes on, with the file that it has.
        void this.#log.reopen().then(
          () => socket.end(stateFrame(this.#state)),
          () => socket.destroy(),
        )
        return
      case 'usage':
        socket.end(stateFrame({ usage: this.#family.usage(child?.pid ?? 0) }))
        return
      case 'exec':
        runKeptExec({
          socket,
          request,
          launch: this.#launch,
          family: this.#family,
          input,
          running: this.#execs,
        })
        return
      case 'attach':
        this.#attach(socket, request, input)
    }
  }

  #attach(
    socket: Socket,
    { stdin, stdout, stderr }: Extract<KeeperRequest, { do: 'attach' }>,
    input: { take(kind: number, bytes: Buffer): void },
  ): void {
    this.#watchers.add(socket)
    const names: LogStream[] = [
      ...(stdout ? ['stdout' as const] : []),
      ...(stderr ? ['stderr' as const] : []),
    ]
    this.#taps.set(socket, new Set(names))
    const target = stdin ? (this.#child?.stdin ?? null) : null
    if (target === null) return
    input.take = (kind, bytes) => {
      if (kind === FRAME.stdinEnd && this.#launch.stdinOnce) target.end()
      if (kind === FRAME.stdin) feed(socket, target, bytes)
    }
    if (this.#launch.stdinOnce) socket.once('close', () => target.end())
  }

  /** Watchers and taps hear the last of it; then everything that is left ends with this process. */
  async #sayFarewell(server: Server): Promise<void> {
    server.close()
    const sockets = [...new Set([...this.#watchers, ...this.#taps.keys()])]
    const gone = sockets.map(socket => new Promise<void>(resolve => socket.end(() => resolve())))
    await Promise.race([Promise.all(gone), sleepAlive(systemClock, FAREWELL_MS)])
    process.exit(0)
  }
}

// From the sources; the executable has a command for it.
if (!isBundled && process.argv[1] === fileURLToPath(import.meta.url)) void runKeeper(process.argv[2] ?? '')
