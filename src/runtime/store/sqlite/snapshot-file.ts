/** Snapshots as files: a consistent copy of the database, and a received one before it becomes the database. */
import { dirname } from 'node:path'
import { backup, DatabaseSync } from 'node:sqlite'
import { pathToFileURL } from 'node:url'
import { Mk8sError } from '../../../base/errors.ts'
import { flushDirectorySync, flushFileSync } from '../../../host/flush.ts'
import type { MemberIdentity } from '../thread-messages.ts'
import { APPLICATION_ID, DATABASE_FORMAT_VERSION, findingsOf, newerVersionError } from './database.ts'
import { checkMeta, checkRows, checkSides } from './seal.ts'
import { createPrivateFile, withSqliteErrors } from './sqlite-files.ts'

/** The first with checksums. A later start brings it up to date. */
const SNAPSHOT_FORMAT_MIN = 3
/** All pages in one step, so that the copy is of one moment however much is written meanwhile. */
const ALL_PAGES = 2 ** 31 - 1

/** Copies off the thread; returns the index of the last entry that the copy holds. */
export async function copyDatabase(from: string, to: string): Promise<number> {
  createPrivateFile(to)
  const reader = new DatabaseSync(from, { readOnly: true })
  try {
    await backup(reader, to, { rate: ALL_PAGES })
  } finally {
    reader.close()
  }
  return readIndex(to)
}

/** The index that a file nobody writes to holds; no file appears beside it. */
export function readIndex(path: string): number {
  return withSqliteErrors('read a snapshot', () => {
    const url = pathToFileURL(path)
    url.search = '?immutable=1'
    const database = new DatabaseSync(url, { readOnly: true })
    try {
      return Number(readMeta(database, 'applied') ?? 0)
    } finally {
      database.close()
    }
  })
}

/** Looks whether a received file is what it should be, and makes it this member's. */
export function adoptSnapshot(path: string, index: number, identity: MemberIdentity): void {
  withSqliteErrors('take over a snapshot', () => {
    const database = new DatabaseSync(path)
    try {
      checkSnapshot(database, index, identity)
      const set = database.prepare('INSERT OR REPLACE INTO meta VALUES (?, ?)')
      set.run('member', identity.member)
      set.run('clean', 1)
      database.exec('PRAGMA wal_checkpoint(TRUNCATE)')
    } finally {
      database.close()
    }
  })
  flushFileSync(path)
}

function checkSnapshot(database: DatabaseSync, index: number, identity: MemberIdentity): void {
  const number = (name: string) => Number(database.prepare(`PRAGMA ${name}`).get()?.[name])
  if (number('application_id') !== APPLICATION_ID) throw wrongSnapshot('it is no database of mk8s')
  const version = number('user_version')
  if (version > DATABASE_FORMAT_VERSION) throw newerVersionError(version)
  if (version < SNAPSHOT_FORMAT_MIN) throw wrongSnapshot(`it has the old format ${version}`)
  const findings = findingsOf(database)
  if (findings.length > 0) throw wrongSnapshot(findings.join('; '))
  checkMeta(database)
  checkSides(database)
  checkRows(database)
  const found = Number(readMeta(database, 'applied'))
  if (found !== index) throw wrongSnapshot(`it ends at entry ${found}, not ${index}`)
  const cluster = readMeta(database, 'cluster')
  if (cluster !== identity.cluster) throw wrongSnapshot(`it is of cluster ${cluster}`)
}

function readMeta(database: DatabaseSync, name: string): unknown {
  return database.prepare('SELECT value FROM meta WHERE name = ?').get(name)?.value
}

export function wrongSnapshot(why: string): Mk8sError {
  return new Mk8sError('store/corrupt', 'a snapshot that another member sent cannot be used', { why })
}

export const flushDirectoryOf = (path: string): void => flushDirectorySync(dirname(path))
