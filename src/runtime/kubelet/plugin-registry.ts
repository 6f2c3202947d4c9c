/**
 * Plugins that make themselves known by a socket in a directory: the registrar is asked who it is, whoever serves
 * plugins of its type takes it in, and the registrar is told what became of that.
 */
import { type FSWatcher, watch } from 'node:fs'
import { mkdir, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { type BackoffConfig, backoffMs } from '../../base/backoff.ts'
import { type Clock, sleep } from '../../base/clock.ts'
import { messageOf } from '../../base/errors.ts'
import type { Log } from '../../base/log.ts'
import { RpcChannel } from './runtime/cri/rpc.ts'

export interface PluginInfo {
  readonly type: string
  readonly name: string
  /** Its own socket. */
  readonly endpoint: string
  readonly supportedVersions: readonly string[]
}

export interface PluginHandler {
  /** Throws when it cannot be used, with the words that its registrar is told. */
  take(info: PluginInfo): Promise<TakenPlugin>
}

export interface TakenPlugin {
  /** Its registrar is gone. */
  release(): Promise<void>
}

export interface PluginRegistryParts {
  /** `<data-dir>/plugins_registry`. */
  readonly directory: string
  /** By the type that registrars say. */
  readonly handlers: Readonly<Record<string, PluginHandler>>
  readonly clock: Clock
  readonly log: Log
}

export const REGISTRATION_PROTO = `
package pluginregistration;

service Registration {
  rpc GetInfo(InfoRequest) returns (PluginInfo);
  rpc NotifyRegistrationStatus(RegistrationStatus) returns (RegistrationStatusResponse);
}
message InfoRequest {}
message PluginInfo {
  string type = 1;
  string name = 2;
  string endpoint = 3;
  repeated string supported_versions = 4;
}
message RegistrationStatus { bool plugin_registered = 1; string error = 2; }
message RegistrationStatusResponse {}
`
const SERVICE = 'pluginregistration.Registration'
const ASK_MS_MAX = 10_000
const RETRY: BackoffConfig = { baseMs: 500, maxMs: 30_000 }

interface Failure {
  readonly socketId: string
  readonly count: number
  /** Its next try has its time, and a timer. */
  waits: boolean
}

export class PluginRegistry {
  readonly #parts: PluginRegistryParts
  readonly #aborter = new AbortController()
  /** By the socket that it registered through. */
  readonly #plugins = new Map<string, TakenPlugin & { readonly socketId: string }>()
  /** By the socket that could not be registered through. */
  readonly #failures = new Map<string, Failure>()
  #watcher: FSWatcher | null = null
  #isDirty = false
  #turn: Promise<unknown> = Promise.resolve()
  #running: Promise<void> | null = null

  constructor(parts: PluginRegistryParts) {
    this.#parts = parts
  }

  async start(): Promise<void> {
    const { directory } = this.#parts
    await mkdir(directory, { recursive: true, mode: 0o750 })
    this.#watcher = watch(directory, { persistent: false }, () => this.#wake())
    this.#wake()
  }

  async stop(): Promise<void> {
    this.#aborter.abort()
    this.#watcher?.close()
    await this.#running
  }

  #wake(): void {
    this.#isDirty = true
    this.#running ??= this.#look().finally(() => {
      this.#running = null
    })
  }

  async #look(): Promise<void> {
    while (this.#isDirty && !this.#aborter.signal.aborted) {
      this.#isDirty = false
      const sockets = await socketsIn(this.#parts.directory)
      await this.#releaseGone(sockets)
      const fresh = [...sockets].filter(([socket]) => !this.#plugins.has(socket))
      // Together: a registrar that does not answer keeps no other waiting.
      await Promise.all(fresh.map(([socket, socketId]) => this.#try(socket, socketId)))
    }
  }

  /** One that took another's place is a plugin of its own. */
  async #releaseGone(sockets: ReadonlyMap<string, string>): Promise<void> {
    for (const [socket, plugin] of this.#plugins) {
      if (sockets.get(socket) === plugin.socketId) continue
      this.#plugins.delete(socket)
      await plugin.release()
    }
    for (const [socket, { socketId }] of this.#failures)
      if (sockets.get(socket) !== socketId) this.#failures.delete(socket)
  }

  /** One that failed is left alone until its time has come, whatever else there is to look for. */
  async #try(socket: string, socketId: string): Promise<void> {
    const { log, clock } = this.#parts
    const last = this.#failures.get(socket)
    if (last?.waits === true) return
    try {
      await this.#register(socket, socketId)
      this.#failures.delete(socket)
    } catch (error) {
      const failure: Failure = { socketId, count: (last?.count ?? 0) + 1, waits: true }
      this.#failures.set(socket, failure)
      log.warn('a plugin could not be registered', { socket, error: messageOf(error) })
      const again = () => {
        failure.waits = false
        this.#wake()
      }
      void sleep(clock, backoffMs(RETRY, failure.count), this.#aborter.signal).then(again, () => {})
    }
  }

  /** Handlers change what plugins of a node have in common, as its CSINode. */
  async #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#turn.then(work, work)
    this.#turn = turn
    return turn
  }

  async #register(socket: string, socketId: string): Promise<void> {
    const { clock, log, handlers } = this.#parts
    const channel = await RpcChannel.open(socket, [REGISTRATION_PROTO], clock)
    const call = <Answer>(method: string, request: object) =>
      channel.call<Answer>(SERVICE, method, request, { deadlineMs: ASK_MS_MAX })
    try {
      const info = await call<PluginInfo>('GetInfo', {})
      const handler = Object.hasOwn(handlers, info.type) ? handlers[info.type] : undefined
      // Other sorts of plugins register here, too, with whoever serves them.
      if (handler === undefined) return
      try {
        const endpoint = info.endpoint === '' ? socket : info.endpoint
        const plugin = await this.#inTurn(() => handler.take({ ...info, endpoint }))
        this.#plugins.set(socket, { release: () => plugin.release(), socketId })
        await call('NotifyRegistrationStatus', { pluginRegistered: true, error: '' })
        log.info('a plugin is registered', { type: info.type, name: info.name })
      } catch (error) {
        const status = { pluginRegistered: false, error: messageOf(error) }
        await call('NotifyRegistrationStatus', status).catch(() => {})
        throw error
      }
    } finally {
      channel.close()
    }
  }
}

/** From their paths to what tells them from others that had the same path before. */
async function socketsIn(directory: string): Promise<Map<string, string>> {
  const names = await readdir(directory).catch(() => [])
  const found = new Map<string, string>()
  for (const name of names) {
    const path = join(directory, name)
    const entry = await stat(path).catch(() => null)
    if (entry?.isSocket()) found.set(path, `${entry.ino}:${entry.birthtimeMs || entry.ctimeMs}`)
  }
  return found
}
