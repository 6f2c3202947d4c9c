import assert from 'node:assert/strict'
import test from 'node:test'
import { afterDaemonEnd } from '../../../src/host/supervising.ts'

const died = { code: 1, ranMs: 500, hadServed: false, hasDirectory: true, isStopping: false }

test('a daemon that ended well, was stopped, or lost its directory stays down', () => {
  for (const end of [{ code: 0 }, { isStopping: true }, { hasDirectory: false }]) {
    assert.deepEqual(afterDaemonEnd({ ...died, ...end }, 3), { kind: 'end' })
  }
})

test('pauses grow with the failures in a row up to half a minute', () => {
  const pauses = Array.from({ length: 9 }, (_, failures) => {
    const verdict = afterDaemonEnd(died, failures)
    return verdict.kind === 'again' ? verdict.pauseMs : -1
  })
  assert.deepEqual(pauses, [100, 1_000, 2_000, 4_000, 8_000, 15_000, 30_000, 30_000, 30_000])
})

test('whoever had served waits a second at most, and whoever ran for a minute begins anew', () => {
  assert.deepEqual(afterDaemonEnd({ ...died, hadServed: true }, 6), {
    kind: 'again',
    pauseMs: 1_000,
    failures: 2,
  })
  assert.deepEqual(afterDaemonEnd({ ...died, ranMs: 60_000 }, 6), {
    kind: 'again',
    pauseMs: 100,
    failures: 1,
  })
})
