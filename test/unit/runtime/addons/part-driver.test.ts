/** The driver of parts on a node: what it starts, stops and tells, whatever happens in between. */
import assert from 'node:assert/strict'
import { existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { systemClock } from '../../../../src/base/clock.ts'
import { createLog } from '../../../../src/base/log.ts'
import type { Informer } from '../../../../src/client/informer.ts'
import type { KubeClient } from '../../../../src/client/kube-client.ts'
import type { Addon } from '../../../../src/runtime/addons/addon-object.ts'
import type { Part } from '../../../../src/runtime/addons/part.ts'
import { createPartDriver } from '../../../../src/runtime/addons/part-driver.ts'
import { temporaryDirectory } from '../../../support/cluster.ts'
import { until } from '../../../support/until.ts'

const log = createLog({ level: 'error', write: () => {}, now: () => 0 })
const clock = { ...systemClock, after: (ms: number, done: () => void) => systemClock.after(ms / 50, done) }

function drive(part: Part) {
  const addons: Addon[] = []
  const listeners: (() => void)[] = []
  const reports: unknown[] = []
  const directory = temporaryDirectory()
  const driver = createPartDriver({
    parts: [part],
    addons: {
      list: () => addons,
      onChange: (listener: () => void) => listeners.push(listener),
      start() {},
    } as unknown as Informer<Addon>,
    client: {
      apply: async (_: unknown, { status }: { status: unknown }) => reports.push(status),
    } as unknown as KubeClient,
    context: { nodeName: 'n1', nodeAddress: '127.0.0.1', clock } as never,
    directory,
    clock,
    log,
  })
  const say = (spec: object, parameters: object) => {
    const status = { parts: [part.name], parameters }
    addons[0] = { apiVersion: '', kind: 'Addon', metadata: { name: 'web' }, spec, status } as unknown as Addon
    for (const listener of listeners) listener()
  }
  return { driver, say, reports, directory, signal: new AbortController().signal }
}

test('a part is started, started anew for other parameters that it heeds, and cleared up when it is disabled', async () => {
  const calls: string[] = []
  const { driver, say, reports, directory, signal } = drive({
    name: 'web',
    heeds: ['port'],
    async start(_, { port }) {
      calls.push(`start ${port}`)
      return { health: () => ({ ok: true, reason: '' }), stop: async () => void calls.push('stop') }
    },
    cleanUp: async () => void calls.push('clean up'),
  })
  await driver.start(signal)
  say({ enabled: true }, { port: 1, note: 'a' })
  await until('it has started', () => calls.length === 1 && reports.length === 1)
  say({ enabled: true }, { port: 1, note: 'b' })
  await until('the new parameters are told of', () => reports.length === 2)
  say({ enabled: true }, { port: 2 })
  await until('it runs again', () => calls.length === 3)
  mkdirSync(join(directory, 'web'))
  say({ enabled: false }, {})
  await until('it is gone', () => calls.length === 5)
  assert.deepEqual(calls, ['start 1', 'stop', 'start 2', 'stop', 'clean up'])
  assert.equal(existsSync(join(directory, 'web')), true)
  say({ enabled: false, purge: true }, {})
  await until('its data is gone', () => !existsSync(join(directory, 'web')))
  await driver.stop()
})

test('a part that cannot start is told of with its reason, and is tried again', async () => {
  let attempts = 0
  const { driver, say, reports, signal } = drive({
    name: 'web',
    async start() {
      attempts += 1
      if (attempts < 3) throw new Error('the port is taken')
      return { health: () => ({ ok: true, reason: '' }), stop: async () => {} }
    },
  })
  await driver.start(signal)
  say({ enabled: true }, {})
  await until('it runs', () => attempts === 3 && reports.length > 1)
  const states = reports.map(report => (report as { nodes: { ready: boolean; message: string }[] }).nodes[0])
  assert.equal(states[0]?.ready, false)
  assert.equal(states[0]?.message, 'the port is taken')
  assert.equal(states.at(-1)?.ready, true)
  await driver.stop()
})

test('a daemon that ends leaves what its parts have made', async () => {
  const calls: string[] = []
  const { driver, say, signal } = drive({
    name: 'web',
    async start() {
      return { health: () => ({ ok: true, reason: '' }), stop: async () => void calls.push('stop') }
    },
    cleanUp: async () => void calls.push('clean up'),
  })
  await driver.start(signal)
  say({ enabled: true }, {})
  await until('it runs', () => driver.health().ok)
  await driver.stop()
  assert.deepEqual(calls, ['stop'])
})
