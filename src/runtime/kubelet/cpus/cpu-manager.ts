/**
 * Gives containers processors of their own. Who has which is written down before a pod is taken in; all others run
 * on the rest, and are moved whenever that changes.
 */
import { readFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { messageOf, systemCodeOf } from '../../../base/errors.ts'
import type { Log } from '../../../base/log.ts'
import { writeFileDurably } from '../../../host/files.ts'
import type { Pod } from '../../../kube/types.ts'
import type { PodFailure } from '../pod-failure.ts'
import type { Runtime } from '../runtime/runtime.ts'
import { formatCpus, parseCpus } from './cpu-set.ts'
import { type CpuGrant, type CpuPool, grantCpus, sharedCpus } from './plan-cpus.ts'

export interface CpuManagerParts {
  /** Null: the policy `none`, everybody runs everywhere. */
  readonly pool: CpuPool | null
  /** `<data-dir>/cpu_manager_state`. */
  readonly path: string
  /** Those that are not over; null while they are not known yet. */
  readonly livePods: () => readonly Pod[] | null
  readonly runtime: Pick<Runtime, 'listContainers' | 'setCpus'>
  readonly log: Log
}

/** As upstream's. */
interface Saved {
  readonly policyName: 'static'
  readonly defaultCpuSet: string
  readonly entries: Readonly<Record<string, Readonly<Record<string, string>>>>
}

export class CpuManager {
  readonly #parts: CpuManagerParts
  #grants: readonly CpuGrant[] = []
  /** By container: where it was put. */
  readonly #placed = new Map<string, string>()
  #moving: Promise<void> = Promise.resolve()

  constructor(parts: CpuManagerParts) {
    this.#parts = parts
    this.#load()
  }

  get isStatic(): boolean {
    return this.#parts.pool !== null
  }

  /** Null: the pod has its processors, or needs none of its own. */
  admit(pod: Pod): PodFailure | null {
    const { pool } = this.#parts
    if (pool === null) return null
    this.release()
    const held = this.#grants.filter(({ podUid }) => podUid !== pod.metadata.uid)
    const granted = grantCpus(pod, held, pool)
    if ('reason' in granted) return granted
    if (granted.length > 0) this.#put([...held, ...granted])
    return null
  }

  /** Where the container is to run; undefined: wherever it likes. */
  cpusOf(podUid: string, container: string): string | undefined {
    const { pool } = this.#parts
    if (pool === null) return undefined
    const own = this.#grants.find(grant => grant.podUid === podUid && grant.container === container)
    return formatCpus(own?.cpus ?? sharedCpus(pool, this.#grants))
  }

  /** Pods that are over or gone have nothing any more. */
  release(): void {
    const live = this.#parts.livePods()
    if (live === null) return
    const uids = new Set(live.map(({ metadata }) => metadata.uid ?? ''))
    const kept = this.#grants.filter(({ podUid }) => uids.has(podUid))
    if (kept.length < this.#grants.length) this.#put(kept)
  }

  /** What changed while no daemon was there. */
  begin(): Promise<void> {
    this.release()
    return this.settle()
  }

  /** Everybody to the right place: after a change, and when a daemon or a container has started. */
  settle(): Promise<void> {
    this.#moving = this.#moving.then(() => this.#move())
    return this.#moving
  }

  async #move(): Promise<void> {
    const { pool, runtime, log } = this.#parts
    if (pool === null || runtime.setCpus === undefined) return
    try {
      const running = (await runtime.listContainers()).filter(({ state }) => state === 'running')
      const ids = new Set(running.map(({ id }) => id))
      for (const id of this.#placed.keys()) if (!ids.has(id)) this.#placed.delete(id)
      for (const { id, podUid, name } of running) {
        const cpus = this.cpusOf(podUid, name) ?? ''
        if (this.#placed.get(id) === cpus) continue
        await runtime.setCpus(id, cpus)
        this.#placed.set(id, cpus)
      }
    } catch (error) {
      log.warn('containers could not be moved to other processors', { error: messageOf(error) })
    }
  }

  #put(grants: readonly CpuGrant[]): void {
    const { pool, path } = this.#parts
    if (pool === null) return
    const entries: Record<string, Record<string, string>> = {}
    for (const { podUid, container, cpus } of grants)
      entries[podUid] = { ...entries[podUid], [container]: formatCpus(cpus) }
    const saved: Saved = {
      ...{ policyName: 'static', defaultCpuSet: formatCpus(sharedCpus(pool, grants)) },
      entries,
    }
    writeFileDurably(path, JSON.stringify(saved), 0o600)
    this.#grants = grants
    void this.settle()
  }

  #load(): void {
    const { pool, path, log } = this.#parts
    if (pool === null) {
      void rm(path, { force: true })
      return
    }
    try {
      const { entries } = JSON.parse(readFileSync(path, 'utf8')) as Saved
      this.#grants = Object.entries(entries).flatMap(([podUid, own]) =>
        Object.entries(own).map(([container, cpus]) => ({
          ...{ podUid, container },
          cpus: [...(parseCpus(cpus) ?? [])],
        })),
      )
    } catch (error) {
      if (systemCodeOf(error) === 'ENOENT') return
      log.warn('who has which processors cannot be read', { error: messageOf(error) })
    }
  }
}
