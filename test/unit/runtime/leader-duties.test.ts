/** Duties begin with a term and end with it, whatever they are doing just then. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Component } from '../../../src/base/component.ts'
import { silentLog } from '../../../src/base/log.ts'
import { createLeaderDuties } from '../../../src/runtime/leader-duties.ts'
import type { Leadership } from '../../../src/runtime/store/store.ts'
import { ManualClock } from '../../support/manual-clock.ts'

function fakeStore() {
  const listeners = new Set<(leadership: Leadership) => void>()
  return {
    leadership: { leader: false, term: 0 },
    onLeadership(listener: (leadership: Leadership) => void) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    become(leadership: Leadership) {
      this.leadership = leadership
      for (const listener of listeners) listener(leadership)
    },
  }
}

/** A duty that says what happens to it; `starting` holds its start back. */
function duty(name: string, said: string[], starting: () => Promise<void> = async () => {}): Component {
  return {
    name,
    async prepare() {},
    async start() {
      said.push(`start ${name}`)
      await starting()
    },
    async stop() {
      said.push(`stop ${name}`)
    },
    health: () => ({ ok: true, reason: '' }),
  }
}

const settled = () => new Promise(resolve => setImmediate(resolve))

test('a daemon that is to end does not wait for duties that cannot begin', async () => {
  const [store, said] = [fakeStore(), [] as string[]]
  store.leadership = { leader: true, term: 1 }
  const dutiesOf = () => [duty('a', said, () => new Promise(() => {}))]
  const duties = createLeaderDuties({ store, clock: new ManualClock(), log: silentLog, dutiesOf })
  const ending = new AbortController()
  const started = duties.start(ending.signal)
  await settled()
  ending.abort(new Error('a restore is to be finished'))
  await assert.rejects(started, /a restore is to be finished/)
  await duties.stop()
  assert.deepEqual(said, ['start a', 'stop a'])
})

test('a new term does not wait for a start that hangs', async () => {
  const [store, said, clock] = [fakeStore(), [] as string[], new ManualClock()]
  const duties = createLeaderDuties({
    store,
    clock,
    log: silentLog,
    dutiesOf: term => [duty(`a${term}`, said, term === 1 ? () => new Promise(() => {}) : undefined)],
  })
  await duties.start(new AbortController().signal)
  assert.deepEqual(said, [])
  store.become({ leader: true, term: 1 })
  store.become({ leader: true, term: 1 })
  await settled()
  store.become({ leader: false, term: 2 })
  await settled()
  assert.deepEqual(said, ['start a1', 'stop a1'])
  store.become({ leader: true, term: 3 })
  await settled()
  assert.deepEqual(said.slice(2), ['start a3'])
  assert.deepEqual(duties.health(), { ok: true, reason: '' })
  await duties.stop()
  assert.equal(said.at(-1), 'stop a3')
})

test('duties that did not start are made anew in the same term', async () => {
  const [store, said, clock] = [fakeStore(), [] as string[], new ManualClock()]
  let made = 0
  const duties = createLeaderDuties({
    store,
    clock,
    log: silentLog,
    dutiesOf: () => {
      made += 1
      const fails = made === 1 ? () => Promise.reject(new Error('no')) : undefined
      return [duty(`first${made}`, said), duty(`second${made}`, said, fails)]
    },
  })
  store.become({ leader: true, term: 4 })
  const starting = duties.start(new AbortController().signal)
  await settled()
  assert.match(duties.health().reason, /did not start/)
  clock.advance(200)
  await starting
  assert.equal(made, 2)
  assert.equal(duties.health().ok, true)
  assert.deepEqual(said.slice(-2), ['start first2', 'start second2'])
  await duties.stop()
})
