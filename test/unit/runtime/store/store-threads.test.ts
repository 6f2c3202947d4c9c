/** The two threads of a store end, whatever became of them before. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemClock } from '../../../../src/base/clock.ts'
import { silentLog } from '../../../../src/base/log.ts'
import { StoreThreads } from '../../../../src/runtime/store/store-threads.ts'

test('threads that are gone already, because one failed, are not waited for', {
  timeout: 30_000,
}, async () => {
  const failed = Promise.withResolvers<Error>()
  const threads = new StoreThreads({
    clock: systemClock,
    log: silentLog,
    onRaft: () => {},
    onStore: () => {},
    onFailed: failed.resolve,
  })
  // Nothing is open yet, so that this is a bug, which ends the thread.
  threads.toStore({ type: 'checkpoint' })
  assert.match((await failed.promise).message, /an open database/)
  await threads.terminate()
  assert.equal(await threads.close(), true)
})
