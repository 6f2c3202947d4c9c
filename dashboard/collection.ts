/**
 * A list that follows the cluster: listed in pages as the server's own table, then watched. Changes are shown together,
 * at most four times a second, however many come. A watch that ends goes on where it was; one too old lists anew.
 */
import { useEffect, useState } from 'preact/hooks'
import type { KubeObject } from './kinds.ts'
import { ask, Problem } from './session.ts'

export interface Column {
  readonly name: string
  readonly type: string
  readonly priority: number
}

export interface Row {
  readonly cells: readonly unknown[]
  readonly object: KubeObject
}

export interface Collected {
  readonly columns: readonly Column[]
  readonly rows: readonly Row[]
  /** All of it has been listed once. */
  readonly isLoaded: boolean
  /** Changes come as they happen. */
  readonly isLive: boolean
  readonly problem: Problem | null
}

interface Table {
  readonly kind: string
  readonly code?: number
  readonly message?: string
  readonly columnDefinitions?: readonly Column[]
  readonly rows?: readonly Row[]
  readonly metadata?: { readonly resourceVersion?: string; readonly continue?: string }
}

interface WatchEvent {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK' | 'ERROR'
  readonly object: Table
}

const PAGE = 500
/** More than that nobody looks through; the filter of the server's selectors is for the rest. */
const ROWS_MAX = 20_000
const SHOW_MS = 250
const RETRY_MS = 2_000
const RETRY_MS_MAX = 30_000
const WATCH_SECONDS = 300
const ACCEPT = 'application/json;as=Table;v=v1;g=meta.k8s.io'

const NOTHING: Collected = { columns: [], rows: [], isLoaded: false, isLive: false, problem: null }

export interface Wanted {
  /** Behind `/kube`. */
  readonly path: string
  readonly labelSelector?: string | undefined
  readonly fieldSelector?: string | undefined
  /** Whole objects, not their metadata only. */
  readonly whole?: boolean
}

export function useCollection(wanted: Wanted | null): Collected {
  const [collected, setCollected] = useState(NOTHING)
  const id = JSON.stringify(wanted)
  useEffect(() => {
    setCollected(NOTHING)
    const parsed = JSON.parse(id) as Wanted | null
    if (parsed === null) return
    const follower = new Follower(parsed, setCollected)
    void follower.run()
    return () => follower.stop()
  }, [id])
  return collected
}

class Follower {
  readonly #wanted: Wanted
  readonly #show: (collected: Collected) => void
  readonly #ended = new AbortController()
  readonly #rows = new Map<string, Row>()
  #columns: readonly Column[] = []
  #version = ''
  #state: Pick<Collected, 'isLoaded' | 'isLive' | 'problem'> = NOTHING
  #timer = 0

  constructor(wanted: Wanted, show: (collected: Collected) => void) {
    this.#wanted = wanted
    this.#show = show
  }

  stop(): void {
    clearTimeout(this.#timer)
    this.#ended.abort()
  }

  async run(): Promise<void> {
    let failures = 0
    while (!this.#ended.signal.aborted) {
      try {
        if (this.#version === '') await this.#list()
        await this.#watch()
        failures = 0
      } catch (error) {
        if (this.#ended.signal.aborted) return
        const problem = error instanceof Problem ? error : new Problem(String(error), 0, 'It is tried again.')
        if (problem.status === 410) this.#version = ''
        else this.#say({ isLive: false, problem })
        // What is refused stays refused, until the page is opened again.
        if (problem.status === 401 || problem.status === 403 || problem.status === 404) return
        failures += 1
        const wait = Math.min(RETRY_MS * 2 ** (failures - 1), RETRY_MS_MAX)
        await new Promise(resolve => setTimeout(resolve, wait))
      }
    }
  }

  #query(more: Readonly<Record<string, string>>): string {
    const { labelSelector, fieldSelector, whole } = this.#wanted
    const query = new URLSearchParams({ includeObject: whole ? 'Object' : 'Metadata', ...more })
    if (labelSelector) query.set('labelSelector', labelSelector)
    if (fieldSelector) query.set('fieldSelector', fieldSelector)
    return `/kube${this.#wanted.path}?${query}`
  }

  async #list(): Promise<void> {
    const found = new Map<string, Row>()
    let next = ''
    do {
      const page = this.#query({ limit: String(PAGE), ...(next === '' ? {} : { continue: next }) })
      const response = await ask(page, { headers: { accept: ACCEPT }, signal: this.#ended.signal })
      const table = (await response.json()) as Table
      this.#columns = table.columnDefinitions ?? this.#columns
      for (const row of table.rows ?? []) found.set(row.object.metadata.uid, row)
      this.#version = table.metadata?.resourceVersion ?? ''
      next = table.metadata?.continue ?? ''
      if (!this.#state.isLoaded) {
        for (const [uid, row] of found) this.#rows.set(uid, row)
        this.#say({})
      }
    } while (next !== '' && found.size < ROWS_MAX)
    this.#rows.clear()
    for (const [uid, row] of found) this.#rows.set(uid, row)
    this.#say({ isLoaded: true, problem: null })
  }

  async #watch(): Promise<void> {
    const path = this.#query({
      ...{ watch: 'true', resourceVersion: this.#version, allowWatchBookmarks: 'true' },
      timeoutSeconds: String(WATCH_SECONDS),
    })
    const response = await ask(path, { headers: { accept: ACCEPT }, signal: this.#ended.signal })
    this.#say({ isLive: true, problem: null })
    for await (const line of linesOf(response)) this.#take(JSON.parse(line) as WatchEvent)
  }

  #take({ type, object }: WatchEvent): void {
    if (type === 'ERROR')
      throw new Problem(object.message ?? 'The watch broke off.', object.code ?? 0, 'It is tried again.')
    for (const row of object.rows ?? []) {
      const { uid, resourceVersion } = row.object.metadata
      this.#version = resourceVersion ?? this.#version
      if (type === 'DELETED') this.#rows.delete(uid)
      else if (type !== 'BOOKMARK') this.#rows.set(uid, row)
    }
    this.#version = object.metadata?.resourceVersion || this.#version
    if (type !== 'BOOKMARK') this.#say({})
  }

  #say(change: Partial<Collected>): void {
    this.#state = { ...this.#state, ...change }
    if (this.#timer !== 0) return
    this.#timer = setTimeout(
      () => {
        this.#timer = 0
        if (!this.#ended.signal.aborted)
          this.#show({ ...this.#state, ...{ columns: this.#columns, rows: [...this.#rows.values()] } })
      },
      this.#state.isLive ? SHOW_MS : 0,
    )
  }
}

const LINE_LENGTH_MAX = 8 * 1024 * 1024

/** The lines of an answer as they come. */
export async function* linesOf(response: Response): AsyncGenerator<string> {
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader()
  if (reader === undefined) return
  let rest = ''
  try {
    for (;;) {
      const { done, value } = await reader.read()
      if (done) break
      const lines = (rest + value).split('\n')
      rest = lines.pop() ?? ''
      if (rest.length > LINE_LENGTH_MAX) throw new Problem('A line of the answer is too long.', 0, '')
      yield* lines
    }
    if (rest !== '') yield rest
  } finally {
    await reader.cancel().catch(() => {})
  }
}
