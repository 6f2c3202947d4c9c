import assert from 'node:assert/strict'
import { test } from 'node:test'
import { giveBackWhenIdle, LOOK_EVERY_MS } from '../../../src/runtime/idle-memory.ts'
import { ManualClock } from '../../support/manual-clock.ts'

const MIB = 1024 * 1024

function daemon() {
  const clock = new ManualClock()
  const now = { resident: 150 * MIB, worked: 0.01 }
  const did: string[] = []
  const timer = giveBackWhenIdle({
    clock,
    resident: () => now.resident,
    workedShare: () => now.worked,
    collectYoung: () => did.push('collect'),
    releaseFreed: () => did.push('release'),
  })
  const looks = (count: number) => {
    for (let look = 0; look < count; look++) clock.advance(LOOK_EVERY_MS)
  }
  return { now, did, looks, timer }
}

test('memory is given back once after a burst, in the seconds in which the thread is idle again', () => {
  const { now, did, looks } = daemon()
  now.resident = 500 * MIB
  now.worked = 0.9
  looks(10)
  assert.deepEqual(did, [])
  now.worked = 0.01
  looks(20)
  assert.deepEqual(did, ['collect', 'release', 'collect', 'collect', 'collect', 'release'])
})

test('a daemon that has not grown is left alone, and one that grows again is not', () => {
  const { now, did, looks } = daemon()
  looks(20)
  now.resident = 160 * MIB
  looks(20)
  assert.deepEqual(did, [])
  now.resident = 200 * MIB
  looks(20)
  assert.equal(did.filter(what => what === 'release').length, 2)
  now.resident = 260 * MIB
  looks(20)
  assert.equal(did.filter(what => what === 'release').length, 4)
})

test('work that begins again puts the rest off', () => {
  const { now, did, looks, timer } = daemon()
  now.resident = 500 * MIB
  looks(2)
  now.worked = 0.9
  looks(5)
  assert.deepEqual(did, ['collect', 'release', 'collect'])
  timer.cancel()
  now.worked = 0.01
  looks(5)
  assert.equal(did.length, 3)
})
