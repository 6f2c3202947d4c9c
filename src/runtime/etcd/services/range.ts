/** A range request: what it reads of the store, and what of that the client gets, in which order. */
import type { WireWriter } from '../../../base/wire-writer.ts'
import type { KeyValue, Range, RangeResult, Store } from '../../store/store.ts'
import { etcdErrors } from '../errors.ts'
import { readKeyRange } from '../keys.ts'
import { type RangeRequest, writeKeyValue } from '../messages/kv-messages.ts'

const ASCEND = 1
const DESCEND = 2
const SORT_BY_KEY = 0

const sortTargets: readonly ((a: KeyValue, b: KeyValue) => number)[] = [
  (a, b) => (a.key < b.key ? -1 : Number(a.key > b.key)),
  (a, b) => a.version - b.version,
  (a, b) => a.createRevision - b.createRevision,
  (a, b) => a.modRevision - b.modRevision,
  (a, b) => Buffer.compare(a.value, b.value),
]

/** What the store has to read. The limit goes along only where nothing is sorted or filtered afterwards. */
export function toRange(request: RangeRequest): Range {
  const { start, end } = readKeyRange(request.key, request.rangeEnd)
  if (sortTargets[request.sortTarget] === undefined || request.sortOrder < 0 || request.sortOrder > DESCEND) {
    throw etcdErrors.invalidSort()
  }
  const limit = picksAfterwards(request) || request.limit < 0 ? 0 : request.limit
  return { start, end, limit, ...(request.revision > 0 && { revision: request.revision }) }
}

/** Reads from memory; the caller has made sure that it is recent enough. */
export function readRange(store: Store, request: RangeRequest): RangeResult {
  const range = toRange(request)
  if (range.revision !== undefined) return store.range(range)
  const { revision } = store
  if (request.rangeEnd.length === 0) {
    const kv = store.get(range.start)
    return { entries: kv === null ? [] : [kv], remaining: 0, revision }
  }
  if (request.countOnly) return { entries: [], remaining: store.count(range.start, range.end), revision }
  return store.range(range)
}

/** The fields of a RangeResponse behind its header. */
export function writeRangeResult(writer: WireWriter, request: RangeRequest, result: RangeResult): void {
  const count = result.entries.length + result.remaining
  if (!request.countOnly) {
    const picked = pick(request, result.entries)
    const limited = request.limit > 0 ? picked.slice(0, request.limit) : picked
    for (const kv of limited) writeKeyValue(writer, 2, kv, request.keysOnly)
    writer.bool(3, picked.length > limited.length || result.remaining > 0)
  }
  writer.int64(4, count)
}

function picksAfterwards(request: RangeRequest): boolean {
  return (
    request.sortOrder !== 0 ||
    request.sortTarget !== SORT_BY_KEY ||
    request.minModRevision !== 0 ||
    request.maxModRevision !== 0 ||
    request.minCreateRevision !== 0 ||
    request.maxCreateRevision !== 0
  )
}

function pick(request: RangeRequest, entries: readonly KeyValue[]): readonly KeyValue[] {
  if (!picksAfterwards(request)) return entries
  const { minModRevision, maxModRevision, minCreateRevision, maxCreateRevision } = request
  const picked = entries.filter(
    kv =>
      kv.modRevision >= minModRevision &&
      (maxModRevision === 0 || kv.modRevision <= maxModRevision) &&
      kv.createRevision >= minCreateRevision &&
      (maxCreateRevision === 0 || kv.createRevision <= maxCreateRevision),
  )
  const compare = sortTargets[request.sortTarget]
  if (compare === undefined) return picked
  const order = request.sortOrder === 0 ? ASCEND : request.sortOrder
  return picked.sort((a, b) => (order === DESCEND ? compare(b, a) : compare(a, b)))
}
