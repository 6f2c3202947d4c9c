/** The contract suite against every engine. */

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemClock } from '../../../src/base/clock.ts'
import { silentLog } from '../../../src/base/log.ts'
import { systemRandom } from '../../../src/base/random.ts'
import { createMemoryStore } from '../../../src/runtime/store/memory-store.ts'
import { openRaftStore } from '../../../src/runtime/store/open-raft-store.ts'
import type { RaftStore } from '../../../src/runtime/store/raft-store.ts'
import { testDecisionContract } from './decision-contract.ts'
import { type OpenStore, testStoreContract } from './store-contract.ts'

const openMemory: OpenStore = async () => {
  const store = createMemoryStore({ clock: systemClock })
  return { store, reopen: null, dispose: () => store.close() }
}

const openRaft: OpenStore = async () => {
  const directory = await mkdtemp(join(tmpdir(), 'mk8s-store-'))
  const onFatal = (error: Error) => {
    throw error
  }
  const open = () =>
    openRaftStore({ directory, clock: systemClock, random: systemRandom, log: silentLog, onFatal })
  let store: RaftStore = await open()
  const reopen = async () => {
    await store.close()
    store = await open()
    return store
  }
  const dispose = async () => {
    await store.close()
    await rm(directory, { recursive: true })
  }
  return { store, reopen, dispose }
}

for (const [engine, open] of [['memory', openMemory] as const, ['raft', openRaft] as const]) {
  testStoreContract(engine, open)
  testDecisionContract(engine, open)
}
