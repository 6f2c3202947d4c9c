import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { after } from 'node:test'
import { systemClock } from '../../../../src/base/clock.ts'
import { Mk8sError } from '../../../../src/base/errors.ts'
import { silentLog } from '../../../../src/base/log.ts'
import { createAdminClient } from '../../../../src/client/admin-client.ts'
import type { ImageHandlers } from '../../../../src/client/node-images.ts'
import { type AdminHandlers, createAdminServer } from '../../../../src/runtime/admin/admin.ts'
import { nodeStatus } from '../../../support/node-status.ts'

const directory = mkdtempSync(join(tmpdir(), 'mk8s-admin-'))
after(() => rmSync(directory, { recursive: true }))
const socketPath = join(directory, 'mk8s.sock')
const never = new AbortController().signal

const unasked = async () => assert.fail('nobody asked for it')
const datastore = { details: unasked, check: unasked, compact: unasked, defragment: unasked, copy: unasked }

const images = (): ImageHandlers => ({ list: unasked, import: unasked, export: unasked, remove: unasked })

async function withServer(handlers: Partial<AdminHandlers>, use: () => Promise<void>): Promise<void> {
  const server = createAdminServer({
    socketPath,
    handlers: { status: async () => nodeStatus(), stop: async () => {}, datastore, images, ...handlers },
    log: silentLog,
    clock: systemClock,
  })
  await server.prepare(never)
  await server.start(never)
  try {
    await use()
  } finally {
    await server.stop()
    await server.stop()
  }
}

test('root alone may open the socket, and a stale one is replaced', async () => {
  writeFileSync(socketPath, '')
  await withServer({}, async () => {
    assert.equal(statSync(socketPath).mode & 0o777, 0o600)
    assert.equal((await createAdminClient(socketPath).status()).node.name, 'a')
  })
  await assert.rejects(createAdminClient(socketPath).status(), { code: 'node/not-running' })
})

test('a wait for readiness ends with it, or with its time', async () => {
  let asked = 0
  const status = async () => nodeStatus({ ready: ++asked > 3 })
  await withServer({ status }, async () => {
    assert.equal((await createAdminClient(socketPath).status({ waitReadyMs: 10_000 })).ready, true)
    assert.equal(asked, 5, 'and once more for the whole of it')
  })
  await withServer({ status: async () => nodeStatus({ ready: false }) }, async () => {
    assert.equal((await createAdminClient(socketPath).status({ waitReadyMs: 50 })).ready, false)
  })
})

test('a failure crosses the socket with its code, its why and its hint', async () => {
  const failure = new Mk8sError('store/no-leader', 'no leader', { why: 'silence', hint: 'wait' })
  await withServer({ stop: () => Promise.reject(failure) }, async () => {
    const stop = createAdminClient(socketPath).stop({ workloads: true, timeoutMs: 5_000 })
    await assert.rejects(stop, {
      code: 'store/no-leader',
      message: 'no leader',
      why: 'silence',
      hint: 'wait',
    })
  })
})

test('whether workloads end with the daemon is the asker’s choice', async () => {
  const asked: boolean[] = []
  const stop = async ({ workloads }: { workloads: boolean }) => void asked.push(workloads)
  await withServer({ stop }, async () => {
    for (const workloads of [true, false])
      await createAdminClient(socketPath).stop({ workloads, timeoutMs: 5_000 })
  })
  assert.deepEqual(asked, [true, false])
})
