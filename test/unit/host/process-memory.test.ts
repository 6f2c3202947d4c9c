import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { collectYoung, releaseFreed } from '../../../src/host/process-memory.ts'
import { until } from '../../support/until.ts'

const MIB = 1024 * 1024
const PIECE_BYTES = 1_000

/** Of every hundred pieces one stays, so that nothing comes free at the end of the allocator's memory. */
function leaveHoles(bytes: number): Buffer[] {
  const pieces = Array.from({ length: bytes / PIECE_BYTES }, () =>
    Buffer.allocUnsafeSlow(PIECE_BYTES).fill(1),
  )
  return pieces.filter((_piece, at) => at % 100 === 0)
}

test('young garbage is collected when asked for', async () => {
  const gone = new WeakRef(leaveHoles(PIECE_BYTES))
  // What a WeakRef was just made of lives to the end of this turn.
  await new Promise(setImmediate)
  collectYoung()
  assert.equal(gone.deref(), undefined)
})

test('what is free between what is used goes back to the system', {
  skip: process.platform !== 'linux',
}, async () => {
  const warned: Error[] = []
  process.on('warning', warning => warned.push(warning))
  const stays = leaveHoles(100 * MIB)
  setFlagsFromString('--expose-gc')
  const collectAll = runInNewContext('gc') as () => void
  const before = process.memoryUsage.rss()
  await until('memory is given back', async () => {
    // What was kept until the last piece was there is old by now.
    collectAll()
    await new Promise(setImmediate)
    assert.equal(releaseFreed(), true)
    return process.memoryUsage.rss() < before - 40 * MIB
  })
  assert.equal(stays[1]?.[0], 1)
  assert.deepEqual(warned, [])
})
