/** Patterns of schemas are Go's regular expressions, matched in linear time. */
import { RE2JS } from 're2js'

/** Whether the pattern is found anywhere in a text. */
export type Pattern = (text: string) => boolean

const known = new Map<string, Pattern | null>()
const KNOWN_MAX = 2_000

/** Null for text that is no regular expression. */
export function compilePattern(pattern: string): Pattern | null {
  const before = known.get(pattern)
  if (before !== undefined) return before
  if (known.size >= KNOWN_MAX) known.clear()
  const compiled = compile(pattern)
  known.set(pattern, compiled)
  return compiled
}

function compile(pattern: string): Pattern | null {
  try {
    const compiled = RE2JS.compile(pattern)
    return text => compiled.matcher(text).find()
  } catch {
    return null
  }
}
