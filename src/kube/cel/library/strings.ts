/** Strings: what the language itself has, and the extended functions. Positions count characters. */
import { fn, method, type Overload, type SizeFormula, traversal } from '../functions.ts'
import { BOOL, DYN, INT, listOf, STRING } from '../types.ts'
import { CelError, type CelValue } from '../values.ts'
import { formatString } from './format-string.ts'

const walked = { cost: (size = 0) => traversal(size) }
const kept = { cost: (size = 0) => traversal(size), resultSize: (size = 0) => size }
const searched = { cost: (text = 0, part = 0) => traversal(text) * traversal(part) }
const LARGEST_JOIN: SizeFormula = (items = 0, separator = 0) => items * (1 + separator)

/** What functions may make of strings that are smaller. */
const CHARACTERS_MAX = 16 * 1024 * 1024

const charsOf = (text: string): readonly string[] => [...text]

function charAt(text: string, at: bigint): string {
  const chars = charsOf(text)
  if (at < 0n || at > BigInt(chars.length)) throw outOfRange(at)
  return chars[Number(at)] ?? ''
}

const outOfRange = (at: bigint): CelError => new CelError(`index out of range: ${at}`)

function indexOf(text: string, part: string, from = 0n): bigint {
  const chars = charsOf(text)
  if (from < 0n || from > BigInt(chars.length)) throw outOfRange(from)
  if (part === '') return from
  const skipped = chars.slice(0, Number(from)).join('')
  const at = text.indexOf(part, skipped.length)
  return at === -1 ? -1n : BigInt(charsOf(text.slice(0, at)).length)
}

function lastIndexOf(text: string, part: string, from?: bigint): bigint {
  const chars = charsOf(text)
  if (from !== undefined && (from < 0n || from > BigInt(chars.length))) throw outOfRange(from)
  const last = from === undefined || from >= BigInt(chars.length) ? text.length : Number(from)
  if (part === '') return from === undefined || from > BigInt(chars.length) ? BigInt(chars.length) : from
  const limit = last === text.length ? last : chars.slice(0, last).join('').length
  const at = text.lastIndexOf(part, limit)
  return at === -1 ? -1n : BigInt(charsOf(text.slice(0, at)).length)
}

function substring(text: string, start: bigint, end?: bigint): string {
  const chars = charsOf(text)
  const size = BigInt(chars.length)
  if (start < 0n || start > size) throw outOfRange(start)
  if (end === undefined) return chars.slice(Number(start)).join('')
  if (end < 0n || end > size) throw outOfRange(end)
  if (start > end) throw new CelError(`invalid substring range. start: ${start}, end: ${end}`)
  return chars.slice(Number(start), Number(end)).join('')
}

function split(text: string, separator: string, limit = -1n): readonly string[] {
  if (limit === 0n) return []
  if (limit === 1n) return [text]
  const parts = separator === '' ? [...text] : text.split(separator)
  if (limit < 0n || BigInt(parts.length) <= limit) return parts
  const head = parts.slice(0, Number(limit) - 1)
  return [...head, parts.slice(head.length).join(separator)]
}

function replace(text: string, from: string, to: string, limit = -1n): string {
  if (text.length * to.length > CHARACTERS_MAX) checkLength(text.split(from).length * to.length)
  if (limit < 0n) return text.replaceAll(from, () => to)
  const parts = split(text, from, limit + 1n)
  if (from !== '') return parts.join(to)
  return charsOf(text)
    .map((char, index) => (BigInt(index) < limit ? `${to}${char}` : char))
    .join('')
}

function join(list: readonly CelValue[], separator = ''): string {
  if (!list.every(item => typeof item === 'string')) throw new CelError('no such overload')
  checkLength(list.length * separator.length)
  return list.join(separator)
}

function checkLength(characters: number): void {
  if (characters > CHARACTERS_MAX)
    throw new CelError(`a string may have at most ${CHARACTERS_MAX} characters`)
}

const WHITE = /^\p{White_Space}+|\p{White_Space}+$/gu

const lowerAscii = (text: string): string => text.replace(/[A-Z]/g, char => char.toLowerCase())
const upperAscii = (text: string): string => text.replace(/[a-z]/g, char => char.toUpperCase())

const QUOTED: Readonly<Record<string, string>> = {
  '\x07': '\\a',
  '\b': '\\b',
  '\f': '\\f',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
  '\v': '\\v',
  '\\': '\\\\',
  '"': '\\"',
}

function quote(text: string): string {
  const body = charsOf(text.toWellFormed()).map(char => QUOTED[char] ?? char)
  return `"${body.join('')}"`
}

const core: readonly Overload[] = [
  method('startsWith', [[STRING, STRING], BOOL], (text: string, part: string) => text.startsWith(part), {
    cost: (_text, part = 0) => traversal(part),
  }),
  method('endsWith', [[STRING, STRING], BOOL], (text: string, part: string) => text.endsWith(part), {
    cost: (_text, part = 0) => traversal(part),
  }),
  method('contains', [[STRING, STRING], BOOL], (text: string, part: string) => text.includes(part), searched),
]

const positions: readonly Overload[] = [
  method('charAt', [[STRING, INT], STRING], charAt, { ...walked, resultSize: () => 1 }),
  method('indexOf', [[STRING, STRING], INT], indexOf, searched),
  method('indexOf', [[STRING, STRING, INT], INT], indexOf, searched),
  method('lastIndexOf', [[STRING, STRING], INT], lastIndexOf, searched),
  method('lastIndexOf', [[STRING, STRING, INT], INT], lastIndexOf, searched),
  method('substring', [[STRING, INT], STRING], substring, kept),
  method('substring', [[STRING, INT, INT], STRING], substring, kept),
]

const replaceCosts = {
  cost: (text = 0) => traversal(text),
  resultSize: (text = 0, _from = 0, to = 0) => text + text * to + to,
}
const joinCosts = { cost: (list = 0) => traversal(list), resultSize: LARGEST_JOIN }

const changes: readonly Overload[] = [
  method('replace', [[STRING, STRING, STRING], STRING], replace, replaceCosts),
  method('replace', [[STRING, STRING, STRING, INT], STRING], replace, replaceCosts),
  method('split', [[STRING, STRING], listOf(STRING)], split, kept),
  method('split', [[STRING, STRING, INT], listOf(STRING)], split, kept),
  method('join', [[listOf(STRING)], STRING], join, joinCosts),
  method('join', [[listOf(STRING), STRING], STRING], join, joinCosts),
  method('lowerAscii', [[STRING], STRING], lowerAscii, kept),
  method('upperAscii', [[STRING], STRING], upperAscii, kept),
  method('trim', [[STRING], STRING], (text: string) => text.replace(WHITE, ''), kept),
  method('reverse', [[STRING], STRING], (text: string) => [...text].reverse().join(''), kept),
  fn('strings.quote', [[STRING], STRING], quote, {
    ...walked,
    resultSize: (size = 0) => 2 * size + 2,
  }),
  method('format', [[STRING, listOf(DYN)], STRING], formatString, walked),
]

export const strings: readonly Overload[] = [...core, ...positions, ...changes]
