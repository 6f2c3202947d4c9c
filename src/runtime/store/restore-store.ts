/** Makes a store out of the database of a backup: a cluster of one voter, in a new generation. */
import { join } from 'node:path'
import type { Clock } from '../../base/clock.ts'
import type { Log } from '../../base/log.ts'
import type { Random } from '../../base/random.ts'
import { flushFileSync } from '../../host/flush.ts'
import { change, openState, writeLog } from './new-store.ts'
import { beginFromBackup } from './sqlite/generation.ts'

import type { Operation } from './store.ts'

export interface RestoreStoreParts {
  /** The directory, with the database of the backup as `state.sqlite`, checked. */
  readonly to: string
  /** A UUID. */
  readonly clusterId: string
  readonly member: number
  /** That of the first change of the new generation. */
  readonly nextRevision: number
  /** What differs from the backup. */
  readonly operations: readonly Operation[]
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
}

export interface RestoredStore {
  readonly revision: number
  readonly keys: number
}

/** Everything below the first revision of the new generation is compacted. Throws `store/…`. */
export async function restoreStore(parts: RestoreStoreParts): Promise<RestoredStore> {
  const { to, clusterId, member, nextRevision, operations, clock } = parts
  const path = join(to, 'state.sqlite')
  beginFromBackup(path, { clusterId, member, revision: nextRevision - 1 })
  const state = openState(path)
  const lastIndex = await change(state, operations, clock)
  await writeLog({ ...parts, lastIndex, lastTerm: 1, term: 1 })
  flushFileSync(path)
  return { revision: state.state.revision, keys: state.state.size }
}
