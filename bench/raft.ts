/**
 * The datastore beside Debian's etcd-server on the same machine and disk, both with fsync and with TLS between the
 * members: puts of three members, memory and restart with many objects, and how long a lost leader is missed.
 * Rounds alternate; ratios are of medians. The load client is one of our own on node:http2, in a process of its own.
 *
 *   npm run bench -- raft [--only puts|objects|failover|elections|budget] [--rounds 20] [--minutes 0] [--json]
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import type { Figure } from './figure.ts'
import { measureBudget } from './raft-budget.ts'
import { measureElections } from './raft-elections.ts'
import { measureFailover } from './raft-failover.ts'
import { measureObjects } from './raft-objects.ts'
import { measurePuts } from './raft-puts.ts'
import { hasEtcd } from './raft-served.ts'

const root = join(import.meta.dirname, '..')
const PUT_ROUNDS = 5
/** When nothing else is asked for. */
const ELECTION_MINUTES = 10
/** etcd is struck once for so many times that we are. */
const ETCD_SHARE = 4

export async function measure(): Promise<Figure[]> {
  const { values } = parseArgs({
    options: {
      only: { type: 'string', default: '' },
      rounds: { type: 'string', default: '20' },
      minutes: { type: 'string', default: '0' },
      json: { type: 'boolean' },
    },
    allowPositionals: true,
  })
  const rounds = Number(values.rounds)
  const minutes = Number(values.minutes) || (values.only === 'elections' ? ELECTION_MINUTES : 0)
  // On the same disk as the sources: /tmp is memory on many machines, which has no flush to measure.
  const directory = mkdtempSync(join(root, 'build', 'bench-raft-'))
  const etcdRounds = Math.ceil(rounds / ETCD_SHARE)
  const parts: Record<string, () => Promise<Figure[]>> = {
    puts: () => measurePuts(directory, PUT_ROUNDS),
    objects: () => measureObjects(directory),
    failover: () =>
      measureFailover(directory, { rounds: { ours: rounds, etcd: etcdRounds }, etcd: hasEtcd() }),
    elections: async () => (minutes > 0 ? await measureElections(directory, minutes) : []),
    budget: async () => (values.only === 'budget' ? await measureBudget(directory, PUT_ROUNDS) : []),
  }
  const figures: Figure[] = []
  try {
    if (values.only !== '' && !Object.hasOwn(parts, values.only)) {
      throw new Error(`--only takes one of: ${Object.keys(parts).join(', ')}`)
    }
    for (const [name, part] of Object.entries(parts)) {
      if (values.only === '' || values.only === name) figures.push(...(await part()))
    }
    return figures
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}
