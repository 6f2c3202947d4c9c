/**
 * A hash over every key at one revision, equal on all members that hold the same. Read a page at a time, so that
 * nobody else waits for it.
 */
import { setImmediate as nextTurn } from 'node:timers/promises'
import { crc32 } from 'node:zlib'
import type { KeyValue, Revision, Store } from '../../store/store.ts'
import { ALL_KEYS } from '../keys.ts'

const PAGE_KEYS = 500
const NUMBER_BYTES = 8

export async function hashAt(store: Pick<Store, 'range'>, revision: Revision): Promise<number> {
  let [hash, start]: [number, string] = [0, ALL_KEYS.start]
  for (; ; await nextTurn()) {
    const { entries } = store.range({ start, end: ALL_KEYS.end, revision, limit: PAGE_KEYS })
    for (const kv of entries) hash = hashOf(kv, hash)
    const last = entries.at(-1)
    if (last === undefined || entries.length < PAGE_KEYS) return hash
    start = `${last.key}\0`
  }
}

/** Lengths go along, so that no two states look like one. */
function hashOf(
  { key, value, createRevision, modRevision, version, lease }: KeyValue,
  before: number,
): number {
  const name = Buffer.from(key, 'utf8')
  const numbers = [name.length, value.length, createRevision, modRevision, version, lease]
  const fixed = Buffer.alloc(NUMBER_BYTES * numbers.length)
  for (const [index, number] of numbers.entries()) fixed.writeDoubleLE(number, NUMBER_BYTES * index)
  return crc32(value, crc32(name, crc32(fixed, before)))
}
