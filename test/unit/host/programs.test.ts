import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runProgram, spawnDetached } from '../../../src/host/programs.ts'

test('a program gets its input and gives its output', async () => {
  const result = await runProgram('sh', ['-c', 'cat; echo err >&2'], { input: 'in' })
  assert.deepEqual(result, { stdout: 'in', stderr: 'err\n', exitCode: 0, timedOut: false })
})

test('a failure says how, unless any exit code will do', async () => {
  const failing = ['-c', 'echo why >&2; exit 3']
  await assert.rejects(runProgram('sh', failing), { code: 'host/program-failed', why: 'exit code 3: why' })
  assert.equal((await runProgram('sh', failing, { accept: 'any' })).exitCode, 3)
})

test('a program that is not there, or takes too long, is told apart', async () => {
  await assert.rejects(runProgram('no-such-program', []), { code: 'host/program-missing' })
  const late = runProgram('sleep', ['60'], { timeoutMs: 20 })
  await assert.rejects(late, { code: 'host/program-failed', why: 'it did not finish within 20 ms' })
  assert.equal((await runProgram('sleep', ['60'], { timeoutMs: 20, accept: 'any' })).timedOut, true)
})

test('a detached process leads a session of its own and reports its end', async () => {
  const script = '[ "$(cut -d" " -f6 /proc/$$/stat)" = $$ ] || exit 9; exit 4'
  const child = await spawnDetached('/bin/sh', ['-c', script], { env: { PATH: '/usr/bin:/bin' }, stdio: [] })
  assert.deepEqual(await child.exited, { code: 4, signal: null })
  await assert.rejects(spawnDetached('/no/such', [], { env: {}, stdio: [] }), {
    code: 'host/program-missing',
  })
})
