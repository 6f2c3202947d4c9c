/** Escape sequences of string and bytes literals. */

const SIMPLE: Readonly<Record<string, string>> = {
  a: '\x07',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  v: '\v',
  '\\': '\\',
  '?': '?',
  '"': '"',
  "'": "'",
  '`': '`',
}

const ESCAPE =
  /\\(?:([abfnrtv\\?"'`])|[xX]([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-3][0-7]{2}))/y
const LARGEST = 0x10ffff
const SURROGATES = { first: 0xd800, last: 0xdfff }

interface Mode {
  readonly isRaw: boolean
  readonly isBytes: boolean
}

/** The value of a literal's body; null when an escape sequence is not valid. */
export function unescapeLiteral(body: string, { isRaw, isBytes }: Mode): string | Uint8Array | null {
  const parts: (string | number)[] = []
  for (let at = 0; at < body.length; ) {
    const next = isRaw ? -1 : body.indexOf('\\', at)
    if (next !== at) {
      parts.push(body.slice(at, next === -1 ? body.length : next))
      at = next === -1 ? body.length : next
      continue
    }
    ESCAPE.lastIndex = at
    const match = ESCAPE.exec(body)
    const part = match === null ? null : escaped(match, isBytes)
    if (match === null || part === null) return null
    parts.push(part)
    at += match[0].length
  }
  if (isBytes) return Buffer.concat(parts.map(part => bytesOf(part)))
  return parts.map(part => (typeof part === 'number' ? String.fromCodePoint(part) : part)).join('')
}

/** A number is one byte in bytes and one code point in strings. */
const bytesOf = (part: string | number): Buffer =>
  typeof part === 'number' ? Buffer.from([part]) : Buffer.from(part, 'utf8')

function escaped(match: RegExpExecArray, isBytes: boolean): string | number | null {
  const [, simple, hex, short, long, octal] = match
  if (simple !== undefined) return SIMPLE[simple] ?? null
  if (hex !== undefined) return Number.parseInt(hex, 16)
  if (octal !== undefined) return Number.parseInt(octal, 8)
  if (isBytes) return null
  const code = Number.parseInt(short ?? long ?? '', 16)
  if (code > LARGEST || (code >= SURROGATES.first && code <= SURROGATES.last)) return null
  return code
}
