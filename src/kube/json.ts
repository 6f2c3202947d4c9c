/** JSON text to values with Go's error words, a limit on depth, and the duplicate keys that strict validation wants. */

const DEPTH_MAX = 1_000

export class JsonError extends Error {
  override readonly name = 'JsonError'
}

export interface ParsedJson {
  readonly value: unknown
  /** Paths of keys that stand twice in their object: `spec.replicas`. Empty unless asked for. */
  readonly duplicateFields: readonly string[]
  /** The same keys where they stand again, in the words of a YAML reader. */
  readonly duplicateKeys: readonly DuplicateKey[]
}

export interface DuplicateKey {
  readonly key: string
  /** From 1. */
  readonly line: number
}

/** More duplicates than these are not told of. */
const DUPLICATES_MAX = 100

/** Parses; of a key that stands twice the last value counts. Throws JsonError. */
export function parseJson(text: string, options: { readonly findDuplicates?: boolean } = {}): ParsedJson {
  if (isTooDeep(text)) throw new JsonError('exceeded max depth')
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw new JsonError(explain(text))
  }
  if (options.findDuplicates !== true) return { value, duplicateFields: [], duplicateKeys: [] }
  const { fields, keys } = findDuplicates(text)
  return { value, duplicateFields: [...fields], duplicateKeys: keys }
}

const QUOTE = 0x22
const BACKSLASH = 0x5c

function isTooDeep(text: string): boolean {
  let depth = 0
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code === QUOTE) i = skipString(text, i)
    else if (code === 0x7b || code === 0x5b) {
      depth++
      if (depth > DEPTH_MAX) return true
    } else if (code === 0x7d || code === 0x5d) depth--
  }
  return false
}

/** Position of the closing quote of the string that opens at `start`. */
function skipString(text: string, start: number): number {
  let i = start + 1
  while (i < text.length) {
    const code = text.charCodeAt(i)
    if (code === BACKSLASH) i++
    else if (code === QUOTE) return i
    i++
  }
  return i
}

interface Duplicates {
  readonly fields: Set<string>
  readonly keys: DuplicateKey[]
}

/** Positions in the text by path: where a key stands first, and where it stands again. */
export interface FieldPlaces {
  readonly first: ReadonlyMap<string, number>
  readonly again: ReadonlyMap<string, number>
}

/** Of text that is known to be valid JSON. */
export function fieldPlaces(text: string): FieldPlaces {
  const first = new Map<string, number>()
  const again = new Map<string, number>()
  const noteIn =
    (places: Map<string, number>) =>
    (frame: Frame, { at }: KeyPlace) => {
      const path = childPath(frame)
      if (!places.has(path)) places.set(path, at)
    }
  walkKeys(text, noteIn(again), noteIn(first))
  return { first, again }
}

interface Frame {
  /** null for an array. */
  readonly keys: Set<string> | null
  readonly path: string
  index: number
  key: string
}

interface KeyPlace {
  readonly at: number
  readonly line: number
}

function findDuplicates(text: string): Duplicates {
  const found: Duplicates = { fields: new Set(), keys: [] }
  walkKeys(text, (frame, { line }) => {
    if (found.keys.length >= DUPLICATES_MAX) return
    found.fields.add(childPath(frame))
    found.keys.push({ key: frame.key, line })
  })
  return found
}

/** Walks over text that is known to be valid JSON. */
function walkKeys(
  text: string,
  onAgain: (frame: Frame, place: KeyPlace) => void,
  onFirst?: (frame: Frame, place: KeyPlace) => void,
): void {
  let line = 1
  const frames: Frame[] = []
  let expectKey = false
  for (let i = 0; i < text.length; i++) {
    const top = frames.at(-1)
    const char = text[i]
    if (char === '"') {
      const end = skipString(text, i)
      if (expectKey && top?.keys) {
        top.key = JSON.parse(text.slice(i, end + 1))
        if (top.keys.has(top.key)) onAgain(top, { at: i, line })
        else onFirst?.(top, { at: i, line })
        top.keys.add(top.key)
      }
      expectKey = false
      i = end
    } else if (char === '{' || char === '[') {
      frames.push({ keys: char === '{' ? new Set() : null, path: childPath(top), index: 0, key: '' })
      expectKey = char === '{'
    } else if (char === '}' || char === ']') {
      frames.pop()
      expectKey = false
    } else if (char === ',' && top !== undefined) {
      top.index++
      expectKey = top.keys !== null
    } else if (char === '\n') line++
  }
}

function childPath(frame: Frame | undefined): string {
  if (frame === undefined) return ''
  if (frame.keys === null) return `${frame.path}[${frame.index}]`
  return frame.path === '' ? frame.key : `${frame.path}.${frame.key}`
}

const STRING = String.raw`"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"`
const NUMBER = String.raw`-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][-+]?\d+)?`
/** Groups: string, number, word, punctuation. */
const TOKEN = new RegExp(`\\s*(?:(${STRING})|(${NUMBER})|(true|false|null)|([{}[\\],:]))`, 'y')

/** What is wrong with text that JSON.parse refused, as Go's decoder says it. */
function explain(text: string): string {
  const stack: string[] = []
  let state: 'value' | 'first-value' | 'first-key' | 'key' | 'colon' | 'after' = 'value'
  TOKEN.lastIndex = 0
  for (;;) {
    const at = TOKEN.lastIndex
    const match = TOKEN.exec(text)
    const rest = text.slice(at).trimStart()
    if (match === null) return rest === '' ? 'unexpected end of JSON input' : unexpected(rest, state, stack)
    const [, string, , , punctuation] = match
    const isValue = punctuation === undefined
    if (state === 'first-key' && punctuation === '}') state = closeTop(stack)
    else if ((state === 'first-key' || state === 'key') && string !== undefined) state = 'colon'
    else if (state === 'colon' && punctuation === ':') state = 'value'
    else if (state === 'first-value' && punctuation === ']') state = closeTop(stack)
    else if ((state === 'value' || state === 'first-value') && isValue) state = 'after'
    else if ((state === 'value' || state === 'first-value') && (punctuation === '{' || punctuation === '[')) {
      stack.push(punctuation)
      state = punctuation === '{' ? 'first-key' : 'first-value'
    } else if (state === 'after' && punctuation === ',' && stack.length > 0) {
      state = stack.at(-1) === '{' ? 'key' : 'value'
    } else if (state === 'after' && punctuation === (stack.at(-1) === '{' ? '}' : ']'))
      state = closeTop(stack)
    else return unexpected(rest, state, stack)
  }
}

function closeTop(stack: string[]): 'after' {
  stack.pop()
  return 'after'
}

function unexpected(rest: string, state: string, stack: readonly string[]): string {
  const [char = ''] = rest
  // A string that opens and never closes.
  if (char === '"' && state !== 'after' && state !== 'colon') return 'unexpected end of JSON input'
  const shown = char === "'" ? `'\\''` : `'${char}'`
  return `invalid character ${shown} ${whereWords(state, stack)}`
}

function whereWords(state: string, stack: readonly string[]): string {
  switch (state) {
    case 'first-key':
    case 'key':
      return 'looking for beginning of object key string'
    case 'colon':
      return 'after object key'
    case 'after':
      if (stack.length === 0) return 'after top-level value'
      return stack.at(-1) === '{' ? 'after object key:value pair' : 'after array element'
    default:
      return 'looking for beginning of value'
  }
}
