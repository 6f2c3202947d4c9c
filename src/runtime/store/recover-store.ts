/**
 * Makes a new store out of what one member has on disk, for a cluster whose other voters are gone: every entry of its
 * log applied, itself the only voter, under a new cluster id. Reads the old directory and never writes in it.
 */

import { cpSync, existsSync, mkdirSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { assert } from '../../base/assert.ts'
import type { Clock } from '../../base/clock.ts'
import { Mk8sError } from '../../base/errors.ts'
import type { Log } from '../../base/log.ts'
import type { Random } from '../../base/random.ts'
import { ENTRY_HEADER_BYTES, type Entry, payloadOf, readEntryHeader } from '../raft/entry.ts'
import type { Configuration } from '../raft/messages.ts'
import { createDirectoryDisk, type DiskFile } from './log/disk.ts'
import { LogEnd } from './log/log-end.ts'
import { corrupt, type RecoveredLog, recoverLog } from './log/recovery.ts'
import { readCommand } from './mvcc/codec.ts'
import type { StateMachine } from './mvcc/state-machine.ts'
import { change, clusterBytes, type OpenState, openState, persisterOf, writeLog } from './new-store.ts'
import { beginGeneration } from './sqlite/generation.ts'
import type { Operation } from './store.ts'
import type { MemberIdentity } from './thread-messages.ts'

export interface RecoverStoreParts {
  /** The directory of the survivor's store; locked by the caller. */
  readonly from: string
  /** Where the new store is made; what is there goes. */
  readonly to: string
  /** A UUID. */
  readonly clusterId: string
  /** What else the new generation begins with, from the state that was found. */
  readonly edit: (state: ReadableState, found: StoreFound) => readonly Operation[]
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
}

export type ReadableState = Pick<StateMachine, 'get' | 'range'>

/** What the survivor's store holds. */
export interface StoreFound {
  readonly member: number
  readonly clusterId: string
  /** The latest that it has seen, and that of the last entry of its log. */
  readonly term: number
  readonly lastTerm: number
  readonly lastIndex: number
  /** The last index that it knows to be committed; entries behind it may or may not have been acknowledged. */
  readonly commit: number
  readonly revision: number
  readonly keys: number
  readonly membership: Configuration
}

/**
 * Watchers and caches may have seen revisions that only a lost member had. The new generation begins far beyond them
 * with no history, so that everybody lists again and no revision has two meanings.
 */
export const REVISION_GAP = 2 ** 20

const DATABASE_FILES = ['state.sqlite', 'state.sqlite-wal']

/** Throws `store/corrupt`, `store/version`, `store/disk`; the old directory is as it was in any case. */
export async function recoverStore(parts: RecoverStoreParts): Promise<StoreFound> {
  copyDatabase(parts)
  const opened: DiskFile[] = []
  try {
    return await recoverCopied(parts, opened)
  } finally {
    for (const file of opened) file.close()
  }
}

async function recoverCopied(parts: RecoverStoreParts, opened: DiskFile[]): Promise<StoreFound> {
  const databasePath = join(parts.to, 'state.sqlite')
  const loaded = openState(databasePath)
  const recovered = await readLog(parts, loaded.state.applied, opened)
  checkFit(recovered, loaded.identity, loaded.state.applied)
  await replay(loaded, recovered.entries, parts.clock)
  const found = foundIn(loaded, recovered)
  const operations = parts.edit(loaded.state, found)
  beginGeneration(databasePath, { clusterId: parts.clusterId, revisionGap: REVISION_GAP })
  const next = openState(databasePath)
  const lastIndex = await change(next, operations, parts.clock)
  await writeLog({ ...parts, ...found, clusterId: parts.clusterId, lastIndex })
  return found
}

/** Bytes of the files that are copied. */
export function databaseBytesOf(directory: string): number {
  const sizeOf = (name: string) => statSync(join(directory, name), { throwIfNoEntry: false })?.size ?? 0
  return DATABASE_FILES.reduce((sum, name) => sum + sizeOf(name), 0)
}

function copyDatabase({ from, to }: RecoverStoreParts): void {
  if (!existsSync(join(from, 'state.sqlite')) || !existsSync(join(from, 'wal'))) {
    throw new Mk8sError('store/corrupt', `there is no datastore in ${from}`, {
      hint: 'recover needs the data of a server that survived; without one: mk8s restore-datastore FILE',
    })
  }
  rmSync(to, { recursive: true, force: true })
  mkdirSync(to, { recursive: true, mode: 0o700 })
  for (const name of DATABASE_FILES) {
    const source = join(from, name)
    if (existsSync(source)) cpSync(source, join(to, name), { preserveTimestamps: true })
  }
}

async function readLog(
  { from, log }: RecoverStoreParts,
  applied: number,
  opened: DiskFile[],
): Promise<RecoveredLog> {
  const disk = createDirectoryDisk(join(from, 'wal'))
  const noting = {
    ...disk,
    async open(name: string) {
      const file = await disk.open(name)
      opened.push(file)
      return file
    },
  }
  const recovered = await recoverLog(noting, applied, log)
  if (recovered === null) throw corrupt('the log is missing', `the database ends at entry ${applied}`)
  return recovered
}

function checkFit({ position, entries, segments }: RecoveredLog, identity: MemberIdentity, applied: number) {
  const cluster = clusterBytes(identity.cluster)
  if (segments.some(({ header }) => header.member !== identity.member || !header.cluster.equals(cluster)))
    throw corrupt('the log belongs to another member', 'its identity differs from that of the database')
  if (position.index > applied) {
    throw new Mk8sError('store/corrupt', 'the datastore is in the middle of taking over a snapshot', {
      why: `the log begins behind entry ${position.index}, the database ends at ${applied}`,
      hint: 'mk8s start lets it finish that, even without the other servers; then mk8s recover again',
    })
  }
  const last = position.index + entries.length
  if (last < applied)
    throw corrupt('the log ends too early', `it ends at entry ${last}, the database at ${applied}`)
}

/** Applies every entry that is in the log, committed or not: whoever may have acknowledged it is gone. */
async function replay(open: OpenState, entries: readonly Entry[], clock: Clock): Promise<void> {
  const persister = persisterOf(open, clock)
  for (const entry of entries) {
    if (entry.index <= open.state.applied) continue
    const header = readEntryHeader(entry.bytes)
    assert(header !== null && entry.bytes.length >= ENTRY_HEADER_BYTES, 'the log holds whole entries')
    const command = readCommand(header, payloadOf(entry))
    if (command === 'unknown') throw unknownEntry(header.type, header.version)
    const { index, proposer, request } = header
    if (command === null) {
      open.state.skip(index)
      persister.skip(index)
    } else persister.add(open.state.apply({ index, proposer, request, command }))
  }
  await persister.drain()
  open.database.close()
}

const unknownEntry = (type: number, version: number): Mk8sError =>
  new Mk8sError('store/version', `the log has an entry of type ${type}, version ${version}`, {
    hint: 'use the version of mk8s that this cluster ran, or a later one',
  })

function foundIn({ state, identity }: OpenState, { position, entries, hardState }: RecoveredLog): StoreFound {
  const end = new LogEnd(position, entries).position
  return {
    member: identity.member,
    clusterId: identity.cluster,
    term: Math.max(end.term, hardState.term),
    lastTerm: end.term,
    lastIndex: end.index,
    commit: Math.min(hardState.commit, end.index),
    revision: state.revision,
    keys: state.size,
    membership: end.configuration,
  }
}
