/** A store of one member in this process that is written to, and that knows what it held at each revision. */

import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { systemClock } from '../../src/base/clock.ts'
import { silentLog } from '../../src/base/log.ts'
import { systemRandom } from '../../src/base/random.ts'
import { copyDatastore } from '../../src/runtime/backup/copy-datastore.ts'
import { type BackupContent, createBackup } from '../../src/runtime/backup/create-backup.ts'
import type { SealingKey } from '../../src/runtime/backup/keys.ts'
import { openRaftStore } from '../../src/runtime/store/open-raft-store.ts'
import type { RaftStore } from '../../src/runtime/store/raft-store.ts'
import type { KeyValue, StoreEvent } from '../../src/runtime/store/store.ts'

export const AUTHORITY_KEY = 'the key of an authority'

export class BackupStore {
  readonly store: RaftStore
  readonly pki: string
  readonly #events: StoreEvent[] = []
  readonly #before: readonly KeyValue[]

  private constructor(store: RaftStore, pki: string) {
    this.store = store
    this.pki = pki
    this.#before = store.range({ start: '\0', end: '\uffff' }).entries
    store.watch(
      { start: '\0', end: '\uffff', after: store.revision },
      { onEvents: events => void this.#events.push(...events), onClosed: () => {} },
    )
  }

  static async open(directory: string): Promise<BackupStore> {
    const pki = join(directory, 'pki')
    mkdirSync(pki, { recursive: true })
    for (const name of ['cluster-ca', 'front-proxy-ca']) {
      writeFileSync(join(pki, `${name}.crt`), 'a certificate')
      writeFileSync(join(pki, `${name}.key`), AUTHORITY_KEY)
    }
    for (const name of ['service-account.key', 'service-account.pub'])
      writeFileSync(join(pki, name), AUTHORITY_KEY)
    const store = await openRaftStore({
      directory: join(directory, 'datastore'),
      clock: systemClock,
      random: systemRandom,
      log: silentLog,
      onFatal: error => {
        throw error
      },
    })
    return new BackupStore(store, pki)
  }

  /** Everything that was there at this revision, by key, out of what a watch told. */
  stateAt(revision: number): Map<string, KeyValue> {
    const state = new Map(this.#before.map(kv => [kv.key, kv]))
    for (const event of this.#events) {
      const at = event.type === 'put' ? event.kv.modRevision : event.revision
      if (at > revision) continue
      if (event.type === 'put') state.set(event.kv.key, event.kv)
      else state.delete(event.key)
    }
    return state
  }

  /** Until the watch has told everything up to this revision. */
  hasSeen(revision: number): boolean {
    const last = this.#events.at(-1)
    return last !== undefined && (last.type === 'put' ? last.kv.modRevision : last.revision) >= revision
  }

  backup<T>(sealing: SealingKey | null, write: (content: BackupContent) => Promise<T>): Promise<T> {
    const leftovers = new Set<string>()
    const parts = { pkiDirectory: this.pki, sealing, clock: systemClock, random: systemRandom, leftovers }
    const copy = async () =>
      await copyDatastore({ ...(await this.store.writtenOut()), nodeName: 'here' }, parts)
    return createBackup({ ...parts, copy }, write)
  }

  async put(key: string, value: Buffer): Promise<number> {
    const operations = [{ type: 'put', key, value }] as const
    return (await this.store.transact({ compares: [], operations })).revision
  }
}

/** Without what the state machine keeps beside it. */
export function bare(kv: KeyValue | undefined): KeyValue | undefined {
  if (kv === undefined) return undefined
  const { key, value, createRevision, modRevision, version, lease } = kv
  return { key, value, createRevision, modRevision, version, lease }
}

/** As the API server stores it. */
export const plainValue = (object: object): Buffer => Buffer.from(`\x01${JSON.stringify(object)}`)
