/** Starting and stopping, with the real supervising script and a daemon that is only its admin socket. */
import assert from 'node:assert/strict'
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { after } from 'node:test'
import { must } from '../../../src/base/assert.ts'
import { systemClock } from '../../../src/base/clock.ts'
import { startNode, stopNode, waitForStart, waitUntilReady } from '../../../src/client/lifecycle.ts'
import { nodePaths } from '../../../src/host/node-files.ts'
import { isRunning, readPidFile, signalProcess } from '../../../src/host/processes.ts'
import { createService } from '../../../src/host/service.ts'

const parent = mkdtempSync(join(tmpdir(), 'mk8s-lifecycle-'))
after(() => rmSync(parent, { recursive: true, force: true }))
const moduleUrl = (path: string) => JSON.stringify(new URL(`../../../${path}`, import.meta.url).href)

const daemonSource = `
const { createAdminServer } = await import(${moduleUrl('src/runtime/admin/admin.ts')})
const { writePidFile } = await import(${moduleUrl('src/host/processes.ts')})
const { systemClock } = await import(${moduleUrl('src/base/clock.ts')})
const { silentLog } = await import(${moduleUrl('src/base/log.ts')})
const { nodeStatus } = await import(${moduleUrl('test/support/node-status.ts')})
const paths = (await import(${moduleUrl('src/host/node-files.ts')})).nodePaths(process.argv.at(-1))
writePidFile(paths.daemonPid, process.pid)
const stop = async () => void setImmediate(async () => { await server.stop(); process.exit(0) })
const server = createAdminServer({ socketPath: paths.adminSocket, log: silentLog, clock: systemClock,
  handlers: { status: async () => nodeStatus(), stop } })
await server.start(new AbortController().signal)
`

function partsFor(name: string, script: string) {
  const dataDir = join(parent, name)
  mkdirSync(dataDir)
  const program = join(parent, `${name}.sh`)
  writeFileSync(program, `#!/bin/sh\n${script}\n`)
  chmodSync(program, 0o755)
  const service = createService({ dataDir, clock: systemClock, manager: 'background', program })
  return { dataDir, service, clock: systemClock, endContainers: async () => {} }
}

const fakeDaemon = () => {
  const file = join(parent, 'daemon.mjs')
  writeFileSync(file, daemonSource)
  return `exec '${process.execPath}' '${file}' "$@"`
}

test('a node starts, comes back when it is killed, and stays down when it is stopped', async context => {
  const parts = partsFor('good', fakeDaemon())
  context.after(() => parts.service.stop())
  const paths = nodePaths(parts.dataDir)
  assert.equal(await startNode(parts), true)
  const first = await waitForStart(parts, { started: true, timeoutMs: 120_000 })
  assert.equal(await startNode(parts), false)
  signalProcess(must(readPidFile(paths.daemonPid), 'daemon'), 'SIGKILL')
  const second = await waitUntilReady(parts, { timeoutMs: 120_000, failFast: false })
  assert.notEqual(second.processId, first.processId)
  const supervisor = must(readPidFile(paths.supervisorPid), 'supervisor')
  assert.equal(await stopNode(parts, { workloads: true }), true)
  assert.equal(isRunning(supervisor), false)
  assert.equal(parts.service.isActive(), false)
  assert.equal(await stopNode(parts, { workloads: true }), false)
})

test('a daemon that ends by itself while it is asked to stop has stopped', async context => {
  const dying = fakeDaemon().replace('daemon.mjs', 'dying.mjs')
  writeFileSync(
    join(parent, 'dying.mjs'),
    daemonSource.replace(/const stop = .*/, 'const stop = async () => process.exit(0)'),
  )
  const parts = partsFor('dying', dying)
  context.after(() => parts.service.stop())
  await startNode(parts)
  await waitForStart(parts, { started: true, timeoutMs: 120_000 })
  assert.equal(await stopNode(parts, { workloads: false }), true)
  assert.equal(parts.service.isActive(), false)
})

test('a daemon that cannot start is reported at once and not left trying', async () => {
  const parts = partsFor('bad', 'echo "Error: no such thing" >&2; exit 70')
  await startNode(parts)
  await assert.rejects(waitForStart(parts, { started: true, timeoutMs: 120_000 }), {
    code: 'node/start-failed',
    why: /exit code is 70[\s\S]*no such thing/,
  })
  assert.equal(parts.service.isActive(), false)
})

test('a wait does not outlast its time by much when the daemon hangs', async () => {
  const dataDir = join(parent, 'hangs')
  mkdirSync(nodePaths(dataDir).run, { recursive: true })
  const hung = createServer(socket => socket.resume())
  await new Promise<void>(resolve => hung.listen(nodePaths(dataDir).adminSocket, resolve))
  const begun = performance.now()
  const waiting = waitUntilReady({ dataDir, clock: systemClock }, { timeoutMs: 100, failFast: false })
  await assert.rejects(waiting, { code: 'node/not-ready' })
  assert.ok(performance.now() - begun < 5_000)
  await new Promise(resolve => hung.close(resolve))
})
