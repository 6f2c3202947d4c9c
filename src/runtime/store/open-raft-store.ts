/**
 * Opens the default engine: proposals go through the write-ahead log of the raft thread, come back committed, are
 * applied to the state machine here and persisted by the store thread.
 */

import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Mk8sError } from '../../base/errors.ts'
import { RaftEngine } from './raft-engine.ts'
import type { RaftStore, RaftStoreParts } from './raft-store.ts'
import type { DirectoryLock } from './sqlite/directory-lock.ts'
import { lockDirectory } from './sqlite/directory-lock.ts'
import { directoryError, diskErrorOf } from './thread-failure.ts'

/**
 * Opens or creates the store in `directory`. With one voter, this member, it resolves once that leads and has
 * applied everything in its log; otherwise once what is on disk is loaded: `barrier` waits for the rest. Throws `store/locked`, `store/corrupt`, `store/disk`, `store/version`.
 */
export async function openRaftStore(parts: RaftStoreParts): Promise<RaftStore> {
  const lock = prepareDirectory(parts.directory)
  const engine = new RaftEngine({
    ...parts,
    lock,
    bootId: readBootId(),
    databasePath: join(parts.directory, 'state.sqlite'),
    freshIdentity: {
      member: parts.memberId ?? (Buffer.from(parts.random.bytes(6)).readUIntLE(0, 6) || 1),
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
