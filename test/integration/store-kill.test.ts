/** SIGKILL at random moments: every acknowledged write is there afterwards, and no revision goes backwards. */

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { test } from 'node:test'
import { systemClock } from '../../src/base/clock.ts'
import { silentLog } from '../../src/base/log.ts'
import { seededRandom, systemRandom } from '../../src/base/random.ts'
import { openRaftStore } from '../../src/runtime/store/open-raft-store.ts'

const LIVES = 12

interface Acknowledged {
  readonly revision: number
  readonly n: number
}

test('no acknowledged write is lost when the process is killed again and again', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'mk8s-kill-'))
  const random = seededRandom(4711)
  const acknowledged = new Map<string, Acknowledged>()
  let highest = 0
  try {
    for (let life = 0; life < LIVES; life++) {
      const acks = 1 + Math.floor(random.float() * 600)
      const lived = await liveUntil(directory, life, acks)
      assert.ok(
        lived.openedAt >= highest,
        `life ${life} begins at ${lived.openedAt}, ${highest} was acknowledged`,
      )
      for (const [key, ack] of lived.acknowledged) acknowledged.set(key, ack)
      highest = Math.max(highest, ...[...lived.acknowledged.values()].map(ack => ack.revision))
    }
    await checkAll(directory, acknowledged, highest)
  } finally {
    await rm(directory, { recursive: true })
  }
})

async function checkAll(directory: string, acknowledged: ReadonlyMap<string, Acknowledged>, highest: number) {
  const onFatal = (error: Error) => {
    throw error
  }
  const parts = { directory, clock: systemClock, random: systemRandom, log: silentLog, onFatal }
  const store = await openRaftStore(parts)
  try {
    assert.ok(store.revision >= highest)
    for (const [key, { revision, n }] of acknowledged) {
      const kv = store.get(key)
      assert.ok(kv !== null, `${key} was acknowledged at ${revision}`)
      assert.ok(kv.modRevision >= revision, `${key} went back from ${revision} to ${kv.modRevision}`)
      assert.ok(Number.parseInt(kv.value.toString(), 10) >= n, `${key} holds an older value`)
    }
    assert.ok(acknowledged.size > 100)
  } finally {
    await store.close()
  }
}

/** One life of the writer: killed after so many acknowledgements. */
async function liveUntil(directory: string, life: number, acks: number) {
  const script = join(import.meta.dirname, 'store-kill-writer.ts')
  const child = spawn(process.execPath, [script, directory, `${life}`], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const exited = once(child, 'exit')
  const acknowledged = new Map<string, Acknowledged>()
  let openedAt = 0
  let count = 0
  for await (const line of createInterface({ input: child.stdout })) {
    const [what, key = '', revision, n] = line.split(' ')
    if (what === 'open') openedAt = Number(key)
    // The last line of a killed writer may be cut; a whole one has all its fields.
    if (what === 'ack' && n) acknowledged.set(key, { revision: Number(revision), n: Number(n) })
    if (++count === acks) child.kill('SIGKILL')
  }
  const [, signal] = await exited
  assert.equal(signal, 'SIGKILL')
  return { openedAt, acknowledged }
}
