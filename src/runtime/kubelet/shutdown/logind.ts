/**
 * What systemd-logind says of the machine's end, through systemd's own programs: a lock delays a shutdown until the
 * pods have ended. A signal that anybody could send is believed only once logind itself says so.
 */
import { mkdir, writeFile } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import { type Clock, sleep } from '../../../base/clock.ts'
import { messageOf } from '../../../base/errors.ts'
import type { Log } from '../../../base/log.ts'
import { type RelayProcess, runProgram, spawnRelay } from '../../../host/programs.ts'

const MANAGER = [
  'org.freedesktop.login1',
  '/org/freedesktop/login1',
  'org.freedesktop.login1.Manager',
] as const
const SIGNAL = 'PrepareForShutdown'
const CONFIG_DIRECTORY = '/run/systemd/logind.conf.d'
const AGAIN_MS = 10_000

export interface LogindParts {
  /** What the pods may take. */
  readonly delayMs: number
  readonly clock: Clock
  readonly log: Log
  /** The machine goes on when it has resolved. */
  readonly onShutdown: () => Promise<void>
  /** It stays up after all. */
  readonly onCancelled: () => void
}

export class LogindWatch {
  readonly #parts: LogindParts
  #lock: RelayProcess | null = null
  #monitor: RelayProcess | null = null
  #isDown = false

  constructor(parts: LogindParts) {
    this.#parts = parts
  }

  /** Goes on until the signal fires; without logind it only says so. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#parts
    try {
      await this.#allowDelay()
    } catch (error) {
      const hint = 'mk8s stop --shutdown ends the pods in the same order'
      log.warn('there is no systemd-logind to tell of shutdowns of this machine', {
        ...{ why: messageOf(error), hint },
      })
      return
    }
    signal.addEventListener('abort', () => this.#end(), { once: true })
    while (!signal.aborted) {
      try {
        await this.#follow()
      } catch (error) {
        log.warn('what systemd-logind says of shutdowns cannot be followed', { error })
      }
      await sleep(clock, AGAIN_MS, signal).catch(() => {})
    }
  }

  #end(): void {
    this.#monitor?.kill()
    this.#release()
  }

  /** logind lets nobody delay for longer than its configuration says; ours holds until the machine restarts. */
  async #allowDelay(): Promise<void> {
    const { delayMs, log } = this.#parts
    if ((await delayAllowedMs()) >= delayMs) return
    await mkdir(CONFIG_DIRECTORY, { recursive: true })
    const text = `[Login]\nInhibitDelayMaxSec=${Math.ceil(delayMs / 1_000)}\n`
    await writeFile(`${CONFIG_DIRECTORY}/99-mk8s.conf`, text)
    await runProgram('systemctl', ['kill', '--signal=HUP', 'systemd-logind.service'])
    const allowedMs = await delayAllowedMs()
    if (allowedMs < delayMs)
      log.warn('systemd-logind allows less time for a shutdown', { allowedMs, delayMs })
  }

  async #follow(): Promise<void> {
    await this.#takeLock()
    const match = `type='signal',sender='${MANAGER[0]}',interface='${MANAGER[2]}',member='${SIGNAL}'`
    const args = ['--system', 'monitor', '--json=short', `--match=${match}`]
    const monitor = await spawnRelay('busctl', args, { PATH: process.env['PATH'] ?? '' })
    this.#monitor = monitor
    monitor.stderr.resume()
    for await (const line of createInterface({ input: monitor.stdout })) {
      const isComing = parseShutdownSignal(line)
      if (isComing !== null) await this.#onSignal(isComing && (await isPreparing()))
    }
    await monitor.exited
  }

  async #onSignal(isDown: boolean): Promise<void> {
    if (isDown === this.#isDown) return
    this.#isDown = isDown
    if (!isDown) {
      this.#parts.onCancelled()
      await this.#takeLock()
      return
    }
    await this.#parts.onShutdown()
    this.#release()
  }

  async #takeLock(): Promise<void> {
    if (this.#lock !== null) return
    const args = [
      '--what=shutdown',
      '--who=mk8s',
      '--mode=delay',
      '--why=Pods end before their node does',
      'cat',
    ]
    const lock = await spawnRelay('systemd-inhibit', args, { PATH: process.env['PATH'] ?? '' })
    this.#lock = lock
    lock.stdout.resume()
    lock.stderr.resume()
    void lock.exited.then(() => {
      if (this.#lock === lock) this.#lock = null
    })
  }

  #release(): void {
    this.#lock?.stdin.end()
    this.#lock = null
  }
}

async function property(name: string): Promise<string> {
  const { stdout } = await runProgram('busctl', ['--system', 'get-property', ...MANAGER, name])
  return stdout.trim().split(' ')[1] ?? ''
}

const delayAllowedMs = async (): Promise<number> => Number(await property('InhibitDelayMaxUSec')) / 1_000
const isPreparing = async (): Promise<boolean> => (await property('PreparingForShutdown')) === 'true'

/** What a line of `busctl monitor --json=short` says of a shutdown; null when it speaks of something else. */
export function parseShutdownSignal(line: string): boolean | null {
  try {
    const { type, member, payload } = JSON.parse(line)
    const [isComing] = payload?.data ?? []
    return type === 'signal' && member === SIGNAL && typeof isComing === 'boolean' ? isComing : null
  } catch {
    return null
  }
}
