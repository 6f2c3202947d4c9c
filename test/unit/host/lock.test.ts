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

test('of several processes at the same moment exactly one holds the lock', async context => {
  const [racers, rounds, pauseMs] = [3, 40, 15]
  const module = JSON.stringify(new URL('../../../src/host/lock.ts', import.meta.url).href)
  // Each tries once per round, at the same instant of the clock that all of them share, and keeps what it gets.
  const script = `const { acquireLock } = await import(${module})
    process.stdout.write('ready')
    process.stdin.once('data', start => {
      const held = []
      for (let round = 0; round < ${rounds}; round++) {
        while (Date.now() < Number(start) + round * ${pauseMs}) ;
        try { held.push([round, acquireLock(${JSON.stringify(directory)} + '/race-' + round, 'd')]) }
        catch (error) { if (error.code !== 'store/locked') throw error }
      }
      process.stdout.write(JSON.stringify(held.map(([round]) => round)))
      process.stdin.once('end', () => process.exit())
    })`
  const children = Array.from({ length: racers }, () =>
    spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['pipe', 'pipe', 'inherit'] }),
  )
  context.after(() => {
    for (const child of children) child.kill('SIGKILL')
  })
  await Promise.all(children.map(child => once(child.stdout, 'data')))
  const start = `${Date.now() + 100}`
  const results = children.map(async child => {
    child.stdin.write(start)
    const [held] = await once(child.stdout, 'data')
    return JSON.parse(String(held)) as number[]
  })
  const held = (await Promise.all(results)).flat().sort((a, b) => a - b)
  assert.deepEqual(
    held,
    Array.from({ length: rounds }, (_, round) => round),
  )
})

test('a directory that cannot be written is a failure of the disk', () => {
  assert.throws(() => acquireLock(join(directory, 'none', 'lock'), 'd'), { code: 'host/disk' })
})
