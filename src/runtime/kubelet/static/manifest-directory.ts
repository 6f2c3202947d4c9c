/** The files of static pods: each is read when it changed, and one that is bad changes nothing. */
import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { messageOf } from '../../../base/errors.ts'
import type { Pod } from '../../../kube/types.ts'
import { fullNameOf, type PodReader, staticPodsOf } from './render-static-pod.ts'

const FILES_MAX = 1_000
const FILE_BYTES_MAX = 10 * 1024 * 1024
/** A file that changed so lately may still be written. */
export const SETTLE_MS = 250

export interface ManifestDirectoryParts {
  /** A directory, or one file. */
  readonly path: string
  readonly nodeName: string
  readonly read: PodReader
  readonly nowMs: () => number
  /** Told once for each state of a file. */
  readonly onProblem: (file: string, problem: string) => void
}

interface Known {
  readonly mark: string
  readonly pods: readonly Pod[]
}

export class ManifestDirectory {
  readonly #parts: ManifestDirectoryParts
  readonly #files = new Map<string, Known>()
  readonly #told = new Set<string>()

  constructor(parts: ManifestDirectoryParts) {
    this.#parts = parts
  }

  /** The pods by full name, and whether a file is still being written. */
  async look(): Promise<{ readonly pods: ReadonlyMap<string, Pod>; readonly isSettled: boolean }> {
    const files = await filesOf(this.#parts.path)
    for (const file of this.#files.keys()) if (!files.includes(file)) this.#files.delete(file)
    let isSettled = true
    for (const file of files) isSettled = (await this.#read(file)) && isSettled
    return { pods: this.#podsByName(), isSettled }
  }

  #podsByName(): ReadonlyMap<string, Pod> {
    const pods = new Map<string, Pod>()
    for (const [file, known] of [...this.#files].sort(([a], [b]) => (a < b ? -1 : 1))) {
      for (const pod of known.pods) {
        const name = fullNameOf(pod)
        if (!pods.has(name)) pods.set(name, pod)
        else this.#tell(file, known.mark, `another manifest has the pod ${name} already`)
      }
    }
    return pods
  }

  /** False while it may still be written. */
  async #read(file: string): Promise<boolean> {
    const { nodeName, read, nowMs } = this.#parts
    const known = this.#files.get(file)
    let mark = ''
    try {
      const { mtimeMs, size, ino } = await stat(file)
      mark = `${ino}/${size}/${mtimeMs}`
      if (known?.mark === mark) return true
      const ageMs = nowMs() - mtimeMs
      if (ageMs >= 0 && ageMs < SETTLE_MS) return false
      if (size > FILE_BYTES_MAX) throw new Error(`it is larger than ${FILE_BYTES_MAX} bytes`)
      const text = await readFile(file, 'utf8')
      this.#files.set(file, {
        mark,
        pods: staticPodsOf(text, { path: file, nodeName, nowMs: nowMs(), read }),
      })
    } catch (error) {
      if (!isGone(error)) this.#tell(file, mark, messageOf(error))
      // What it said before holds on.
      this.#files.set(file, { mark, pods: known?.pods ?? [] })
    }
    return true
  }

  #tell(file: string, mark: string, problem: string): void {
    const key = `${file} ${mark} ${problem}`
    if (this.#told.has(key)) return
    if (this.#told.size >= FILES_MAX) this.#told.clear()
    this.#told.add(key)
    this.#parts.onProblem(file, problem)
  }
}

const isGone = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && error.code === 'ENOENT'

/** Hidden files are none, so that editors and careful copies can work beside the others. */
async function filesOf(path: string): Promise<readonly string[]> {
  try {
    if ((await stat(path)).isFile()) return [path]
    const entries = await readdir(path, { withFileTypes: true })
    const files = entries.filter(entry => !entry.name.startsWith('.') && !entry.isDirectory())
    return files
      .map(({ name }) => join(path, name))
      .sort()
      .slice(0, FILES_MAX)
  } catch (error) {
    if (isGone(error)) return []
    throw error
  }
}
