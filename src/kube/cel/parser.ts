/** Parses an expression; macros are expanded on the way, as upstream does. */
import type { CallNode, Expr, MapEntry, StructField } from './ast.ts'
import { qualifiedName } from './ast.ts'
import { type Token, tokenize } from './lexer.ts'
import { expandMacro } from './macros.ts'
import { SyntaxProblem } from './source-error.ts'
import { BOOL, BYTES, DOUBLE, INT, NULL, STRING, UINT } from './types.ts'
import { Uint } from './values.ts'

const SOURCE_CHARACTERS_MAX = 100_000
const DEPTH_MAX = 250
const INT_MAX = 2n ** 63n - 1n
const INT_MIN = -(2n ** 63n)
const UINT_MAX = 2n ** 64n - 1n

const RESERVED = new Set(
  'as break const continue else for function if import let loop package namespace return var void while'.split(
    ' ',
  ),
)
const KEYWORDS = new Set(['in', 'true', 'false', 'null'])
const PRIMARY =
  "{'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}"

/** `||` and `&&`, which bind least. */
const LOGICAL_LEVELS = 2

const BINARY: readonly Readonly<Record<string, string>>[] = [
  {},
  {},
  {
    '<': '_<_',
    '<=': '_<=_',
    '>': '_>_',
    '>=': '_>=_',
    '==': '_==_',
    '!=': '_!=_',
    in: '@in',
  },
  { '+': '_+_', '-': '_-_' },
  { '*': '_*_', '/': '_/_', '%': '_%_' },
]

/** Throws SyntaxProblem. */
export function parseExpression(source: string): Expr {
  if (source.length > SOURCE_CHARACTERS_MAX) {
    const message = `expression code point size exceeds limit: size: ${source.length}, limit ${SOURCE_CHARACTERS_MAX}`
    throw new SyntaxProblem(0, message)
  }
  return new Parser(tokenize(source)).parse()
}

class Parser {
  readonly #tokens: readonly Token[]
  #position = 0
  #depth = 0

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens
  }

  parse(): Expr {
    const expr = this.#expr()
    const rest = this.#peek()
    if (rest.kind !== 'end') throw this.#mismatch(rest, '<EOF>')
    return expr
  }

  #peek(): Token {
    return this.#tokens[this.#position] as Token
  }

  #next(): Token {
    const token = this.#peek()
    if (token.kind !== 'end') this.#position++
    return token
  }

  /** Whether the next token is this symbol; it is consumed then. */
  #takes(symbol: string): boolean {
    const found = this.#is(symbol)
    if (found) this.#position++
    return found
  }

  #is(symbol: string): boolean {
    const { kind, text } = this.#peek()
    return kind === 'symbol' && text === symbol
  }

  #expect(symbol: string): Token {
    if (!this.#is(symbol)) throw this.#mismatch(this.#peek(), `'${symbol}'`)
    return this.#next()
  }

  #mismatch(token: Token, expected: string): SyntaxProblem {
    return new SyntaxProblem(token.at, `Syntax error: mismatched input '${token.text}' expecting ${expected}`)
  }

  #expr(): Expr {
    this.#depth++
    if (this.#depth > DEPTH_MAX) {
      throw new SyntaxProblem(this.#peek().at, `expression recursion limit exceeded: ${DEPTH_MAX}`)
    }
    const condition = this.#binary(0)
    let expr = condition
    if (this.#is('?')) {
      const { at } = this.#next()
      const then = this.#binary(0)
      this.#expect(':')
      expr = call('_?_:_', at, [condition, then, this.#expr()])
    }
    this.#depth--
    return expr
  }

  #binary(level: number): Expr {
    const operators = BINARY[level]
    if (operators === undefined) return this.#unary()
    if (level < LOGICAL_LEVELS) return this.#logical(level)
    let left = this.#binary(level + 1)
    for (;;) {
      const { kind, text, at } = this.#peek()
      const isOperator = kind === 'symbol' || (kind === 'ident' && text === 'in')
      const name = isOperator && Object.hasOwn(operators, text) ? operators[text] : undefined
      if (name === undefined) return left
      this.#position++
      left = call(name, at, [left, this.#binary(level + 1)])
    }
  }

  /** Long chains of `||` and `&&` become trees that are balanced. */
  #logical(level: number): Expr {
    const symbol = level === 0 ? '||' : '&&'
    const terms = [this.#binary(level + 1)]
    const places: number[] = []
    while (this.#is(symbol)) {
      places.push(this.#next().at)
      terms.push(this.#binary(level + 1))
    }
    const build = (from: number, to: number): Expr => {
      if (from === to) return terms[from] as Expr
      const middle = Math.ceil((from + to) / 2)
      const args = [build(from, middle - 1), build(middle, to)]
      return call(`_${symbol}_`, places[middle - 1] ?? 0, args)
    }
    return build(0, terms.length - 1)
  }

  #unary(): Expr {
    const first = this.#peek()
    if (this.#is('!')) return this.#repeated('!', '!_', first.at)
    if (!this.#is('-')) return this.#member()
    const after = this.#tokens[this.#position + 1]
    if (after !== undefined && (after.kind === 'int' || after.kind === 'double')) return this.#member()
    return this.#repeated('-', '-_', first.at)
  }

  #repeated(symbol: string, name: string, at: number): Expr {
    let count = 0
    while (this.#is(symbol)) {
      this.#position++
      count++
    }
    const operand = this.#member()
    return count % 2 === 0 ? operand : call(name, at, [operand])
  }

  #member(): Expr {
    let expr = this.#primary()
    for (;;) {
      const { at } = this.#peek()
      if (this.#takes('.')) expr = this.#selection(expr, at)
      else if (this.#takes('[')) expr = this.#index(expr, at)
      else if (this.#is('{') && qualifiedName(expr) !== null) expr = this.#struct(expr)
      else return expr
    }
  }

  #selection(operand: Expr, at: number): Expr {
    const isOptional = this.#takes('?')
    const token = this.#next()
    if (token.kind === 'quoted-ident' || (token.kind === 'ident' && !KEYWORDS.has(token.text))) {
      const field = String(token.value)
      if (isOptional) return call('_?._', at, [operand, text(token.at, field)])
      if (token.kind === 'ident' && this.#is('(')) return this.#call(operand, field)
      return { kind: 'select', at, operand, field, test: false }
    }
    throw this.#mismatch(token, 'IDENTIFIER')
  }

  #index(operand: Expr, at: number): Expr {
    const name = this.#takes('?') ? '_[?_]' : '_[_]'
    const index = this.#expr()
    this.#expect(']')
    return call(name, at, [operand, index])
  }

  #call(target: Expr | null, name: string): Expr {
    const { at } = this.#expect('(')
    const args = this.#list(')', () => this.#expr())
    const node: CallNode = { kind: 'call', at, name, target, args }
    return expandMacro(node) ?? node
  }

  /** Items until the closing symbol, which may follow a comma except in arguments. */
  #list<T>(close: string, item: () => T): T[] {
    const items: T[] = []
    while (!this.#is(close)) {
      items.push(item())
      if (!this.#takes(',')) break
      if (close === ')' && this.#is(')')) throw this.#mismatch(this.#peek(), PRIMARY)
    }
    this.#expect(close)
    return items
  }

  #primary(): Expr {
    const token = this.#next()
    const { at, kind } = token
    if (kind === 'ident') return this.#identOrKeyword(token, '')
    if (kind === 'string') return text(at, String(token.value))
    if (kind === 'bytes') return { kind: 'const', at, value: token.value as Uint8Array, type: BYTES }
    if (kind === 'int' || kind === 'uint' || kind === 'double') return number(token, '')
    if (kind !== 'symbol') throw this.#mismatch(token, PRIMARY)
    switch (token.text) {
      case '(': {
        const inner = this.#expr()
        this.#expect(')')
        return inner
      }
      case '[':
        return this.#listLiteral(at)
      case '{':
        return { kind: 'map', at, entries: this.#list('}', () => this.#entry()) }
      case '.':
        return this.#identOrKeyword(this.#next(), '.')
      case '-':
        return this.#negativeNumber()
      default:
        throw this.#mismatch(token, PRIMARY)
    }
  }

  #negativeNumber(): Expr {
    const token = this.#next()
    if (token.kind === 'int' || token.kind === 'double') return number(token, '-')
    throw this.#mismatch(token, '{NUM_FLOAT, NUM_INT}')
  }

  #identOrKeyword(token: Token, prefix: '' | '.'): Expr {
    const { at } = token
    if (token.kind !== 'ident') throw this.#mismatch(token, 'IDENTIFIER')
    if (prefix === '' && token.text === 'null') return { kind: 'const', at, value: null, type: NULL }
    if (prefix === '' && (token.text === 'true' || token.text === 'false')) {
      return { kind: 'const', at, value: token.text === 'true', type: BOOL }
    }
    if (KEYWORDS.has(token.text)) throw this.#mismatch(token, PRIMARY)
    if (RESERVED.has(token.text)) throw new SyntaxProblem(at, `reserved identifier: ${token.text}`)
    const name = `${prefix}${token.text}`
    return this.#is('(') ? this.#call(null, name) : { kind: 'ident', at, name }
  }

  #listLiteral(at: number): Expr {
    const optional = new Set<number>()
    let index = 0
    const items = this.#list(']', () => {
      if (this.#takes('?')) optional.add(index)
      index++
      return this.#expr()
    })
    return { kind: 'list', at, items, optional }
  }

  #entry(): MapEntry {
    const optional = this.#takes('?')
    const key = this.#expr()
    const { at } = this.#expect(':')
    return { at, key, value: this.#expr(), optional }
  }

  #struct(operand: Expr): Expr {
    const { at } = this.#expect('{')
    const fields = this.#list('}', (): StructField => {
      const optional = this.#takes('?')
      const token = this.#next()
      if (token.kind !== 'ident' && token.kind !== 'quoted-ident') throw this.#mismatch(token, 'IDENTIFIER')
      const colon = this.#expect(':')
      return { at: colon.at, name: String(token.value), value: this.#expr(), optional }
    })
    return { kind: 'struct', at, name: qualifiedName(operand) ?? '', fields }
  }
}

const call = (name: string, at: number, args: readonly Expr[]): Expr => ({
  kind: 'call',
  at,
  name,
  target: null,
  args,
})

const text = (at: number, value: string): Expr => ({ kind: 'const', at, value, type: STRING })

function number({ kind, at, text: digits }: Token, sign: '' | '-'): Expr {
  if (kind === 'double') {
    const value = Number(`${sign}${digits}`)
    if (!Number.isFinite(value)) throw new SyntaxProblem(at, 'invalid double literal')
    return { kind: 'const', at, value, type: DOUBLE }
  }
  if (kind === 'uint') {
    const value = BigInt(digits.slice(0, -1))
    if (value > UINT_MAX) throw new SyntaxProblem(at, 'invalid uint literal')
    return { kind: 'const', at, value: new Uint(value), type: UINT }
  }
  const value = sign === '-' ? -BigInt(digits) : BigInt(digits)
  if (value > INT_MAX || value < INT_MIN) throw new SyntaxProblem(at, 'invalid int literal')
  return { kind: 'const', at, value, type: INT }
}
