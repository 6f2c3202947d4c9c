/**
 * Images that are there before any registry is: archives in a directory are imported when the daemon starts and
 * whenever they change, each once. What cannot be imported is told by name in the node's status.
 */
import { type FSWatcher, watch } from 'node:fs'
import { mkdir, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Clock } from '../base/clock.ts'
import type { Component, Health } from '../base/component.ts'
import { Mk8sError, messageOf } from '../base/errors.ts'
import type { Log } from '../base/log.ts'
import { WakingLoop } from '../base/waking-loop.ts'
import { ARCHIVE_NAME, type NodeImage } from '../client/node-images.ts'
import type { Problem } from '../client/node-status.ts'
import { readOrEmpty, writeFileDurably } from '../host/files.ts'
import { isMap } from '../kube/json-map.ts'

export interface SideLoadingParts {
  readonly directory: string
  /** Remembers what has been imported. */
  readonly notePath: string
  readonly images: {
    prepare(): Promise<void>
    list(): Promise<readonly NodeImage[]>
    importFile(file: string): Promise<readonly string[]>
  }
  readonly clock: Clock
  readonly log: Log
}

const ARCHIVES_MAX = 1_000
/** An archive that changed so lately may still be growing. */
const SETTLE_MS = 2_000
/** Where nobody tells of changes, such as on network file systems. */
const LOOK_MS = 60_000

interface Archive {
  readonly name: string
  /** Another one when it was changed. */
  readonly mark: string
  readonly changedMs: number
}

interface Note {
  readonly mark: string
  readonly images: readonly string[]
}

export class SideLoading implements Component {
  readonly name = 'side-loading'
  readonly #parts: SideLoadingParts
  readonly #loop: WakingLoop
  readonly #notes: Map<string, Note>
  /** By file name: what is wrong with it as it is now. */
  readonly #failed = new Map<string, { readonly mark: string; readonly why: string; readonly next: string }>()
  #watcher: FSWatcher | undefined

  constructor(parts: SideLoadingParts) {
    this.#parts = parts
    this.#notes = readNotes(parts.notePath)
    this.#loop = new WakingLoop({ look: () => this.#look(), clock: parts.clock })
  }

  async prepare(): Promise<void> {}

  /** Does not wait for the archives: large ones take their time, and pods wait for what they need. */
  async start(): Promise<void> {
    const { directory, images } = this.#parts
    await images.prepare()
    await mkdir(directory, { recursive: true, mode: 0o700 })
    this.#watcher = watch(directory, () => this.#loop.wake()).on('error', () => {})
    await this.#forgetLost()
    this.#loop.wake()
  }

  async stop(): Promise<void> {
    this.#watcher?.close()
    await this.#loop.stop()
  }

  /** A damaged archive does not make a node unfit for pods. */
  health(): Health {
    return { ok: true, reason: '' }
  }

  problems(): Problem[] {
    return [...this.#failed].map(([name, { why, next }]) => ({
      object: `image-archive/${name}`,
      reason: 'ImportFailed',
      message: why,
      next,
    }))
  }

  /** Milliseconds until the next look. */
  async #look(): Promise<number> {
    try {
      const archives = await archivesIn(this.#parts.directory)
      const names = new Set(archives.map(({ name }) => name))
      for (const name of this.#failed.keys()) if (!names.has(name)) this.#failed.delete(name)
      const fresh = archives.filter(({ name, mark }) => !this.#knows(name, mark))
      let waitMs = LOOK_MS
      for (const archive of fresh) {
        const restMs = SETTLE_MS - (this.#parts.clock.now() - archive.changedMs)
        if (restMs > 0 && restMs <= SETTLE_MS) waitMs = Math.min(waitMs, restMs)
        else await this.#import(archive)
      }
      return waitMs
    } catch (error) {
      this.#parts.log.warn('the directory of image archives cannot be read', { error })
      return LOOK_MS
    }
  }

  #knows(name: string, mark: string): boolean {
    return this.#notes.get(name)?.mark === mark || this.#failed.get(name)?.mark === mark
  }

  async #import({ name, mark }: Archive): Promise<void> {
    const { directory, images, log } = this.#parts
    try {
      const found = await images.importFile(join(directory, name))
      this.#failed.delete(name)
      this.#notes.set(name, { mark, images: found })
      this.#save()
      log.info('images were imported', { archive: name, images: found })
    } catch (error) {
      const known = error instanceof Mk8sError ? error : undefined
      const why = `${messageOf(error)}${known?.why === undefined ? '' : `: ${known.why}`}`
      const next = known?.hint ?? 'replace the file, or take it away'
      this.#failed.set(name, { mark, why, next })
      log.warn('an archive of images cannot be imported', { archive: name, why })
    }
  }

  /** Whatever has lost an image since, or its file, is looked at anew. */
  async #forgetLost(): Promise<void> {
    const there = await this.#parts.images.list().catch(() => undefined)
    if (there === undefined) return
    const names = new Set(there.flatMap(image => image.names))
    for (const [name, note] of this.#notes) {
      if (!note.images.every(image => names.has(image))) this.#notes.delete(name)
    }
  }

  #save(): void {
    writeFileDurably(this.#parts.notePath, JSON.stringify(Object.fromEntries(this.#notes)), 0o600)
  }
}

async function archivesIn(directory: string): Promise<Archive[]> {
  const entries = (await readdir(directory)).filter(name => ARCHIVE_NAME.test(name))
  const found: Archive[] = []
  for (const name of entries.sort().slice(0, ARCHIVES_MAX)) {
    const stats = await stat(join(directory, name)).catch(() => null)
    if (stats?.isFile() !== true) continue
    found.push({ name, mark: `${stats.ino} ${stats.size} ${stats.mtimeMs}`, changedMs: stats.mtimeMs })
  }
  return found
}

/** Of a note that cannot be read nothing is lost but time. */
function readNotes(path: string): Map<string, Note> {
  try {
    const notes: unknown = JSON.parse(readOrEmpty(path) || '{}')
    return new Map(isMap(notes) ? (Object.entries(notes) as [string, Note][]) : [])
  } catch {
    return new Map()
  }
}
