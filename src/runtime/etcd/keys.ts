/**
 * etcd's keys are bytes, the store's are strings in the order of their code units. A byte is the code unit of the
 * same number, so that every etcd key has a place and the order is the same. The one limit: a key of the API's own
 * with a character beyond U+00FF (a few kinds allow such names) is shown as UTF-8, and cannot be named here.
 */
import { KEY_BYTES_MAX } from '../store/local-store.ts'
import { etcdErrors, limitError } from './errors.ts'

/** Behind every key. */
const END_OF_KEYS = '\uffff'
export const ALL_KEYS = { start: '', end: END_OF_KEYS } as const
const BEYOND_BYTES = /[\u0100-\uffff]/

export function keyToBytes(key: string): Buffer {
  return Buffer.from(key, BEYOND_BYTES.test(key) ? 'utf8' : 'latin1')
}

export interface KeyRange {
  readonly start: string
  /** Exclusive. */
  readonly end: string
  /** It is about one key rather than a range that may hold one. */
  readonly single: boolean
}

/** As etcd's requests say it: no end for one key, a zero byte for "to the last key". */
export function readKeyRange(key: Buffer, rangeEnd: Buffer): KeyRange {
  if (key.length === 0) throw etcdErrors.emptyKey()
  const start = readKey(key)
  if (rangeEnd.length === 0) return { start, end: `${start}\0`, single: true }
  const endless = rangeEnd.length === 1 && rangeEnd[0] === 0
  return { start, end: endless ? END_OF_KEYS : readKey(rangeEnd), single: false }
}

function readKey(bytes: Buffer): string {
  // A single key's end is one longer than the key.
  if (bytes.length >= KEY_BYTES_MAX) throw limitError(`a key has at most ${KEY_BYTES_MAX - 1} bytes`)
  return bytes.toString('latin1')
}
