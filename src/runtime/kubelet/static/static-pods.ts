/**
 * Pods of files on this node: they run without any API, and each has a mirror pod there that shows how it is. What
 * the files say and what runs decide; a mirror is made again when somebody deletes it.
 */

import { type FSWatcher, watch } from 'node:fs'
import { type BackoffConfig, backoffMs } from '../../../base/backoff.ts'
import type { Clock } from '../../../base/clock.ts'
import type { Log } from '../../../base/log.ts'
import { WakingLoop } from '../../../base/waking-loop.ts'
import {
  isAlreadyExists,
  isConflict,
  isNotFound,
  type KubeClient,
  unless,
} from '../../../client/kube-client.ts'
import { PODS } from '../../../client/resources.ts'
import type { Node, Pod } from '../../../kube/types.ts'
import { identityOf } from '../pod-identity.ts'
import { ManifestDirectory, SETTLE_MS } from './manifest-directory.ts'
import { fullNameOf, isTrueMirror, mirrorOf, type PodReader } from './render-static-pod.ts'

/** Where nobody tells of changes; as upstream looks. */
const LOOK_MS = 20_000
const RETRY: BackoffConfig = { baseMs: 250, maxMs: 15_000 }

export interface StaticPodsParts {
  /** A directory of manifests, or one file. */
  readonly path: string
  readonly nodeName: string
  readonly read: PodReader
  readonly client: KubeClient
  readonly clock: Clock
  readonly log: Log
  /** This node as the API has it; null while it is not known there. */
  readonly node: () => Node | null
  /** The pod is to run, or to be as it is now: with the status that its mirror has. */
  readonly run: (pod: Pod) => void
  /** It is not to run any more; `onGone` is called once nothing of it is left. */
  readonly end: (pod: Pod) => void
  /** Something is wrong with a file. */
  readonly onProblem: (message: string) => void
}

export class StaticPods {
  readonly #parts: StaticPodsParts
  readonly #directory: ManifestDirectory
  readonly #loop: WakingLoop
  #wanted: ReadonlyMap<string, Pod> = new Map()
  /** What runs, or still ends. */
  readonly #running = new Map<string, { readonly pod: Pod; isEnding: boolean }>()
  /** As the API shows them; null until it has been heard. */
  #mirrors: Map<string, Pod> | null = null
  readonly #early = new Map<string, Pod>()
  #watcher: FSWatcher | undefined
  #failures = 0
  /** Resolved by the first look. */
  readonly #looked = Promise.withResolvers<void>()

  constructor(parts: StaticPodsParts) {
    this.#parts = parts
    const { path, nodeName, read, clock, log } = parts
    this.#directory = new ManifestDirectory({
      ...{ path, nodeName, read, nowMs: clock.now },
      onProblem: (file, problem) => {
        log.warn('a manifest of static pods is left out', { file, problem })
        parts.onProblem(`Failed to read the static pods of ${file}: ${problem}`)
      },
    })
    this.#loop = new WakingLoop({ look: () => this.#look(), clock })
  }

  /** Returns once the pods of the files have been started upon. */
  async start(): Promise<void> {
    this.#watch()
    this.#loop.wake()
    await this.#looked.promise
  }

  async stop(): Promise<void> {
    this.#watcher?.close()
    await this.#loop.stop()
  }

  /** The mirror of a static pod, whose status it has. */
  mirrorOf(pod: Pod): Pod | null {
    const mirror = this.#mirrors?.get(fullNameOf(pod))
    const node = this.#parts.node()
    return mirror !== undefined && node !== null && isTrueMirror(mirror, pod, node) ? mirror : null
  }

  /** What the API says of a mirror of this node; null when it is gone. */
  onMirror(name: string, mirror: Pod | null): void {
    const mirrors = this.#mirrors ?? this.#early
    if (mirror === null) mirrors.delete(name)
    else mirrors.set(name, mirror)
    this.#showStatus(name)
    this.#loop.wake()
  }

  /** All mirrors have been told of. */
  onSynced(): void {
    this.#mirrors ??= this.#early
    for (const name of this.#running.keys()) this.#showStatus(name)
    this.#loop.wake()
  }

  /** Nothing is left of a pod that was to end. */
  onGone(pod: Pod): void {
    const name = fullNameOf(pod)
    if (this.#running.get(name)?.pod.metadata.uid === pod.metadata.uid) this.#running.delete(name)
    this.#loop.wake()
  }

  #watch(): void {
    if (this.#watcher !== undefined) return
    try {
      const lost = () => {
        this.#watcher?.close()
        this.#watcher = undefined
      }
      this.#watcher = watch(this.#parts.path, () => this.#loop.wake()).on('error', lost)
    } catch {
      // It is not there yet: the next look tries again.
    }
  }

  /** Milliseconds until the next look. */
  async #look(): Promise<number> {
    this.#watch()
    try {
      const { pods, isSettled } = await this.#directory.look()
      this.#wanted = pods
      this.#runWanted()
      await this.#showAll()
      this.#failures = 0
      return isSettled ? LOOK_MS : SETTLE_MS
    } catch (error) {
      this.#failures += 1
      this.#parts.log.debug('static pods are looked at again', { error })
      return Math.min(LOOK_MS, backoffMs(RETRY, this.#failures))
    } finally {
      this.#looked.resolve()
    }
  }

  /** One after the other under one name: what ends has to be gone before its successor starts. */
  #runWanted(): void {
    const { run, end } = this.#parts
    for (const [name, running] of this.#running) {
      if (running.isEnding || this.#wanted.get(name)?.metadata.uid === running.pod.metadata.uid) continue
      running.isEnding = true
      end(running.pod)
    }
    for (const [name, pod] of this.#wanted) {
      if (this.#running.has(name)) continue
      this.#running.set(name, { pod, isEnding: false })
      run(this.#shown(pod))
    }
  }

  #showStatus(name: string): void {
    const running = this.#running.get(name)
    if (running !== undefined && !running.isEnding) this.#parts.run(this.#shown(running.pod))
  }

  #shown(pod: Pod): Pod {
    const status = this.mirrorOf(pod)?.status
    if (status === undefined) return pod
    // Whether it is over is for its file and its containers to say: after a shutdown of the machine it runs again.
    const { phase: _phase, reason: _reason, message: _message, ...rest } = status
    return { ...pod, status: rest }
  }

  async #showAll(): Promise<void> {
    const node = this.#parts.node()
    if (node === null || this.#mirrors === null) return
    const names = new Set([...this.#mirrors.keys(), ...this.#running.keys()])
    const failed: unknown[] = []
    for (const name of names) await this.#show(name, node).catch(error => failed.push(error))
    if (failed.length > 0) throw failed[0]
  }

  async #show(name: string, node: Node): Promise<void> {
    const { client } = this.#parts
    const mirror = this.#mirrors?.get(name)
    const pod = this.#running.get(name)?.pod
    if (mirror !== undefined && (pod === undefined || !isTrueMirror(mirror, pod, node))) {
      await client
        .delete(PODS, { ...identityOf(mirror), gracePeriodSeconds: 0 })
        .catch(unless(error => isNotFound(error) || isConflict(error)))
      if (this.#mirrors?.get(name) === mirror) this.#mirrors?.delete(name)
    }
    if (pod === undefined || this.#running.get(name)?.isEnding || this.#mirrors?.has(name)) return
    await client.create<Pod>(PODS, mirrorOf(pod, node)).catch(unless(isAlreadyExists))
  }
}
