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

export class PluginRegistry {
  readonly #parts: PluginRegistryParts
  readonly #aborter = new AbortController()
  /** By the socket that it registered through. */
  readonly #plugins = new Map<string, TakenPlugin & { readonly socketId: string }>()
  readonly #failures = new Map<string, number>()
  #watcher: FSWatcher | null = null
  #isDirty = false
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
    const { directory, log, clock } = this.#parts
    while (this.#isDirty && !this.#aborter.signal.aborted) {
      this.#isDirty = false
      const sockets = await socketsIn(directory)
      for (const [socket, plugin] of this.#plugins) {
        // One that took another's place is a plugin of its own.
        if (sockets.get(socket) === plugin.socketId) continue
        this.#plugins.delete(socket)
        await plugin.release()
      }
      for (const [socket, socketId] of sockets) {
        if (this.#plugins.has(socket)) continue
        try {
          await this.#register(socket, socketId)
          this.#failures.delete(socket)
        } catch (error) {
          const failures = (this.#failures.get(socket) ?? 0) + 1
          this.#failures.set(socket, failures)
          log.warn('a plugin could not be registered', { socket, error: messageOf(error) })
          void sleep(clock, backoffMs(RETRY, failures), this.#aborter.signal).then(
            () => this.#wake(),
            () => {},
          )
        }
      }
    }
  }

  async #register(socket: string, socketId: string): Promise<void> {
    const { clock, log, handlers } = this.#parts
    const channel = await RpcChannel.open(socket, [REGISTRATION_PROTO], clock)
    const call = <Answer>(method: string, request: object) =>
      channel.call<Answer>(SERVICE, method, request, { deadlineMs: ASK_MS_MAX })
    try {
      const info = await call<PluginInfo>('GetInfo', {})
      const handler = handlers[info.type]
      // Other sorts of plugins register here, too, with whoever serves them.
      if (handler === undefined) return
      try {
        const endpoint = info.endpoint === '' ? socket : info.endpoint
        const plugin = await handler.take({ ...info, endpoint })
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
