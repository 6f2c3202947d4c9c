/** Names of fields as expressions write them: `namespace` is `__namespace__`, `a-b` is `a__dash__b`. */

const KEYWORDS = new Set(
  (
    'true false null in as break const continue else for function if import let loop package namespace return ' +
    'var void while'
  ).split(' '),
)
const PARTS: readonly (readonly [RegExp, string])[] = [
  [/__/g, '__underscores__'],
  [/\./g, '__dot__'],
  [/-/g, '__dash__'],
  [/\//g, '__slash__'],
]
const IDENTIFIER = /^[A-Za-z_][A-Za-z0-9_]*$/

/** Null for a name that no expression can write. */
export function escapeName(name: string): string | null {
  if (KEYWORDS.has(name)) return `__${name}__`
  const escaped = PARTS.reduce((text, [pattern, by]) => text.replace(pattern, by), name)
  return IDENTIFIER.test(escaped) ? escaped : null
}
