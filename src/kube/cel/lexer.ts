/** Cuts the source of an expression into tokens. */

import { unescapeLiteral } from './escapes.ts'
import { SyntaxProblem } from './source-error.ts'

export type TokenKind =
  | 'end'
  | 'ident'
  | 'quoted-ident'
  | 'int'
  | 'uint'
  | 'double'
  | 'string'
  | 'bytes'
  | 'symbol'

export interface Token {
  readonly kind: TokenKind
  readonly at: number
  readonly end: number
  /** As in the source. */
  readonly text: string
  readonly value: string | Uint8Array
}

const SYMBOL = /==|!=|<=|>=|&&|\|\||[-+*/%<>!?:.,()[\]{}]/y
const SPACE = /(?:[ \t\r\n\f]|\/\/[^\n]*)+/y
const IDENT = /[A-Za-z_][A-Za-z_0-9]*/y
const QUOTED_IDENT = /`[A-Za-z0-9_.\-/ ]+`/y
const NUMBER = /0[xX][0-9a-fA-F]+[uU]?|(?:\d+\.\d+|\.\d+|\d+(?=[eE][-+]?\d))(?:[eE][-+]?\d+)?|\d+[uU]?/y
const STRING_START = /(?:[rR]|[bB][rR]?|[rR][bB])?(?:"""|'''|"|')/y

function matchAt(pattern: RegExp, source: string, at: number): string | null {
  pattern.lastIndex = at
  return pattern.exec(source)?.[0] ?? null
}

export function tokenize(source: string): Token[] {
  const tokens: Token[] = []
  let at = 0
  for (;;) {
    at += matchAt(SPACE, source, at)?.length ?? 0
    if (at >= source.length) break
    const token = tokenAt(source, at)
    tokens.push(token)
    at = token.end
  }
  tokens.push({ kind: 'end', at: source.length, end: source.length, text: '<EOF>', value: '' })
  return tokens
}

function tokenAt(source: string, at: number): Token {
  const make = (kind: TokenKind, text: string, value: string | Uint8Array = text): Token => ({
    kind,
    at,
    end: at + text.length,
    text,
    value,
  })
  const quote = matchAt(STRING_START, source, at)
  if (quote !== null) return stringAt(source, at, quote)
  const ident = matchAt(IDENT, source, at)
  if (ident !== null) return make('ident', ident)
  const quoted = matchAt(QUOTED_IDENT, source, at)
  if (quoted !== null) return make('quoted-ident', quoted, quoted.slice(1, -1))
  const number = matchAt(NUMBER, source, at)
  if (number !== null) return make(numberKind(number), number)
  const symbol = matchAt(SYMBOL, source, at)
  if (symbol !== null) return make('symbol', symbol)
  throw unrecognized(at, source[at] ?? '')
}

const unrecognized = (at: number, text: string): SyntaxProblem =>
  new SyntaxProblem(at, `Syntax error: token recognition error at: '${text}'`)

function numberKind(text: string): TokenKind {
  if (/[uU]$/.test(text)) return 'uint'
  return !/^0[xX]/.test(text) && /[.eE]/.test(text) ? 'double' : 'int'
}

function stringAt(source: string, at: number, start: string): Token {
  const prefix = start.replace(/["']+$/, '').toLowerCase()
  const quote = start.slice(prefix.length)
  const isRaw = prefix.includes('r')
  const isBytes = prefix.includes('b')
  const bodyAt = at + start.length
  const bodyEnd = closingQuote(source, bodyAt, quote, isRaw)
  if (bodyEnd === -1) throw unrecognized(at, source.slice(at).split('\n')[0] ?? '')
  const body = source.slice(bodyAt, bodyEnd).replaceAll('\r\n', '\n')
  const end = bodyEnd + quote.length
  const value = unescapeLiteral(body, { isRaw, isBytes })
  if (value === null) throw new SyntaxProblem(at, `Syntax error: invalid escape sequence in string literal`)
  return { kind: isBytes ? 'bytes' : 'string', at, end, text: source.slice(at, end), value }
}

/** Where the body ends, or -1. */
function closingQuote(source: string, from: number, quote: string, isRaw: boolean): number {
  for (let at = from; at < source.length; at++) {
    const char = source[at]
    if (char === '\\' && !isRaw) at++
    else if (source.startsWith(quote, at)) return at
    else if (quote.length === 1 && (char === '\n' || char === '\r')) return -1
  }
  return -1
}
