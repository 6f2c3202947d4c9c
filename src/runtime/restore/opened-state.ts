/** The state of a backup with its Secrets in clear, where they were encrypted at rest. */

import { createKeyReader, isSecret } from '../secrets-encryption/encrypted-store.ts'
import { RECORD_KEY } from '../secrets-encryption/keyring.ts'
import type { BackupState } from '../store/sqlite/backup-state.ts'
import type { KeyValue } from '../store/store.ts'

export type ReadableState = Pick<BackupState, 'keys' | 'get' | 'range'>

/** `fileKey`: the text of a `secrets-encryption.key`; without the right one, reading a Secret throws `pki/invalid`. */
export function openedState(state: ReadableState, fileKey: string | null): ReadableState {
  const reader = createKeyReader(() => fileKey)
  const record = state.get(RECORD_KEY)
  const plain = (kv: KeyValue): KeyValue =>
    isSecret(kv.key) ? { ...kv, value: reader.plain(record, kv) } : kv
  return {
    keys: () => state.keys(),
    get(key) {
      const kv = state.get(key)
      return kv === null ? null : plain(kv)
    },
    *range(start, end) {
      for (const kv of state.range(start, end)) yield plain(kv)
    },
  }
}
