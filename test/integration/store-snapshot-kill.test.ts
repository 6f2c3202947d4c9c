/** A member is killed again and again while it takes over a snapshot: each start goes on from what the last left. */
import assert from 'node:assert/strict'
import { existsSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { StoreCluster } from '../support/store-cluster.ts'

const KILLS = 6
/** More of the snapshot has come each time. */
const STEP_BYTES = 3 * 1024 * 1024
const FILES = ['received.sqlite.part', 'received.sqlite', 'state.sqlite']

/** Looks all the time, because what comes next comes at once. */
async function soon(path: string, bytes = 0): Promise<void> {
  let size = -1
  for (const deadline = Date.now() + 60_000; size < bytes; ) {
    const now = statSync(path, { throwIfNoEntry: false })?.size
    // It was renamed, so it was whole.
    if (now === undefined && size >= 0) return
    size = now ?? -1
    assert.ok(Date.now() < deadline, `in time: ${path}`)
    await new Promise(resolve => setImmediate(resolve))
  }
}

test('a member that is killed while it takes over a snapshot gets there in the end', async (t: TestContext) => {
  const cluster = await StoreCluster.start({ size: 3 })
  t.after(() => cluster.close())
  const [one, three] = [cluster.member(1), cluster.member(3)]
  await three.kill()
  const value = Buffer.alloc(1024 * 1024, 'x')
  const seen: string[] = []
  for (let round = 0; round < KILLS; round++) {
    // More than the log keeps, so that every life needs a snapshot again.
    for (let n = 0; n < 18; n++) await one.put(`/key/${n}`, value)
    await one.call('compact', (await one.call('status')).revision)
    const { directory } = three.options
    const part = join(directory, 'received.sqlite.part')
    rmSync(part, { force: true })
    const started = three.start().catch(() => null)
    await soon(part, round % 2 === 0 ? round * STEP_BYTES : 0)
    if (round % 2 === 1) await soon(join(directory, 'received.sqlite'))
    await three.kill()
    await started
    seen.push(FILES.filter(name => existsSync(join(directory, name))).join(' '))
  }
  t.diagnostic(`found after the kills: ${[...new Set(seen)].join(' | ')}`)
  await three.start()
  await cluster.settle()
  await three.put('/by', 'three')
  const check = await three.call('check')
  assert.deepEqual([check.log.findings, check.databaseFindings], [[], []])
  const status = await three.call('status')
  assert.equal(status.keys, 19)
})
