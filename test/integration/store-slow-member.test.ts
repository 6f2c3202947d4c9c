/**
 * A member whose main thread does not get on, over real processes and disks: it holds up nobody, its memory stays
 * bounded, and it catches up.
 */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { must } from '../../src/base/assert.ts'
import { StoreCluster } from '../support/store-cluster.ts'
import type { StoreMember } from '../support/store-member.ts'
import { until } from '../support/until.ts'

const MIB = 1024 * 1024
const HANG_MS = 6_000
/** What is handed over and not taken, what the leader sends ahead, the log in memory, and what nobody has collected yet. */
const GROWTH_MAX = 256 * MIB
const WRITTEN_MIN = 200 * MIB

/** The most that the process ever had in memory. */
function peakBytes(member: StoreMember): number {
  const status = readFileSync(`/proc/${must(member.pid, 'a process')}/status`, 'utf8')
  return Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1]) * 1024
}

test('a member whose main thread hangs slows nobody, stays bounded in memory, and catches up', async t => {
  const cluster = await StoreCluster.start({ size: 3 })
  t.after(() => cluster.close())
  const [leader, slow] = [await cluster.leader(), must((await cluster.followers())[0], 'a follower')]
  const value = Buffer.alloc(256 * 1024, 1)
  const write = (count: number) => leader.put(`/slow/${count % 16}`, value)
  await Promise.all(Array.from({ length: 16 }, (_, count) => write(count)))
  const before = peakBytes(slow)
  const end = performance.now() + HANG_MS
  slow.hangMainThread(HANG_MS)
  let [written, slowest] = [0, 0]
  const writer = async () => {
    while (performance.now() < end && written < 2 * WRITTEN_MIN) {
      const asked = performance.now()
      await write(written / value.length)
      written += value.length
      slowest = Math.max(slowest, performance.now() - asked)
    }
  }
  await Promise.all(Array.from({ length: 8 }, writer))
  const growth = peakBytes(slow) - before
  const said = (bytes: number) => `${Math.round(bytes / MIB)} MiB`
  t.diagnostic(
    `${said(written)} written, the slowest in ${Math.round(slowest)} ms; it grew by ${said(growth)}`,
  )
  assert.ok(slowest < HANG_MS / 2, 'the others go on')
  assert.ok(written > WRITTEN_MIN / 4, 'enough was written to tell')
  assert.ok(growth < GROWTH_MAX, `it grew by ${growth} bytes`)
  await leader.put('/slow/last', 'the last')
  await until('it has caught up', async () => (await slow.read('/slow/last')) === 'the last')
  assert.equal((await slow.call('status')).revision, (await leader.call('status')).revision)
})
