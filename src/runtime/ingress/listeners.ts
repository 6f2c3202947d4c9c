/** The ports of a node's router: two that are always open, and those that Gateways have for themselves. */
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { Clock, Timer } from '../../base/clock.ts'
import { messageOf, systemCodeOf } from '../../base/errors.ts'
import { Door, type DoorHandlers } from './door.ts'
import { type ClosedPorts, type DoorPlan, HTTP_DOOR, HTTPS_DOOR } from './doors.ts'

export interface ListenersParts {
  /** Empty: every address. */
  readonly address: string
  readonly httpPort: number
  readonly httpsPort: number
  readonly proxyProtocol: boolean
  readonly handlers: DoorHandlers
  /** Told whenever it differs: which ports of Gateways cannot be opened. */
  readonly onClosed: (closed: ClosedPorts) => void
  readonly clock: Clock
}

/** A port that is taken may be free in a moment. */
const OPEN_AGAIN_MS = 2_000

export class Listeners {
  readonly #parts: ListenersParts
  readonly #shared: readonly [http: Door, https: Door]
  /** Of Gateways alone, by key; those that are open. */
  readonly #own = new Map<string, Door>()
  readonly #told = new Map<string, string>()
  #wanted: readonly DoorPlan[] = []
  #closed: ClosedPorts = new Map()
  #certificate = { certificate: '', key: '' }
  #timer: Timer | null = null
  #working: Promise<void> = Promise.resolve()
  #isOpen = false

  constructor(parts: ListenersParts) {
    this.#parts = parts
    this.#shared = [
      this.#door({ key: HTTP_DOOR, port: parts.httpPort, isSecure: false }),
      this.#door({ key: HTTPS_DOOR, port: parts.httpsPort, isSecure: true }),
    ]
  }

  /** Of those who say no name. */
  useDefault(certificate: string, key: string): void {
    this.#certificate = { certificate, key }
    for (const door of [...this.#shared, ...this.#own.values()]) door.useDefault(certificate, key)
  }

  /** Returns the ports. Throws when one is taken. */
  async open(): Promise<{ readonly http: number; readonly https: number }> {
    const [first, second] = this.#shared
    try {
      const http = await first.open(this.#parts.address)
      const https = await second.open(this.#parts.address)
      this.#isOpen = true
      this.#adjust()
      return { http, https }
    } catch (error) {
      await Promise.all(this.#shared.map(door => door.close()))
      throw error
    }
  }

  /** Ports that Gateways have for themselves are opened and closed; the others stay as they are. */
  want(plans: readonly DoorPlan[]): void {
    this.#wanted = plans
    if (this.#isOpen) this.#adjust()
  }

  addressOf(socket: Duplex): string {
    const { remoteAddress = '', remotePort = 0 } = socket as Socket
    return this.#told.get(`${remoteAddress} ${remotePort}`) ?? plainAddress(remoteAddress)
  }

  /** What is under way may end. */
  async close(): Promise<void> {
    this.#isOpen = false
    this.#timer?.cancel()
    await this.#working
    await Promise.all([...this.#shared, ...this.#own.values()].map(door => door.close()))
  }

  #door(plan: DoorPlan): Door {
    const { handlers, proxyProtocol, clock } = this.#parts
    return new Door({ ...handlers, plan, proxyProtocol, clock, told: this.#told })
  }

  #adjust(): void {
    this.#timer?.cancel()
    this.#working = this.#working.then(() => this.#settle())
  }

  async #settle(): Promise<void> {
    if (!this.#isOpen) return
    const wanted = new Map(this.#wanted.map(plan => [plan.key, plan]))
    for (const [key, door] of this.#own) {
      if (wanted.get(key)?.isSecure === door.plan.isSecure) continue
      this.#own.delete(key)
      void door.close()
    }
    const closed = new Map<number, string>()
    for (const plan of wanted.values()) {
      if (this.#own.has(plan.key)) continue
      const why = await this.#open(plan)
      if (why !== '') closed.set(plan.port, why)
    }
    if (JSON.stringify([...closed]) !== JSON.stringify([...this.#closed])) {
      this.#closed = closed
      this.#parts.onClosed(closed)
    }
    if (closed.size > 0) this.#timer = this.#parts.clock.after(OPEN_AGAIN_MS, () => this.#adjust())
  }

  /** Why not, or nothing. */
  async #open(plan: DoorPlan): Promise<string> {
    const door = this.#door(plan)
    door.useDefault(this.#certificate.certificate, this.#certificate.key)
    try {
      await door.open(this.#parts.address)
      this.#own.set(plan.key, door)
      return ''
    } catch (error) {
      const code = systemCodeOf(error)
      if (code === 'EADDRINUSE') return 'is taken by another program'
      return code === 'EACCES' ? 'is not allowed to this user' : `cannot be opened: ${messageOf(error)}`
    }
  }
}

const plainAddress = (address: string): string => address.replace(/^::ffff:(?=\d+\.)/, '')
