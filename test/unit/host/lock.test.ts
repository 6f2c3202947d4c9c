import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { after } from 'node:test'
import { acquireLock } from '../../../src/host/lock.ts'

const directory = mkdtempSync(join(tmpdir(), 'mk8s-lock-'))
after(() => rmSync(directory, { recursive: true }))
const path = join(directory, 'lock')

test('one process holds the lock; a kill gives it back', async context => {
  const module = JSON.stringify(new URL('../../../src/host/lock.ts', import.meta.url).href)
  const script = `const { acquireLock } = await import(${module})
    globalThis.lock = acquireLock(${JSON.stringify(path)}, 'd'); process.stdout.write('held'); setInterval(() => {}, 1000)`
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  context.after(() => child.kill('SIGKILL'))
  await once(child.stdout, 'data')
  assert.throws(() => acquireLock(path, '/data'), {
    code: 'store/locked',
    message: /another process uses \/data/,
  })
  child.kill('SIGKILL')
  await once(child, 'exit')
  const lock = acquireLock(path, '/data')
  lock.release()
  lock.release()
  acquireLock(path, '/data').release()
})

test('a directory that cannot be written is a failure of the disk', () => {
  assert.throws(() => acquireLock(join(directory, 'none', 'lock'), 'd'), { code: 'host/disk' })
})
