/** Variables in a file of a volume (pure): lines of `NAME='value'`, blank ones, and comments behind `#`. */

/** Said for whatever is wrong with the file, as upstream does. */
export const UNREADABLE_ENV_FILE = "couldn't parse env file"

/** A name, its value between single quotes (several lines may be), and a comment. */
const VARIABLE = /^([^\s='#]+)='([^']*)'[ \t]*(?:#[^\n]*)?$/
const SKIPPED = /^(?:#.*)?$/

/** The value of the last variable of that name, undefined when there is none; throws when a line is none of these. */
export function parseEnvFile(text: string, name: string): string | undefined {
  let found: string | undefined
  for (const statement of statementsOf(text)) {
    if (SKIPPED.test(statement)) continue
    const [, variable, value] = VARIABLE.exec(statement) ?? []
    if (variable === undefined) throw new Error(UNREADABLE_ENV_FILE)
    if (variable === name) found = value
  }
  return found
}

/** Lines without what they begin with in spaces; those of one value are one. */
function* statementsOf(text: string): Generator<string> {
  const lines = text.split('\n')
  for (let at = 0; at < lines.length; at++) {
    let statement = (lines[at] ?? '').replace(/^[ \t]+/, '').replace(/\r$/, '')
    const isOpen = /^[^#']*'[^']*$/.test(statement)
    for (let isWithin = isOpen; isWithin && at + 1 < lines.length; ) {
      at++
      statement += `\n${lines[at] ?? ''}`
      isWithin = lines[at]?.includes("'") === false
    }
    yield statement.includes('\n') ? statement : statement.trimEnd()
  }
}
