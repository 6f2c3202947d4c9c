/** Plugins that register on a node, over real sockets: one that fails is tried again by its own time only. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { silentLog } from '../../../../src/base/log.ts'
import { PluginRegistry, REGISTRATION_PROTO } from '../../../../src/runtime/kubelet/plugin-registry.ts'
import { serveRpc } from '../../../../src/runtime/kubelet/runtime/cri/rpc-server.ts'
import { ManualClock } from '../../../support/manual-clock.ts'
import { until } from '../../../support/until.ts'

/** Deadlines of calls are times of the machine, backing off is the test's. */
class StandingClock extends ManualClock {
  waits = 0
  override now(): number {
    return Date.now()
  }
  override after(delayMs: number, callback: () => void) {
    this.waits += 1
    return super.after(delayMs, callback)
  }
}

test('a registrar that fails is asked again once for each wait, whatever others come meanwhile', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'mk8s-plugins-'))
  const clock = new StandingClock()
  const taken: string[] = []
  const asked = new Map<string, number>()
  const servers: { close(): void }[] = []
  const serve = async (name: string, getInfo: () => object) => {
    const count = async () => {
      asked.set(name, (asked.get(name) ?? 0) + 1)
      return getInfo()
    }
    servers.push(
      await serveRpc(join(directory, `${name}-reg.sock`), {
        proto: REGISTRATION_PROTO,
        service: 'pluginregistration.Registration',
        methods: { GetInfo: count, NotifyRegistrationStatus: async () => ({}) },
      }),
    )
  }
  const working = (name: string) => serve(name, () => ({ type: 'DRAPlugin', name, endpoint: '' }))
  const broken = () => {
    throw new Error('not yet')
  }
  await Promise.all([serve('bad', broken), serve('worse', broken)])
  const handler = {
    async take({ name }: { name: string }) {
      taken.push(name)
      return { release: async () => {} }
    },
  }
  const registry = new PluginRegistry({ directory, handlers: { DRAPlugin: handler }, clock, log: silentLog })
  try {
    await registry.start()
    await until('both have failed', () => clock.waits === 2)
    for (const name of ['first', 'second', 'third']) {
      await working(name)
      await until(`${name} is registered`, () => taken.includes(name))
    }
    assert.equal(asked.get('bad'), 1, 'it is not its time yet')
    for (const turn of [2, 3]) {
      clock.advance(60_000)
      await until(`both have failed ${turn} times`, () => clock.waits === 2 * turn)
      assert.deepEqual([asked.get('bad'), asked.get('worse')], [turn, turn])
    }
  } finally {
    await registry.stop()
    for (const server of servers) server.close()
    rmSync(directory, { recursive: true })
  }
})
