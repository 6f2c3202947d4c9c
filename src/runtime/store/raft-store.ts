/**
 * The default engine: proposals go through the write-ahead log of the raft thread, come back committed, are
 * applied to the state machine here and persisted by the store thread.
 */
import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Clock } from '../../base/clock.ts'
import { Mk8sError } from '../../base/errors.ts'
import type { Log } from '../../base/log.ts'
import type { Random } from '../../base/random.ts'
import type { LogCheck } from './check.ts'
import { RaftEngine } from './raft-engine.ts'
import { type DirectoryLock, lockDirectory } from './sqlite/directory-lock.ts'
import type { Store } from './store.ts'
import { directoryError, diskErrorOf } from './thread-failure.ts'

export interface RaftStoreParts {
  readonly directory: string
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  /** A UUID; drawn when the store is created without one. */
  readonly clusterId?: string
  /** The store cannot go on: the process should say why and end. Called at most once. */
  readonly onFatal: (error: Error) => void
}

export interface StoreStatus {
  readonly leader: boolean
  readonly term: number
  readonly memberId: number
  /** Member that leads; 0 when none is known. */
  readonly leaderMemberId: number
  readonly clusterId: string
  readonly applied: number
  readonly commit: number
  readonly lastIndex: number
  /** Index up to which a checkpoint of this life of the process has flushed SQLite; 0 before the first. */
  readonly durable: number
  readonly logBytes: number
  readonly revision: number
  readonly compactedRevision: number
  readonly keys: number
}

export interface RaftStore extends Store {
  close(): Promise<void>
  status(): StoreStatus
  /** Reads everything on disk and says what is wrong with it. */
  check(): Promise<StoreCheck>
}

export interface StoreCheck {
  readonly log: LogCheck
  /** Sentences; empty when all is well. */
  readonly databaseFindings: readonly string[]
}

/**
 * Opens or creates the store in `directory` and resolves once it leads (as the only member) and has applied
 * everything in its log. Throws `store/locked`, `store/corrupt`, `store/disk`, `store/version`.
 */
export async function openRaftStore(parts: RaftStoreParts): Promise<RaftStore> {
  const lock = prepareDirectory(parts.directory)
  const engine = new RaftEngine({
    ...parts,
    lock,
    bootId: readBootId(),
    databasePath: join(parts.directory, 'state.sqlite'),
    freshIdentity: {
      member: Buffer.from(parts.random.bytes(6)).readUIntLE(0, 6) || 1,
      cluster: parts.clusterId ?? parts.random.uuid(),
    },
  })
  await engine.open()
  const { clusterId } = engine.status()
  if (parts.clusterId === undefined || parts.clusterId === clusterId) return engine
  await engine.close()
  throw new Mk8sError('store/corrupt', 'the data belongs to another cluster', {
    why: `it is of cluster ${clusterId}, this node is of ${parts.clusterId}`,
  })
}

function prepareDirectory(directory: string): DirectoryLock {
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 })
  } catch (error) {
    // Making directories fails with all kinds of codes; on a read-only file system even with ENOENT.
    throw directoryError(error)
  }
  try {
    return lockDirectory(directory)
  } catch (error) {
    throw diskErrorOf(error) ?? error
  }
}

/** Differs after each start of the machine; empty where the system has no such thing. */
function readBootId(): string {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
  } catch {
    return ''
  }
}
