/**
 * Keeps those who add to a directory and those who clear it up out of each other's way, in whichever process they
 * are. The lock is SQLite's on an empty file: any number may come in, or one may clear up, and the kernel ends it with
 * the process.
 */
import { DatabaseSync } from 'node:sqlite'
import { Mk8sError } from '../base/errors.ts'

const SQLITE_BUSY = 5
/** Whoever clears up only looks and renames, which takes moments. */
const WAIT_MS_MAX = 60_000
const POLL_MS = 10

export class GateLock {
  readonly #path: string

  /** Of the file, which is made when it is not there. */
  constructor(path: string) {
    this.#path = path
  }

  /** Nothing is cleared up meanwhile. */
  async whileOpen<Result>(work: () => Promise<Result>): Promise<Result> {
    const held = await this.#enter()
    try {
      return await work()
    } finally {
      held.close()
    }
  }

  /** Undefined, and nothing done, while anybody brings something in. */
  async ifIdle<Result>(work: () => Promise<Result>): Promise<Result | undefined> {
    const held = this.#open('PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE')
    if (held === undefined) return undefined
    try {
      return await work()
    } finally {
      held.close()
    }
  }

  async #enter(): Promise<DatabaseSync> {
    const until = performance.now() + WAIT_MS_MAX
    for (;;) {
      const held = this.#open('BEGIN; SELECT count(*) FROM sqlite_schema')
      if (held !== undefined) return held
      if (performance.now() > until)
        throw new Mk8sError('store/locked', `${this.#path} is being cleared up for too long`)
      await new Promise(resolve => setTimeout(resolve, POLL_MS))
    }
  }

  #open(sql: string): DatabaseSync | undefined {
    const database = new DatabaseSync(this.#path, { timeout: 0 })
    try {
      database.exec(sql)
      return database
    } catch (error) {
      database.close()
      if (((error as { errcode?: number }).errcode ?? 0) % 256 === SQLITE_BUSY) return undefined
      throw error
    }
  }
}
