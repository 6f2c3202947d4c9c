import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import { reportBriefly, runBriefly } from '../../../src/host/brief-programs.ts'
import { posixSpawner, SPAWN_INPUT_BYTES_MAX } from '../../../src/host/posix-spawn.ts'

const shell = (script: string, options: Parameters<typeof runBriefly>[2] = {}) =>
  runBriefly('sh', ['-c', script], { timeoutMs: 60_000, ...options })

describe('programs that are run briefly', { skip: process.platform !== 'linux' && 'looks at /proc' }, () => {
  test('they are started without Node where the system lets us', () => {
    assert.notEqual(posixSpawner(), null)
  })

  test('output, errors and exit codes come back, and signals as shells count them', async () => {
    const ran = await shell('printf one; printf two >&2; exit 3')
    assert.deepEqual(ran, { stdout: 'one', stderr: 'two', exitCode: 3, timedOut: false })
    const long = await shell('head -c 300000 /dev/zero | tr "\\0" x; kill -9 $$')
    assert.deepEqual([long.stdout.length, long.exitCode], [300_000, 137])
  })

  test('they get what they are told: words, input, directory, variables', async () => {
    const script = 'cat; pwd; echo "$1|$OWN|$(test -n "$PATH" && echo path)"; kill -PIPE $$'
    const run = (cleanEnvironment: boolean) =>
      runBriefly('/bin/sh', ['-c', script, 'sh', 'a "b" ü'], {
        ...{ cwd: '/', input: 'in ', cleanEnvironment },
        env: { OWN: '1', ...(cleanEnvironment ? { PATH: '/usr/bin:/bin' } : {}) },
      })
    const expected = { stdout: 'in /\na "b" ü|1|path\n', stderr: '', exitCode: 141, timedOut: false }
    // Node does not heed SIGPIPE, but what it starts has to.
    assert.deepEqual(await run(true), expected)
    assert.deepEqual(await run(false), expected)
    const said = await shell('env', { cleanEnvironment: true, env: { PATH: '/usr/bin:/bin', OWN: '2' } })
    assert.deepEqual(said.stdout.match(/^(OWN|PATH|HOME|USER)=/gm)?.sort(), ['OWN=', 'PATH='])
  })

  test('input that nobody reads, or more than a pipe takes, holds nobody up', async () => {
    const big = 'x'.repeat(4 * SPAWN_INPUT_BYTES_MAX)
    assert.equal((await shell('wc -c', { input: big })).stdout.trim(), String(big.length))
    assert.equal((await shell('exit 4', { input: 'x'.repeat(SPAWN_INPUT_BYTES_MAX) })).exitCode, 4)
  })

  test('one that is missing says so, and one that takes too long is ended', async () => {
    await assert.rejects(runBriefly('no-such-program', []), { code: 'host/program-missing' })
    await assert.rejects(runBriefly('/no/such', []), { code: 'host/program-missing' })
    const late = await shell('trap "" TERM; echo on; while :; do :; done', { timeoutMs: 300 })
    assert.deepEqual([late.timedOut, late.exitCode], [true, 137])
  })

  test('one that nobody wants any more is ended, even while what it started holds its output', async () => {
    const over = new AbortController()
    const ran = shell('sleep 3 & exec sleep 600', { signal: over.signal })
    over.abort(new Error('not wanted'))
    await assert.rejects(ran, /not wanted/)
    await assert.rejects(shell('true', { signal: over.signal }), /not wanted/)
  })

  test('many at once all end, and leave neither children nor descriptors', async () => {
    const count = () => readdirSync('/proc/self/fd').length
    await shell('true')
    const before = count()
    const all = await Promise.all(Array.from({ length: 40 }, (_, index) => shell(`exit ${index}`)))
    assert.deepEqual(
      all.map(({ exitCode }) => exitCode),
      all.map((_, index) => index),
    )
    assert.ok(count() <= before, `${count()} descriptors, ${before} before`)
    const children = readFileSync(`/proc/self/task/${process.pid}/children`, 'utf8')
    assert.equal(children.trim(), '')
    assert.equal(process.listenerCount('SIGCHLD'), 0)
  })

  test('one that goes on by itself is heard to the end of its line, in a session of its own', async () => {
    const options = { cwd: '/', reportTo: 'SAY', timeoutMs: 60_000, env: { PATH: '/usr/bin:/bin' } }
    const session = '$(cut -d " " -f 6 /proc/$$/stat)'
    const script = `[ ${session} = $$ ] && echo ready >&"$SAY"; exec 3>&-; exec sleep 0.1`
    assert.equal(await reportBriefly('sh', ['-c', script], options), 'ready\n')
    assert.equal(await reportBriefly('sh', ['-c', 'exit 1'], options), '')
    const slow = reportBriefly('sh', ['-c', 'exec sleep 600'], { ...options, timeoutMs: 200 })
    await assert.rejects(slow, /cannot be started/)
    await assert.rejects(reportBriefly('no-such-program', [], options), { code: 'host/program-missing' })
  })
})
