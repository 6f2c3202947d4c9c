/**
 * JSONPath as printer columns use it: fields, indexes, slices, wildcards, recursive descent and filters.
 * What is missing yields nothing.
 */
import { isMap } from '../json-map.ts'

/** Steps from one value to others. */
type Step = (values: readonly unknown[]) => unknown[]

export class JsonPathError extends Error {
  override readonly name = 'JsonPathError'
}

/** Steps of one path, so that a hostile one cannot hold up the server. */
const STEPS_MAX = 100
const VALUES_MAX = 10_000

/** All values that the path finds in a root. Throws JsonPathError for text that is no path. */
export function compileJsonPath(text: string): (root: unknown) => readonly unknown[] {
  const steps = new PathParser(text).parse()
  return root => {
    let values: unknown[] = [root]
    for (const step of steps) values = step(values).slice(0, VALUES_MAX)
    return values
  }
}

const NAME = /[^.[\]{}()?@'"\s]+/y
const QUOTED = /'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)"/y
const SLICE = /(-?\d*)(?::(-?\d*))?(?::(-?\d*))?/y
const FILTER = /^\s*@([^=!<>]*?)\s*(?:(==|!=|<=|>=|<|>)\s*(.+?))?\s*$/

class PathParser {
  readonly #text: string
  #at = 0

  constructor(text: string) {
    this.#text = text
  }

  parse(): Step[] {
    const steps: Step[] = []
    if (this.#text[0] === '$' || this.#text[0] === '@') this.#at = 1
    while (this.#at < this.#text.length) {
      if (steps.length >= STEPS_MAX) throw new JsonPathError('the path is too long')
      const step = this.#step()
      if (step !== null) steps.push(step)
    }
    return steps
  }

  #step(): Step | null {
    const char = this.#text[this.#at]
    if (char === '[') return this.#bracket()
    if (char !== '.') return this.#name()
    this.#at += 1
    if (this.#text[this.#at] === '.') {
      this.#at += 1
      return descendants
    }
    if (this.#at >= this.#text.length || this.#text[this.#at] === '[') return null
    return this.#name()
  }

  #name(): Step {
    if (this.#text[this.#at] === '*') {
      this.#at += 1
      return wildcard
    }
    let name = ''
    for (;;) {
      const part = this.#match(NAME)?.[0] ?? ''
      name += part
      if (!name.endsWith('\\')) break
      name = name.slice(0, -1) + (this.#text[this.#at] ?? '')
      this.#at += 1
    }
    if (name === '')
      throw new JsonPathError(`unrecognized character in action: ${this.#text[this.#at] ?? ''}`)
    return field(name)
  }

  #bracket(): Step {
    const end = this.#closing()
    const inside = this.#text.slice(this.#at + 1, end).trim()
    this.#at = end + 1
    if (inside === '*') return wildcard
    if (inside.startsWith('?(') && inside.endsWith(')')) return filter(inside.slice(2, -1))
    QUOTED.lastIndex = 0
    const quoted = QUOTED.exec(inside)
    if (quoted !== null && quoted[0].length === inside.length) {
      return field((quoted[1] ?? quoted[2] ?? '').replace(/\\(.)/g, '$1'))
    }
    SLICE.lastIndex = 0
    const slice = SLICE.exec(inside)
    if (slice === null || slice[0] !== inside || inside === '') {
      throw new JsonPathError(`invalid array index ${inside}`)
    }
    return items(slice[1], slice[2], slice[3])
  }

  /** The bracket that closes the one here; quotes hide brackets. */
  #closing(): number {
    let depth = 0
    let quote = ''
    for (let i = this.#at; i < this.#text.length; i++) {
      const char = this.#text[i] ?? ''
      if (quote !== '') {
        if (char === '\\') i += 1
        else if (char === quote) quote = ''
      } else if (char === "'" || char === '"') quote = char
      else if (char === '[') depth += 1
      else if (char === ']' && --depth === 0) return i
    }
    throw new JsonPathError('unterminated array')
  }

  #match(pattern: RegExp): RegExpExecArray | null {
    pattern.lastIndex = this.#at
    const match = pattern.exec(this.#text)
    if (match !== null) this.#at = pattern.lastIndex
    return match
  }
}

const field =
  (name: string): Step =>
  values =>
    values.flatMap(value => (isMap(value) && Object.hasOwn(value, name) ? [value[name]] : []))

const childrenOf = (value: unknown): readonly unknown[] => {
  if (Array.isArray(value)) return value
  return isMap(value) ? Object.values(value) : []
}

const wildcard: Step = values => values.flatMap(childrenOf)

const descendants: Step = values => {
  const found: unknown[] = []
  const visit = (value: unknown): void => {
    if (found.length >= VALUES_MAX) return
    found.push(value)
    for (const child of childrenOf(value)) visit(child)
  }
  for (const value of values) visit(value)
  return found
}

function items(first: string | undefined, last: string | undefined, step: string | undefined): Step {
  const index = Number(first || 0)
  if (last === undefined) return values => values.flatMap(value => atIndex(value, index))
  const every = Math.max(1, Number(step || 1))
  const end = last === '' ? undefined : Number(last)
  return values =>
    values.flatMap(value =>
      Array.isArray(value) ? value.slice(index, end).filter((_one, position) => position % every === 0) : [],
    )
}

function atIndex(value: unknown, index: number): unknown[] {
  if (!Array.isArray(value)) return []
  const position = index < 0 ? value.length + index : index
  return position in value ? [value[position]] : []
}

function filter(text: string): Step {
  const match = FILTER.exec(text)
  if (match === null) throw new JsonPathError(`unrecognized filter ${text}`)
  const [, path = '', operator, right] = match
  const find = compileJsonPath(path.trim())
  const wanted = right === undefined ? undefined : literal(right.trim())
  const isWanted = (item: unknown): boolean => {
    const found = find(item)
    if (operator === undefined) return found.length > 0
    return found.length > 0 && compare(found[0], operator, wanted)
  }
  return values => values.flatMap(value => childrenOf(value).filter(isWanted))
}

function literal(text: string): unknown {
  QUOTED.lastIndex = 0
  const quoted = QUOTED.exec(text)
  if (quoted !== null && quoted[0].length === text.length) return quoted[1] ?? quoted[2] ?? ''
  if (text === 'true' || text === 'false') return text === 'true'
  const number = Number(text)
  if (Number.isNaN(number)) throw new JsonPathError(`unrecognized value ${text}`)
  return number
}

function compare(left: unknown, operator: string, right: unknown): boolean {
  if (operator === '==') return left === right
  if (operator === '!=') return left !== right
  if (typeof left !== typeof right || (typeof left !== 'number' && typeof left !== 'string')) return false
  const a = left as number
  const b = right as number
  if (operator === '<') return a < b
  if (operator === '>') return a > b
  return operator === '<=' ? a <= b : a >= b
}

/** The steps of a simple path (`.spec.replicas`), or null when it is not one. */
export function simplePath(text: string): readonly string[] | null {
  const [empty, ...fields] = text.split('.')
  return empty === '' && fields.length > 0 && fields.every(one => one !== '') ? fields : null
}

/** What stands at a simple path. */
export function valueAt(root: unknown, path: readonly string[]): unknown {
  let value = root
  for (const name of path) value = isMap(value) && Object.hasOwn(value, name) ? value[name] : undefined
  return value
}
