/** Things by path: exact ones, prefixes by whole elements, and expressions. A lookup costs one step per element. Pure. */
import { RE2JS } from 're2js'

interface Pattern<T> {
  readonly pattern: RE2JS
  readonly length: number
  readonly values: T[]
}

export class PathTable<T> {
  readonly #exact = new Map<string, T[]>()
  readonly #prefixes = new Map<string, T[]>()
  /** The longest first. */
  readonly #patterns: Pattern<T>[] = []

  addExact(path: string, value: T): void {
    push(this.#exact, path, value)
  }

  addPrefix(path: string, value: T): void {
    push(this.#prefixes, withoutEnd(path), value)
  }

  /** Throws when it is no expression. From the beginning of the path, large and small letters alike. */
  addPattern(path: string, value: T): void {
    const pattern = compilePattern(path)
    const same = this.#patterns.find(({ pattern: other }) => other.pattern() === pattern.pattern())
    if (same !== undefined) return void same.values.push(value)
    this.#patterns.push({ pattern, length: path.length, values: [value] })
    this.#patterns.sort((a, b) => b.length - a.length)
  }

  /** The most specific first: exact, then by length, expressions before prefixes. */
  *find(path: string): Generator<T> {
    yield* this.#exact.get(path) ?? []
    let next = 0
    for (let end = withoutEnd(path); ; end = end.slice(0, Math.max(end.lastIndexOf('/'), 0))) {
      const values = this.#prefixes.get(end)
      if (values !== undefined) {
        for (; next < this.#patterns.length; next++) {
          const { pattern, length, values: matching } = this.#patterns[next] as Pattern<T>
          if (length < end.length) break
          if (pattern.matcher(path).lookingAt()) yield* matching
        }
        yield* values
      }
      if (end === '') break
    }
    for (; next < this.#patterns.length; next++) {
      const { pattern, values } = this.#patterns[next] as Pattern<T>
      if (pattern.matcher(path).lookingAt()) yield* values
    }
  }
}

export const compilePattern = (path: string): RE2JS => RE2JS.compile(path, RE2JS.CASE_INSENSITIVE)

const withoutEnd = (path: string): string => path.replace(/\/+$/, '')

function push<T>(map: Map<string, T[]>, key: string, value: T): void {
  const values = map.get(key)
  if (values === undefined) map.set(key, [value])
  else values.push(value)
}
