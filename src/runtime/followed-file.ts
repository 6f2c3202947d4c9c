/**
 * A configuration file that is read again whenever it changes while the daemon runs. What cannot be used changes
 * nothing: the last good one counts on, and the log, the metrics and `mk8s status` say so.
 */
import { createHash } from 'node:crypto'
import { type FSWatcher, watch } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Clock } from '../base/clock.ts'
import type { Component, Health } from '../base/component.ts'
import { Mk8sError, messageOf } from '../base/errors.ts'
import type { Log } from '../base/log.ts'
import { WakingLoop } from '../base/waking-loop.ts'
import type { Problem } from '../client/node-status.ts'
import type { Metric } from './metrics/metrics.ts'

export interface FollowedFileParts {
  /** Of the component: `authorization-config`. */
  readonly name: string
  /** In front of the names of its metrics: `apiserver_authorization_config_controller`. */
  readonly metricPrefix: string
  /** Which server it is, in the labels of its metrics. */
  readonly serverId: string
  readonly path: string
  /** As it counts from the start on. */
  readonly text: string
  /** Makes the text count from now on, or throws and changes nothing. */
  readonly apply: (text: string) => void
  readonly clock: Clock
  readonly log: Log
}

/** Where nobody tells of changes, such as on network file systems. */
const LOOK_MS = 60_000
/** A file that is being written is looked at once it is whole. */
const SETTLE_MS = 100

export class FollowedFile implements Component {
  readonly name: string
  readonly #parts: FollowedFileParts
  readonly #loop: WakingLoop
  readonly #reloads = { success: { count: 0, atMs: 0 }, failure: { count: 0, atMs: 0 } }
  /** As it was when it was looked at last. */
  #seen: string
  /** As it counts. */
  #used: string
  #why = ''
  #watcher: FSWatcher | undefined

  constructor(parts: FollowedFileParts) {
    this.name = parts.name
    this.#parts = parts
    this.#seen = parts.text
    this.#used = parts.text
    this.#loop = new WakingLoop({ look: () => this.#look(), clock: parts.clock })
  }

  async prepare(): Promise<void> {}

  /** The directory is watched, since editors put another file in the place of the one before. */
  async start(): Promise<void> {
    const { path, clock } = this.#parts
    const settled = () => clock.after(SETTLE_MS, () => this.#loop.wake())
    this.#watcher = watch(dirname(path), settled).on('error', () => {})
    this.#loop.wake()
  }

  async stop(): Promise<void> {
    this.#watcher?.close()
    await this.#loop.stop()
  }

  /** What counts still counts. */
  health(): Health {
    return { ok: true, reason: '' }
  }

  problems(): readonly Problem[] {
    if (this.#why === '') return []
    const { name, path } = this.#parts
    return [
      {
        object: `${name}/${path}`,
        reason: 'ReloadFailed',
        message: `the file has changed and cannot be used, the one before counts on: ${this.#why}`,
        next: 'correct the file; it is read again at once',
      },
    ]
  }

  metrics(): readonly Metric[] {
    const { metricPrefix, serverId } = this.#parts
    const labels = { apiserver_id_hash: hashOf(serverId) }
    const reloads = Object.entries(this.#reloads)
    return [
      ...reloads.map(
        ([status, { count }]): Metric => ({
          name: `${metricPrefix}_automatic_reloads_total`,
          help: 'How often the file was read again, by status and server.',
          type: 'counter',
          labels: { ...labels, status },
          value: count,
        }),
      ),
      ...reloads.flatMap(([status, { count, atMs }]): Metric[] => {
        if (count === 0) return []
        const name = `${metricPrefix}_automatic_reload_last_timestamp_seconds`
        const help = 'When the file was read again last, by status and server.'
        return [{ name, help, type: 'gauge', labels: { ...labels, status }, value: atMs / 1000 }]
      }),
      {
        name: `${metricPrefix}_last_config_info`,
        help: 'What counts, as a hash.',
        type: 'gauge',
        labels: { ...labels, hash: hashOf(this.#used) },
        value: 1,
      },
    ]
  }

  async #look(): Promise<number> {
    const { path } = this.#parts
    try {
      const text = await readFile(path, 'utf8')
      if (text !== this.#seen) this.#reload(text)
    } catch (error) {
      if (this.#seen !== UNREADABLE) this.#fail(error)
      this.#seen = UNREADABLE
    }
    return LOOK_MS
  }

  #reload(text: string): void {
    const { apply, path, log, clock } = this.#parts
    this.#seen = text
    if (text === this.#used) {
      this.#why = ''
      return
    }
    try {
      apply(text)
    } catch (error) {
      this.#fail(error)
      return
    }
    this.#used = text
    this.#why = ''
    const { success } = this.#reloads
    Object.assign(success, { count: success.count + 1, atMs: clock.now() })
    log.info('a configuration file has changed and counts from now on', { path })
  }

  #fail(error: unknown): void {
    const { path, log, clock } = this.#parts
    const why = error instanceof Mk8sError ? error.why : undefined
    this.#why = `${messageOf(error)}${why === undefined ? '' : `: ${why}`}`
    const { failure } = this.#reloads
    Object.assign(failure, { count: failure.count + 1, atMs: clock.now() })
    log.error('a configuration file has changed and cannot be used; the one before counts on', {
      path,
      why: this.#why,
    })
  }
}

/** Stands for the text of a file that cannot be read; a NUL is in no configuration. */
const UNREADABLE = '\0'

const hashOf = (text: string): string => `sha256:${createHash('sha256').update(text).digest('hex')}`
