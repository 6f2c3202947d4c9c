/** Reads the sizes that clients send: JSON objects one behind the other, cut anywhere. Pure. */
import type { TerminalSize } from '../runtime/streams.ts'

const OBJECT_BYTES_MAX = 1_024
const CELLS_MAX = 0xffff

export class TerminalSizes {
  #rest = ''

  /** The last whole size in what has come, null when there is none. */
  push(data: Buffer): TerminalSize | null {
    const text = this.#rest + data.toString('latin1')
    const end = text.lastIndexOf('}')
    this.#rest = text.slice(end + 1).slice(-OBJECT_BYTES_MAX)
    const start = text.lastIndexOf('{', end)
    if (end < 0 || start < 0) return null
    return parseSize(text.slice(start, end + 1))
  }
}

function parseSize(text: string): TerminalSize | null {
  try {
    const { Width: width, Height: height } = JSON.parse(text) as { Width?: unknown; Height?: unknown }
    return isCells(width) && isCells(height) ? { width, height } : null
  } catch {
    return null
  }
}

const isCells = (value: unknown): value is number =>
  typeof value === 'number' && Number.isInteger(value) && value > 0 && value <= CELLS_MAX
