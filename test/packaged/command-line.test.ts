/** The command line suite, run with the packaged executable in place of the sources; and what it says is the same. */
import assert from 'node:assert/strict'
import { rmSync } from 'node:fs'
import test, { after, before, describe } from 'node:test'
import { MK8S, temporaryDirectory } from '../support/cluster.ts'
import { madeExecutable, whyNoExecutable } from '../support/executable.ts'
import { run } from '../support/kubectl.ts'

const SUITE = ['usage', 'lifecycle', 'inspect'].map(name => `test/cli/${name}.test.ts`)

describe('the command line of the executable', { skip: whyNoExecutable }, () => {
  const home = temporaryDirectory()
  let program = ''
  before(async () => {
    program = await madeExecutable('linux-x64')
  })
  after(() => rmSync(home, { recursive: true, force: true }))

  test('passes the tests of the command line', async () => {
    const started = ['-u', 'NODE_TEST_CONTEXT', process.execPath, '--test', '--test-concurrency=2', ...SUITE]
    const { code, stdout } = await run('env', started, {
      env: { MK8S_TEST_PROGRAM: program },
      timeoutMs: 540_000,
    })
    assert.equal(code, 0, stdout)
    assert.match(stdout, /^\W*tests [3-9]\d$/m)
    assert.match(stdout, /^\W*skipped [01]$/m)
  })

  test('has the same help, completion and man page as the sources', async () => {
    const env = { HOME: home, MK8S_DATA_DIR: `${home}/none` }
    const said = async (file: string, args: readonly string[]) => {
      const { code, stdout, stderr } = await run(file, args, { env })
      assert.equal(code, 0, stderr)
      return stdout.replace(/^ {2}mk8s\/.*$/m, '')
    }
    const calls = [
      ...['bash', 'zsh', 'fish', 'powershell', 'man'].map(shell => ['completion', shell]),
      ['--help'],
      ['install', '--help'],
      ['backup', 'schedule', '--help'],
      ['version', '--json'],
    ]
    for (const args of calls) assert.equal(await said(program, args), await said(MK8S, args), args.join(' '))
  })
})
