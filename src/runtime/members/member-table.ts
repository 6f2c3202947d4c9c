/** Reads the records of the servers out of the store; each is decoded once for as long as it is the latest. */
import type { KeyValue, Store } from '../store/store.ts'
import { decodeMember, MEMBERS_RANGE, type MemberRecord } from './member-record.ts'

export interface MemberEntry {
  readonly record: MemberRecord
  readonly modRevision: number
}

const decoded = new WeakMap<KeyValue, MemberEntry>()

/** In order of their ids. */
export function readMembers(store: Pick<Store, 'range'>): readonly MemberEntry[] {
  return store
    .range(MEMBERS_RANGE)
    .entries.map(entryOf)
    .toSorted((a, b) => a.record.id - b.record.id)
}

function entryOf(kv: KeyValue): MemberEntry {
  const known = decoded.get(kv)
  if (known !== undefined) return known
  const entry = { record: decodeMember(kv), modRevision: kv.modRevision }
  decoded.set(kv, entry)
  return entry
}
