/** One member of the datastore in a process of its own, for `bench/raft.ts`: DIRECTORY, and N objects to begin with. */
import { join } from 'node:path'
import { systemClock } from '../src/base/clock.ts'
import { silentLog } from '../src/base/log.ts'
import { systemRandom } from '../src/base/random.ts'
import { createEtcdEndpoint } from '../src/runtime/etcd/etcd.ts'
import { openRaftStore } from '../src/runtime/store/raft-store.ts'

const [directory = '', objects = '0', bytes = '2048'] = process.argv.slice(2)
const IN_FLIGHT = 64
const KEYS_PER_TRANSACTION = 10

const store = await openRaftStore({
  directory,
  clock: systemClock,
  random: systemRandom,
  log: silentLog,
  onFatal: error => {
    throw error
  },
})
const waiting = new Set<Promise<unknown>>()
for (let first = 0; first < Number(objects); first += KEYS_PER_TRANSACTION) {
  const operations = Array.from({ length: KEYS_PER_TRANSACTION }, (_, at) => ({
    type: 'put' as const,
    key: `/bench/object-${String(first + at).padStart(9, '0')}`,
    value: Buffer.alloc(Number(bytes), first & 0xff),
  }))
  const put = store.transact({ compares: [], operations }).finally(() => waiting.delete(put))
  waiting.add(put)
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
