/** Ranges of pulls (RFC 9110) and of chunks that are pushed (pure). */

export interface ByteRange {
  readonly start: number
  /** Inclusive. */
  readonly end: number
}

/** Null: everything, also for what we do not understand, which the RFC allows; `unsatisfiable` for what lies beyond. */
export function pullRange(header: string | undefined, size: number): ByteRange | null | 'unsatisfiable' {
  const match = /^bytes=(\d*)-(\d*)$/.exec(header?.trim() ?? '')
  if (match === null) return null
  const [, first = '', last = ''] = match
  if (first === '' && last === '') return null
  if (first === '') {
    const length = Math.min(Number(last), size)
    return length === 0 ? 'unsatisfiable' : { start: size - length, end: size - 1 }
  }
  const start = Number(first)
  if (start >= size) return 'unsatisfiable'
  const end = last === '' ? size - 1 : Math.min(Number(last), size - 1)
  return end < start ? null : { start, end }
}

/** Of a chunk: `0-99`, with `bytes` before it or not. Undefined: not one. */
export function chunkRange(header: string): ByteRange | undefined {
  const match = /^(?:bytes[ =])?(\d{1,15})-(\d{1,15})(?:\/(?:\d+|\*))?$/.exec(header.trim())
  if (match === null) return undefined
  const range = { start: Number(match[1]), end: Number(match[2]) }
  return range.end >= range.start ? range : undefined
}
