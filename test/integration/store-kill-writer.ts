/**
 * The child of store-kill.test.ts: writes through openRaftStore as fast as it can and prints each
 * acknowledged write on a line of its own. It runs until it is killed.
 */

import { systemClock } from '../../src/base/clock.ts'
import { createLog } from '../../src/base/log.ts'
import { systemRandom } from '../../src/base/random.ts'
import { openRaftStore } from '../../src/runtime/store/open-raft-store.ts'

const [directory = '', life = ''] = process.argv.slice(2)
const log = createLog({ level: 'error', write: line => process.stderr.write(line), now: Date.now })
const onFatal = (error: Error) => {
  throw error
}
const store = await openRaftStore({ directory, clock: systemClock, random: systemRandom, log, onFatal })
process.stdout.write(`open ${store.revision}\n`)

async function write(client: number): Promise<void> {
  for (let n = 0; ; n++) {
    const key = `/kill/${life}/${client}/${n % 50}`
    const value = Buffer.from(`${n} ${'x'.repeat((n * 37) % 3000)}`)
    const result = await store.transact({ compares: [], operations: [{ type: 'put', key, value }] })
    process.stdout.write(`ack ${key} ${result.revision} ${n}\n`)
    if (n % 100 === 99 && client === 0) await store.compact(store.revision - 50)
  }
}

await Promise.all(Array.from({ length: 8 }, (_, client) => write(client)))
