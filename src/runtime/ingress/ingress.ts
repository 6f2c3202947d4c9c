/** The routing of one node: keeps the world, compiles it when it changes, and serves the ports by what came out. */
import { createSecureContext, type SecureContext } from 'node:tls'
import type { Clock, Timer } from '../../base/clock.ts'
import type { Log } from '../../base/log.ts'
import type { Random } from '../../base/random.ts'
import type { KubeObject } from '../../kube/object.ts'
import type { ClosedPorts } from './doors.ts'
import { Listeners } from './listeners.ts'
import type { Change } from './messages.ts'
import { RequestProxy } from './proxy.ts'
import { compileRouting, matchStream, ownDoors, type RoutingTable } from './routing-table.ts'
import { type Certificate, EMPTY_WORLD, type IngressSettings, WORLD_KINDS, type World } from './world.ts'

export interface IngressParts {
  readonly settings: IngressSettings
  readonly address: string
  readonly own: Certificate
  /** Ports of Gateways that cannot be opened, whenever they differ. */
  readonly onClosed: (closed: ClosedPorts) => void
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
}

/** Changes that come together are compiled together. */
const SETTLE_MS = 20

export class IngressRouter {
  readonly #parts: IngressParts
  readonly #objects = new Map(WORLD_KINDS.map(kind => [kind, new Map<string, KubeObject>()]))
  readonly #contexts = new Map<string, { readonly text: string; readonly context: SecureContext }>()
  readonly #listeners: Listeners
  readonly #proxy: RequestProxy
  #certificates: ReadonlyMap<string, Certificate> = new Map()
  #table: RoutingTable
  #timer: Timer | null = null

  constructor(parts: IngressParts) {
    this.#parts = parts
    const { settings, address, clock, random, log } = parts
    this.#table = compileRouting(EMPTY_WORLD, settings)
    this.#proxy = new RequestProxy({
      ...{ settings, clock, random, log },
      table: () => this.#table,
      addressOf: socket => this.#listeners.addressOf(socket),
    })
    const proxy = this.#proxy
    this.#listeners = new Listeners({
      ...{ address, clock, httpPort: settings.httpPort, httpsPort: settings.httpsPort },
      ...{ proxyProtocol: settings.proxyProtocol, onClosed: parts.onClosed },
      handlers: {
        handle: (request, response, door) => void proxy.handle(request, response, door),
        upgrade: (request, socket, head, door) => void proxy.upgrade(request, socket, head, door),
        stream: (socket, listener, name) => void proxy.stream(socket, listener, name),
        streamFor: (door, name) => matchStream(this.#table, door, name),
        hasStreams: door => this.#table.doors.get(door)?.hasStreams === true,
        contextFor: (door, name) => this.#contextFor(door, name.toLowerCase()),
      },
    })
    this.certify([])
  }

  open(): Promise<{ readonly http: number; readonly https: number }> {
    this.#compile()
    return this.#listeners.open()
  }

  change(changes: readonly Change[]): void {
    for (const [kind, key, object] of changes) {
      if (object === null) this.#objects.get(kind)?.delete(key)
      else this.#objects.get(kind)?.set(key, object)
    }
    this.#timer ??= this.#parts.clock.after(SETTLE_MS, () => this.#compile())
  }

  certify(certificates: readonly (readonly [name: string, certificate: Certificate])[]): void {
    this.#certificates = new Map(certificates)
    for (const name of this.#contexts.keys()) if (!this.#certificates.has(name)) this.#contexts.delete(name)
    const fallback = this.#fallback()
    this.#listeners.useDefault(fallback.certificate, fallback.key)
  }

  async close(): Promise<void> {
    this.#timer?.cancel()
    await this.#listeners.close()
    this.#proxy.close()
  }

  #compile(): void {
    this.#timer?.cancel()
    this.#timer = null
    const world = Object.fromEntries(
      WORLD_KINDS.map(kind => [kind, [...(this.#objects.get(kind)?.values() ?? [])]]),
    ) as unknown as World
    const begunMs = this.#parts.clock.monotonic()
    this.#table = compileRouting(world, this.#parts.settings)
    this.#listeners.want(ownDoors(this.#table))
    const ms = Math.round(this.#parts.clock.monotonic() - begunMs)
    this.#parts.log.debug('the routes were compiled', { ms, ingresses: world.ingresses.length })
  }

  #fallback(): Certificate {
    const { settings, own } = this.#parts
    const named = this.#certificates.get(settings.defaultCertificate)
    return named !== undefined && this.#load(settings.defaultCertificate, named) !== null ? named : own
  }

  #contextFor(door: string, name: string): SecureContext {
    const certificates = this.#table.doors.get(door)?.certificates
    const deep = certificates?.find(name, true)[0] ?? ''
    for (const secret of [...(certificates?.find(name, false) ?? []), deep]) {
      const certificate = this.#certificates.get(secret)
      const context = certificate === undefined ? null : this.#load(secret, certificate)
      if (context !== null) return context
    }
    const { settings, own } = this.#parts
    const fallback = this.#fallback()
    return createOrGet(this.#contexts, fallback === own ? '' : settings.defaultCertificate, fallback)
  }

  /** null: what is in the Secret is no certificate with its key. */
  #load(name: string, certificate: Certificate): SecureContext | null {
    try {
      return createOrGet(this.#contexts, name, certificate)
    } catch (error) {
      this.#parts.log.warn('a certificate cannot be used', { secret: name, error })
      return null
    }
  }
}

function createOrGet(
  known: Map<string, { readonly text: string; readonly context: SecureContext }>,
  name: string,
  { certificate, key }: Certificate,
): SecureContext {
  const text = `${certificate}\n${key}`
  const found = known.get(name)
  if (found?.text === text) return found.context
  const context = createSecureContext({ cert: certificate, key, minVersion: 'TLSv1.2' })
  known.set(name, { text, context })
  return context
}
