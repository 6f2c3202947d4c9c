import assert from 'node:assert/strict'
import test from 'node:test'
import { systemClock } from '../../../../src/base/clock.ts'
import type { Component } from '../../../../src/base/component.ts'
import { silentLog } from '../../../../src/base/log.ts'
import { createSupervisor } from '../../../../src/runtime/supervisor/supervisor.ts'

const never = new AbortController().signal

function component(name: string, events: string[], over: Partial<Component> = {}): Component {
  return {
    name,
    async prepare() {
      events.push(`prepare ${name}`)
    },
    async start() {
      events.push(`start ${name}`)
    },
    async stop() {
      events.push(`stop ${name}`)
    },
    health: () => ({ ok: true, reason: '' }),
    ...over,
  }
}

const supervise = (components: readonly Component[], stopTimeoutMs?: number) =>
  createSupervisor({
    components,
    log: silentLog,
    clock: systemClock,
    ...(stopTimeoutMs !== undefined && { stopTimeoutMs }),
  })

test('components start in order and stop in reverse, once', async () => {
  const events: string[] = []
  const supervisor = supervise([component('a', events), component('b', events)])
  await supervisor.start(never)
  await supervisor.stop()
  await supervisor.stop()
  assert.deepEqual(events, ['prepare a', 'prepare b', 'start a', 'start b', 'stop b', 'stop a'])
})

test('one that cannot start takes the others down and its error is thrown', async () => {
  const events: string[] = []
  const broken = component('b', events, { start: () => Promise.reject(new Error('no disk')) })
  const supervisor = supervise([component('a', events), broken, component('c', events)])
  await assert.rejects(supervisor.start(never), /no disk/)
  assert.deepEqual(events.slice(3), ['start a', 'stop c', 'stop b', 'stop a'])
})

test('preparing side by side, the first error is the one that counts', async () => {
  const events: string[] = []
  const slow = component('a', events, {
    prepare: signal =>
      new Promise((_, reject) => signal.addEventListener('abort', () => reject(new Error('aborted')))),
  })
  const broken = component('b', events, { prepare: () => Promise.reject(new Error('bad port')) })
  await assert.rejects(supervise([slow, broken]).start(never), /bad port/)
})

test('one that hangs or fails while stopping does not keep the others up', async () => {
  const events: string[] = []
  const hangs = component('b', events, { stop: () => new Promise(() => {}) })
  const fails = component('c', events, { stop: () => Promise.reject(new Error('x')) })
  const supervisor = supervise([component('a', events), hangs, fails], 20)
  await supervisor.start(never)
  const alive = setInterval(() => {}, 1000)
  await supervisor.stop()
  clearInterval(alive)
  assert.equal(events.at(-1), 'stop a')
})
