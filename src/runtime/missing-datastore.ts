/**
 * A node that has run pods had a datastore. When that is gone (deleted, or on a disk that is not mounted), an empty
 * cluster must not quietly take its place: the controllers would clear away what still runs.
 */
import { existsSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { Mk8sError } from '../base/errors.ts'
import { BEGINS_EMPTY } from './restore/prepared.ts'

/** What a daemon makes in the node's directory only after it has opened its datastore. */
const MADE_LATER = ['pods', 'containers', 'logs']

/** Throws `store/corrupt` when the node has served before and its log is not there. */
export function refuseMissingDatastore(dataDir: string): void {
  const wal = join(dataDir, 'datastore', 'wal')
  const begins = join(dataDir, 'datastore', BEGINS_EMPTY)
  const hasLog = existsSync(wal) && readdirSync(wal).length > 0
  if (hasLog) rmSync(begins, { force: true })
  const hasServed = MADE_LATER.some(name => existsSync(join(dataDir, name)))
  if (!hasServed || hasLog || existsSync(begins)) return
  throw new Mk8sError('store/corrupt', 'the datastore of this node is missing', {
    why: `${wal} has no log, although the node has served before; an empty cluster is not begun in its place`,
    hint:
      'mount it or put it back; with other servers: mk8s remove-node NODE on one of them, then here mk8s uninstall ' +
      'and mk8s join; alone, to begin anew without anything that was in the cluster: mk8s reset',
  })
}
