/** One member of the datastore in a process of its own, for `bench/raft.ts`: DIRECTORY, and N objects to begin with. */

import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { systemClock } from '../src/base/clock.ts'
import { Mk8sError } from '../src/base/errors.ts'
import { silentLog } from '../src/base/log.ts'
import { systemRandom } from '../src/base/random.ts'
import { createEtcdEndpoint } from '../src/runtime/etcd/etcd.ts'
import { keepMemoryLow } from '../src/runtime/keep-memory-low.ts'
import { openRaftStore } from '../src/runtime/store/open-raft-store.ts'
import type { Operation } from '../src/runtime/store/store.ts'

const [directory = '', objects = '0', bytes = '2048'] = process.argv.slice(2)
const IN_FLIGHT = 64
const KEYS_PER_TRANSACTION = 10
/** A database that cannot keep up, on a busy machine, is given so long. */
const OVERLOADED_PAUSE_MS = 50

// As the daemon does.
keepMemoryLow()
const store = await openRaftStore({
  directory,
  clock: systemClock,
  random: systemRandom,
  log: silentLog,
  onFatal: error => {
    throw error
  },
})

async function put(operations: readonly Operation[]): Promise<void> {
  for (;;) {
    try {
      await store.transact({ compares: [], operations })
      return
    } catch (error) {
      if (!(error instanceof Mk8sError) || error.code !== 'store/overloaded') throw error
      await sleep(OVERLOADED_PAUSE_MS)
    }
  }
}

const waiting = new Set<Promise<unknown>>()
for (let first = 0; first < Number(objects); first += KEYS_PER_TRANSACTION) {
  const operations = Array.from({ length: KEYS_PER_TRANSACTION }, (_, at) => ({
    type: 'put' as const,
    key: `/bench/object-${String(first + at).padStart(9, '0')}`,
    value: Buffer.alloc(Number(bytes), first & 0xff),
  }))
  const done = put(operations).finally(() => waiting.delete(done))
  waiting.add(done)
  if (waiting.size >= IN_FLIGHT) await Promise.race(waiting)
}
await Promise.all(waiting)
const { signal } = new AbortController()
const endpoint = createEtcdEndpoint({
  listen: { type: 'unix', path: join(directory, 'etcd.sock') },
  store,
  status: () => ({ ...store.status(), databaseBytes: 0 }),
  members: () => [],
  metrics: () => '',
  clock: systemClock,
  log: silentLog,
})
await endpoint.prepare(signal)
await endpoint.start(signal)
process.stdout.write('ready\n')
process.on('SIGTERM', () => {
  void (async () => {
    await endpoint.stop()
    await store.close()
    process.exit(0)
  })()
})
