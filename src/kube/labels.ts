/**
 * Label selectors, in the string form of query parameters and in the object form of specs. Parsing throws a
 * 400 StatusError with upstream's words.
 */
import { checkLabelKey, checkLabelValue } from './names.ts'
import { badRequest } from './status.ts'
import type { LabelSelector } from './types.ts'

export type LabelOperator = 'in' | 'notin' | '=' | '==' | '!=' | 'exists' | '!' | 'gt' | 'lt'

export interface LabelRequirement {
  readonly key: string
  readonly operator: LabelOperator
  readonly values: readonly string[]
}

export type Labels = Readonly<Record<string, string>>

/** All requirements must hold; an empty list selects everything. */
export function matchesLabels(
  requirements: readonly LabelRequirement[],
  labels: Labels | undefined,
): boolean {
  return requirements.every(requirement => matchesOne(requirement, labels ?? {}))
}

function matchesOne({ key, operator, values }: LabelRequirement, labels: Labels): boolean {
  const value = Object.hasOwn(labels, key) ? labels[key] : undefined
  switch (operator) {
    case 'exists':
      return value !== undefined
    case '!':
      return value === undefined
    case 'in':
    case '=':
    case '==':
      return value !== undefined && values.includes(value)
    case 'notin':
    case '!=':
      return value === undefined || !values.includes(value)
    default:
      return value !== undefined && compares(operator, value, values[0] ?? '')
  }
}

const INTEGER = /^[+-]?\d+$/

function compares(operator: 'gt' | 'lt', value: string, bound: string): boolean {
  if (!INTEGER.test(value) || !INTEGER.test(bound)) return false
  return operator === 'gt' ? BigInt(value) > BigInt(bound) : BigInt(value) < BigInt(bound)
}

const OBJECT_OPERATORS: Readonly<Record<string, LabelOperator>> = {
  In: 'in',
  NotIn: 'notin',
  Exists: 'exists',
  DoesNotExist: '!',
}

/** The requirements of a LabelSelector, or null for an absent one, which selects nothing. */
export function requirementsOf(selector: LabelSelector | null | undefined): LabelRequirement[] | null {
  if (selector === null || selector === undefined) return null
  const equal = Object.entries(selector.matchLabels ?? {}).map(([key, value]) => require(key, '=', [value]))
  const expressions = (selector.matchExpressions ?? []).map(({ key, operator, values }) => {
    const known = OBJECT_OPERATORS[operator]
    if (known === undefined) throw badRequest(`"${operator}" is not a valid label selector operator`)
    return require(key, known, values ?? [])
  })
  return [...equal, ...expressions]
}

/** Whether a LabelSelector selects the labels: an absent one nothing, an empty one everything. */
export function selects(selector: LabelSelector | null | undefined, labels: Labels | undefined): boolean {
  const requirements = requirementsOf(selector)
  return requirements !== null && matchesLabels(requirements, labels)
}

/** `a=b,c in (d,e),!f` for a query parameter. */
export function formatLabelSelector(requirements: readonly LabelRequirement[]): string {
  return requirements.map(formatRequirement).join(',')
}

function formatRequirement({ key, operator, values }: LabelRequirement): string {
  switch (operator) {
    case 'exists':
      return key
    case '!':
      return `!${key}`
    case 'in':
    case 'notin':
      return `${key} ${operator} (${[...values].sort().join(',')})`
    case 'gt':
      return `${key}>${values[0]}`
    case 'lt':
      return `${key}<${values[0]}`
    default:
      return `${key}${operator}${values[0]}`
  }
}

/** Checks a requirement as upstream's NewRequirement does. */
function require(key: string, operator: LabelOperator, values: readonly string[]): LabelRequirement {
  checkKey(key)
  const shown = JSON.stringify(values)
  const fail = (rule: string) => badRequest(`values: Invalid value: ${shown}: ${rule}`)
  if ((operator === 'in' || operator === 'notin') && values.length === 0) {
    throw fail("for 'in', 'notin' operators, values set can't be empty")
  }
  if ((operator === 'exists' || operator === '!') && values.length > 0) {
    throw fail('values set must be empty for exists and does not exist')
  }
  if ((operator === 'gt' || operator === 'lt') && !INTEGER.test(values[0] ?? '')) {
    throw badRequest(
      `values[0]: Invalid value: ${JSON.stringify(values[0])}: for 'Gt', 'Lt' operators, the value must be an integer`,
    )
  }
  values.forEach((value, index) => {
    const [problem] = checkLabelValue(value)
    if (problem !== undefined) {
      throw badRequest(`values[${index}][${key}]: Invalid value: ${JSON.stringify(value)}: ${problem}`)
    }
  })
  return { key, operator, values }
}

function checkKey(key: string): void {
  const [problem] = checkLabelKey(key)
  if (problem !== undefined) throw badRequest(`key: Invalid value: ${JSON.stringify(key)}: ${problem}`)
}

interface Token {
  readonly kind: 'identifier' | 'symbol' | 'end'
  readonly text: string
}

const TOKEN = /\s*(==|!=|[=!(),<>]|[^\s=!(),<>]+)/y

function tokenize(text: string): Token[] {
  const tokens: Token[] = []
  TOKEN.lastIndex = 0
  for (let match = TOKEN.exec(text); match !== null; match = TOKEN.exec(text)) {
    const [, word = ''] = match
    tokens.push({ kind: /^[=!(),<>]/.test(word) ? 'symbol' : 'identifier', text: word })
  }
  return tokens
}

/** The requirements of `a=b,c in (d,e),!f,g>3`; nothing but blanks selects everything. */
export function parseLabelSelector(text: string): LabelRequirement[] {
  return new SelectorParser(tokenize(text)).parse()
}

const END: Token = { kind: 'end', text: '' }
const OPERATORS = 'in, notin, =, ==, !=, gt, lt'

class SelectorParser {
  readonly #tokens: readonly Token[]
  #position = 0

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens
  }

  parse(): LabelRequirement[] {
    const requirements: LabelRequirement[] = []
    if (this.#peek().kind === 'end') return requirements
    if (!this.#startsRequirement()) throw this.#found("!, identifier, or 'end of string'")
    for (;;) {
      requirements.push(this.#requirement())
      const next = this.#peek()
      if (next.kind === 'end') return requirements
      if (next.text !== ',') throw this.#found("',' or 'end of string'")
      this.#position++
      if (!this.#startsRequirement()) throw this.#found("identifier after ','")
    }
  }

  #peek(): Token {
    return this.#tokens[this.#position] ?? END
  }

  #next(): Token {
    const token = this.#peek()
    this.#position++
    return token
  }

  #startsRequirement(): boolean {
    const { kind, text } = this.#peek()
    return kind === 'identifier' || text === '!'
  }

  #found(expected: string): Error {
    return badRequest(`found '${this.#peek().text}', expected: ${expected}`)
  }

  #unparsable(expected: string, token = this.#peek()): Error {
    return badRequest(`unable to parse requirement: found '${token.text}', expected: ${expected}`)
  }

  #requirement(): LabelRequirement {
    const negated = this.#peek().text === '!'
    if (negated) this.#position++
    const key = this.#next()
    if (key.kind !== 'identifier') throw this.#unparsable('identifier', key)
    const after = this.#peek()
    try {
      checkKey(key.text)
      if (negated) return require(key.text, '!', [])
      if (after.kind === 'end' || after.text === ',') return require(key.text, 'exists', [])
      const operator = this.#operator()
      return require(key.text, operator, this.#values(operator))
    } catch (error) {
      const message = (error as Error).message
      throw message.startsWith('unable to parse')
        ? error
        : badRequest(`unable to parse requirement: ${message}`)
    }
  }

  #operator(): LabelOperator {
    const token = this.#next()
    switch (token.text) {
      case '=':
      case '==':
      case '!=':
      case 'in':
      case 'notin':
        return token.text
      case '>':
        return 'gt'
      case '<':
        return 'lt'
      default:
        throw this.#unparsable(OPERATORS, token)
    }
  }

  #values(operator: LabelOperator): string[] {
    if (operator === 'in' || operator === 'notin') return this.#set()
    const token = this.#peek()
    if (token.kind === 'end' || token.text === ',') return ['']
    this.#position++
    if (token.kind !== 'identifier') throw this.#unparsable('identifier', token)
    return [token.text]
  }

  #set(): string[] {
    const open = this.#next()
    if (open.text !== '(') throw badRequest(`unable to parse requirement: found '${open.text}' expected: '('`)
    const values = new Set<string>()
    for (;;) {
      const token = this.#next()
      // A comma or the end where a value could stand says "the empty string".
      if (token.kind !== 'identifier') {
        values.add('')
        if (token.text === ')') break
        if (token.text !== ',') throw this.#unparsable("',', ')' or identifier", token)
        continue
      }
      values.add(token.text)
      const after = this.#next()
      if (after.text === ')') break
      if (after.text !== ',') throw this.#unparsable("',' or ')'", after)
    }
    return [...values].sort()
  }
}
