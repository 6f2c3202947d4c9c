/** Whoever follows a range hears of every change, also of those while its watch was closed. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { followRange } from '../../../../src/runtime/store/follow-range.ts'
import type { WatchListener, WatchRequest } from '../../../../src/runtime/store/store.ts'
import { ManualClock } from '../../../support/manual-clock.ts'

const range = { start: '/a/', end: '/a0' }

function follow({ broken = false } = {}) {
  const clock = new ManualClock()
  const opened: WatchRequest[] = []
  const listeners: WatchListener[] = []
  let open = 0
  let changes = 0
  const store = {
    revision: 7,
    watch(request: WatchRequest, listener: WatchListener) {
      if (broken && opened.length > 0) throw new Error('not now')
      opened.push(request)
      listeners.push(listener)
      open++
      return { close: () => void open-- }
    },
  }
  const close = (): void => {
    open--
    listeners.at(-1)?.onClosed(new Error('it fell behind'))
  }
  const followed = followRange({ store, range, clock, onChange: () => void changes++ })
  return {
    clock,
    opened,
    listeners,
    store,
    close,
    followed,
    changes: () => changes,
    open: () => open,
    repair: () => {
      broken = false
    },
  }
}

test('a watch that is closed is opened anew, and what may have been missed counts as a change', async () => {
  const { clock, opened, listeners, store, close, followed, changes, open } = follow()
  assert.deepEqual(opened, [{ ...range, after: 7 }])
  assert.equal(changes(), 0)
  listeners[0]?.onEvents([], 8)
  assert.equal(changes(), 1)
  store.revision = 20
  close()
  await clock.advance(49)
  assert.equal(opened.length, 1)
  await clock.advance(1)
  assert.deepEqual(opened[1], { ...range, after: 20 })
  assert.equal(changes(), 2)
  followed.close()
  assert.equal(open(), 0)
})

test('one that is closed again and again is opened more and more seldom, and soon again once it has lasted', async () => {
  const { clock, opened, close } = follow()
  for (const delay of [50, 100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000]) {
    const before = opened.length
    close()
    await clock.advance(delay - 1)
    assert.equal(opened.length, before)
    await clock.advance(1)
    assert.equal(opened.length, before + 1)
  }
  await clock.advance(6_000)
  close()
  await clock.advance(50)
  assert.equal(opened.length, 11)
})

test('a store that refuses a watch is asked again', async () => {
  const { clock, opened, close, repair } = follow({ broken: true })
  close()
  await clock.advance(300)
  assert.equal(opened.length, 1)
  repair()
  await clock.advance(1_000)
  assert.equal(opened.length, 2)
})

test('nothing happens any more once it is closed', async () => {
  const { clock, opened, listeners, close, followed, changes } = follow()
  close()
  followed.close()
  listeners[0]?.onEvents([], 9)
  await clock.advance(10_000)
  assert.deepEqual([opened.length, changes()], [1, 0])
})
