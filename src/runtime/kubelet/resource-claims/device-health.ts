/** What drivers say of the health of their devices; what they do not repeat in time is not known any more. */
import type { Clock, Timer } from '../../../base/clock.ts'

/** As gRPC has it. */
export interface ToldHealth {
  readonly device: { readonly poolName: string; readonly deviceName: string } | null
  readonly health: 'UNKNOWN' | 'HEALTHY' | 'UNHEALTHY'
  readonly healthCheckTimeoutSeconds: number
  readonly message: string
}

export interface Health {
  readonly health: 'Healthy' | 'Unhealthy' | 'Unknown'
  readonly message?: string
}

interface Known extends Health {
  readonly untilMs: number
}

/** Unless the driver says how long its word holds. */
const HOLDS_MS = 30_000
const MESSAGE_MAX = 1_024
const DEVICES_MAX = 10_000
const NAMES = { HEALTHY: 'Healthy', UNHEALTHY: 'Unhealthy', UNKNOWN: 'Unknown' } as const
const UNKNOWN: Health = { health: 'Unknown' }

export class DeviceHealth {
  readonly #clock: Clock
  readonly #onChange: () => void
  /** By driver, then by pool and device. */
  readonly #known = new Map<string, Map<string, Known>>()
  #timer: Timer | null = null

  constructor(clock: Clock, onChange: () => void) {
    this.#clock = clock
    this.#onChange = onChange
  }

  of(driver: string, pool: string, device: string): Health {
    const known = this.#known.get(driver)?.get(keyOf(pool, device))
    if (known === undefined || known.untilMs <= this.#clock.now()) return UNKNOWN
    const { health, message } = known
    return message === undefined ? { health } : { health, message }
  }

  /** All devices of the driver; one that it leaves out is known until its time is over. */
  tell(driver: string, devices: readonly ToldHealth[]): void {
    const known = this.#known.get(driver) ?? new Map<string, Known>()
    this.#known.set(driver, known)
    let hasChanged = false
    for (const { device, health, healthCheckTimeoutSeconds: seconds, message } of devices) {
      if (device === null || known.size >= DEVICES_MAX) continue
      const { poolName, deviceName } = device
      const before = this.of(driver, poolName, deviceName)
      const untilMs = this.#clock.now() + (seconds > 0 ? seconds * 1_000 : HOLDS_MS)
      const told = message === '' ? {} : { message: shortened(message) }
      known.set(keyOf(poolName, deviceName), { health: NAMES[health], ...told, untilMs })
      hasChanged ||= before.health !== NAMES[health] || before.message !== told.message
    }
    this.#arm()
    if (hasChanged) this.#onChange()
  }

  /** The driver is gone, or says nothing any more. */
  forget(driver: string): void {
    if (!this.#known.delete(driver)) return
    this.#arm()
    this.#onChange()
  }

  stop(): void {
    this.#timer?.cancel()
    this.#known.clear()
  }

  #arm(): void {
    this.#timer?.cancel()
    this.#timer = null
    const next = Math.min(...[...this.#known.values()].flatMap(all => [...all.values()].map(timeOf)))
    if (next === Number.POSITIVE_INFINITY) return
    this.#timer = this.#clock.after(Math.max(0, next - this.#clock.now()), () => this.#expire())
  }

  #expire(): void {
    const now = this.#clock.now()
    for (const all of this.#known.values())
      for (const [key, { untilMs }] of all) if (untilMs <= now) all.delete(key)
    this.#arm()
    this.#onChange()
  }
}

const keyOf = (pool: string, device: string): string => `${pool}/${device}`
const timeOf = ({ untilMs }: Known): number => untilMs
const shortened = (text: string): string =>
  text.length <= MESSAGE_MAX ? text : `${text.slice(0, MESSAGE_MAX - 3)}...`
