/**
 * The formats of what lies in a node's directory and travels between members: which of them a version of mk8s reads,
 * and which it writes. A version may take another one's place when each reads what the other writes.
 */
import { isMap } from '../../kube/json-map.ts'
import { ENTRY_FORMAT_VERSION } from '../raft/entry.ts'
import { SEGMENT_FORMAT_VERSION } from '../store/log/frame.ts'
import { DATABASE_FORMAT_VERSION } from '../store/sqlite/database.ts'

export interface Format {
  readonly oldestRead: number
  readonly newestRead: number
  readonly written: number
}

export type Formats = Readonly<Record<string, Format>>

const upTo = (newest: number): Format => ({ oldestRead: 1, newestRead: newest, written: newest })

export const FORMATS: Formats = {
  'log entries': upTo(ENTRY_FORMAT_VERSION),
  'write-ahead log': upTo(SEGMENT_FORMAT_VERSION),
  database: upTo(DATABASE_FORMAT_VERSION),
  // 1 is plain, 2 is encrypted.
  values: upTo(2),
}

/** What stands in the way of one version following another, in words. */
export function formatProblems(present: Formats, next: Formats): readonly string[] {
  return [...new Set([...Object.keys(present), ...Object.keys(next)])].flatMap(name => {
    const [now, then] = [present[name], next[name]]
    if (then === undefined) return now === undefined ? [] : [`it does not know the format of ${name}`]
    if (now === undefined) return []
    const forth = reads(then, now) ? [] : [`it does not read format ${now.written} of ${name}`]
    const back = reads(now, then)
      ? []
      : [`it writes format ${then.written} of ${name}, so that there would be no way back from it`]
    return [...forth, ...back]
  })
}

const reads = (reader: Format, { written }: Format): boolean =>
  written >= reader.oldestRead && written <= reader.newestRead

/** As `mk8s version --json` says them; null for what is something else. */
export function parseFormats(value: unknown): Formats | null {
  if (!isMap(value)) return null
  const entries = Object.entries(value).map(([name, format]) => [name, parseFormat(format)] as const)
  if (entries.some(([, format]) => format === null)) return null
  return Object.fromEntries(entries) as Formats
}

function parseFormat(value: unknown): Format | null {
  if (!isMap(value)) return null
  const { oldestRead, newestRead, written } = value
  if (![oldestRead, newestRead, written].every(Number.isSafeInteger)) return null
  return { oldestRead, newestRead, written } as Format
}
