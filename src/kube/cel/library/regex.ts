/** `matches`, `find` and `findAll` with RE2's syntax in linear time. */
import { RE2JS } from 're2js'
import { fn, method, type Overload, regexCost } from '../functions.ts'
import { BOOL, INT, listOf, STRING } from '../types.ts'
import { CelError } from '../values.ts'

const PATTERNS_MAX = 256
const patterns = new Map<string, RE2JS>()

/** Compiled patterns are kept, as many as `PATTERNS_MAX`, the oldest go first. */
export function compilePattern(pattern: string): RE2JS {
  const known = patterns.get(pattern)
  if (known !== undefined) return known
  try {
    const compiled = RE2JS.compile(pattern)
    if (patterns.size >= PATTERNS_MAX) {
      for (const oldest of patterns.keys()) {
        patterns.delete(oldest)
        break
      }
    }
    patterns.set(pattern, compiled)
    return compiled
  } catch (error) {
    throw new CelError(
      `error parsing regexp: ${(error as Error).message.replace(/^error parsing regexp: /, '')}`,
    )
  }
}

const matches = (text: string, pattern: string): boolean => compilePattern(pattern).matcher(text).find()

function find(text: string, pattern: string): string {
  const matcher = compilePattern(pattern).matcher(text)
  return matcher.find() ? (matcher.group() ?? '') : ''
}

function findAll(text: string, pattern: string, limit = -1n): string[] {
  const matcher = compilePattern(pattern).matcher(text)
  const found: string[] = []
  while ((limit < 0n || BigInt(found.length) < limit) && matcher.find()) found.push(matcher.group() ?? '')
  return found
}

const costs = { cost: (text = 0, pattern = 0) => regexCost(text, pattern) }
const part = { ...costs, resultSize: (text = 0) => text }

export const regexes: readonly Overload[] = [
  method('matches', [[STRING, STRING], BOOL], matches, costs),
  fn('matches', [[STRING, STRING], BOOL], matches, costs),
  method('find', [[STRING, STRING], STRING], find, part),
  method(
    'findAll',
    [[STRING, STRING], listOf(STRING)],
    (text: string, pattern: string) => findAll(text, pattern),
    part,
  ),
  method('findAll', [[STRING, STRING, INT], listOf(STRING)], findAll, part),
]
