/** What the process runtime remembers on disk: one JSON file per sandbox and per container, mode 0600. */
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { rename } from '../../../../host/rename.ts'
import type { ContainerConfig, SandboxConfig } from '../runtime.ts'
import type { ProcessIdentity } from './host-processes.ts'

export interface SandboxRecord {
  readonly id: string
  readonly config: SandboxConfig
  state: 'ready' | 'not-ready'
  readonly createdAt: number
  /** In the pod network; what the pod listens on is its mirror. Empty with the host's network. */
  readonly podAddress: string
  /** A sandbox does not outlive the boot it was made in. */
  readonly bootId: string
}

export interface ContainerRecord {
  readonly id: string
  readonly sandboxId: string
  readonly podUid: string
  readonly config: ContainerConfig
  readonly logPath: string
  readonly createdAt: number
  startedAt: number
  finishedAt: number
  exitCode: number
  message: string
  /** It was ended for want of memory. */
  ranOutOfMemory?: boolean
  keeper: ProcessIdentity | null
  /** Runs in a mount namespace of its own. */
  isolated: boolean
}

const RECORD = 'state.json'

/** Directories by id, each with a record in it. */
export class RecordStore<T extends { readonly id: string }> {
  readonly #directory: string

  constructor(directory: string) {
    this.#directory = directory
  }

  directoryOf(id: string): string {
    return join(this.#directory, id)
  }

  /** Whole records only: one that was cut by a crash belongs to something that never started. */
  async load(): Promise<T[]> {
    await mkdir(this.#directory, { recursive: true, mode: 0o700 })
    const records: T[] = []
    for (const id of await readdir(this.#directory)) {
      const text = await readFile(join(this.#directory, id, RECORD), 'utf8').catch(() => null)
      if (text === null) await rm(join(this.#directory, id), { recursive: true, force: true })
      else records.push(JSON.parse(text) as T)
    }
    return records
  }

  async save(record: T): Promise<void> {
    const directory = this.directoryOf(record.id)
    await mkdir(directory, { recursive: true, mode: 0o700 })
    const path = join(directory, RECORD)
    await writeFile(`${path}.new`, JSON.stringify(record), { mode: 0o600 })
    await rename(`${path}.new`, path)
  }

  async remove(id: string): Promise<void> {
    // Windows keeps what a process that is just ending has open.
    await rm(this.directoryOf(id), { recursive: true, force: true, maxRetries: 10 })
  }
}
