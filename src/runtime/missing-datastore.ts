/**
 * A node that has run pods had a datastore. When that is gone (deleted, or on a disk that is not mounted), an empty
 * cluster must not quietly take its place: the controllers would clear away what still runs.
 */
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { Mk8sError } from '../base/errors.ts'

/** What a daemon makes in the node's directory only after it has opened its datastore. */
const MADE_LATER = ['pods', 'containers', 'logs']

/** Throws `store/corrupt` when the node has served before and its log is not there. */
export function refuseMissingDatastore(dataDir: string): void {
  const wal = join(dataDir, 'datastore', 'wal')
  const hasServed = MADE_LATER.some(name => existsSync(join(dataDir, name)))
  if (!hasServed || (existsSync(wal) && readdirSync(wal).length > 0)) return
  throw new Mk8sError('store/corrupt', 'the datastore of this node is missing', {
    why: `${wal} has no log, although the node has served before; an empty cluster is not begun in its place`,
    hint: `mount it or put it back; or begin anew, without anything that was in the cluster: mk8s reset`,
  })
}
