/**
 * Where the API servers of the cluster are, as a worker knows it: those that serve now, and those that did, which
 * are asked when none of the others answers. Kept on disk, so that a worker starts again when the server that it
 * joined through is long gone.
 */
import { bracketed } from '../../base/bracketed.ts'
import { readIfThere, writeFileDurably } from '../../host/files.ts'

export interface ApiServerAddress {
  readonly address: string
  readonly port: number
}

interface Kept {
  readonly current: readonly string[]
  readonly former: readonly string[]
}

/** So many servers that are gone are remembered. */
const FORMER_MAX = 16

export const addressText = ({ address, port }: ApiServerAddress): string => `${bracketed(address)}:${port}`

/** What a join begins with. */
export function writeServers(path: string, servers: readonly ApiServerAddress[]): void {
  write(path, { current: servers.map(addressText), former: [] })
}

export class ApiServers {
  readonly #path: string
  readonly #listeners = new Set<() => void>()
  #kept: Kept

  constructor(path: string) {
    this.#path = path
    this.#kept = read(path)
  }

  /** Those that serve, as far as is known. */
  get current(): readonly ApiServerAddress[] {
    return this.#kept.current.flatMap(parseText)
  }

  /** Those that did; the latest first. */
  get former(): readonly ApiServerAddress[] {
    return this.#kept.former.flatMap(parseText)
  }

  /** Called at each change; returns an unsubscribe. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** What the cluster says. That there are none is never true for one that has been asked. */
  set(servers: readonly ApiServerAddress[]): void {
    const current = [...new Set(servers.map(addressText))].sort()
    const before = this.#kept
    if (current.length === 0 || current.join() === before.current.join()) return
    const gone = [...before.current, ...before.former].filter(each => !current.includes(each))
    this.#kept = { current, former: [...new Set(gone)].slice(0, FORMER_MAX) }
    write(this.#path, this.#kept)
    for (const listener of this.#listeners) listener()
  }
}

function write(path: string, kept: Kept): void {
  writeFileDurably(path, `${JSON.stringify(kept)}\n`, 0o600)
}

/** A damaged file is as good as none, which the proxy says. */
function read(path: string): Kept {
  try {
    const { current, former } = JSON.parse(readIfThere(path) ?? '{}') as Partial<Kept>
    return { current: textsOf(current), former: textsOf(former) }
  } catch {
    return { current: [], former: [] }
  }
}

const textsOf = (value: unknown): string[] =>
  Array.isArray(value) ? value.filter(item => typeof item === 'string') : []

function parseText(text: string): ApiServerAddress[] {
  const [, address, port] = /^\[?(.+?)\]?:(\d+)$/.exec(text) ?? []
  return address === undefined ? [] : [{ address, port: Number(port) }]
}
