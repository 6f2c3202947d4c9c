/** The grammar of the distribution specification: repositories, tags, digests (pure). */

export type DigestAlgorithm = 'sha256' | 'sha512'

export interface Digest {
  readonly algorithm: DigestAlgorithm
  readonly hex: string
  /** `sha256:…`. */
  readonly text: string
}

const NAME_CHARACTERS_MAX = 255
const COMPONENT = '[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*'
const NAME = new RegExp(`^${COMPONENT}(?:/${COMPONENT})*$`)
const TAG = /^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$/
const DIGEST = /^(?:(sha256):([0-9a-f]{64})|(sha512):([0-9a-f]{128}))$/

export const isRepositoryName = (text: string): boolean =>
  text.length <= NAME_CHARACTERS_MAX && NAME.test(text)

export const isTag = (text: string): boolean => TAG.test(text)

/** Undefined for other algorithms too. */
export function parseDigest(text: string): Digest | undefined {
  const match = DIGEST.exec(text)
  if (match === null) return undefined
  const algorithm = match[1] === undefined ? 'sha512' : 'sha256'
  return { algorithm, hex: match[2] ?? match[4] ?? '', text }
}

/** The order of lists: without regard to case, and the same every time. */
export function compareTags(a: string, b: string): number {
  const [low, high] = [a.toLowerCase(), b.toLowerCase()]
  if (low !== high) return low < high ? -1 : 1
  return a < b ? -1 : Number(a > b)
}

export interface Page {
  /** Null: everything. */
  readonly count: number | null
  /** What the page before ended with; empty for the first. */
  readonly last: string
}

/** One page of what is in order, and whether there is more. */
export function pageOf(
  sorted: readonly string[],
  { count, last }: Page,
  compare: (a: string, b: string) => number,
): { readonly items: readonly string[]; readonly isLast: boolean } {
  const rest = last === '' ? sorted : sorted.filter(each => compare(each, last) > 0)
  const items = count === null ? rest : rest.slice(0, count)
  return { items, isLast: items.length === rest.length }
}
