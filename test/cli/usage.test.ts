/** The command line as people and scripts meet it, without a node. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { after } from 'node:test'
import { MK8S } from '../support/cluster.ts'
import { run } from '../support/kubectl.ts'

const directory = mkdtempSync(join(tmpdir(), 'mk8s-usage-'))
after(() => rmSync(directory, { recursive: true }))
const nowhere = join(directory, 'none')
const mk8s = (...args: string[]) =>
  run(MK8S, args, { env: { MK8S_DATA_DIR: nowhere, XDG_CONFIG_HOME: directory } })

test('help names the commands and hides the daemon', async () => {
  for (const args of [[], ['--help'], ['help']]) {
    const { code, stdout } = await mk8s(...args)
    assert.equal(code, 0)
    assert.match(stdout, /install[\s\S]*uninstall[\s\S]*version/)
    assert.doesNotMatch(stdout, /^ +daemon/m)
  }
})

test('the version is one line everywhere, and runs through a link', async () => {
  const link = join(directory, 'mk8s')
  symlinkSync(MK8S, link)
  const line = /^mk8s v\d+\.\d+\.\d+ \(Kubernetes v1\.36\.\d+\+mk8s\.\d+\.\d+\.\d+\)\n$/
  assert.match((await mk8s('version')).stdout, line)
  assert.match((await run(link, ['--version'])).stdout, line)
})

test('wrong usage exits 2 and says what was meant', async () => {
  const cases: [string[], RegExp][] = [
    [['stauts'], /did you mean mk8s status\?/],
    [['status', '--fromat', 'json'], /did you mean --format\?/],
    [['status', '--format', 'xml'], /pretty, short, yaml, json/],
    [['status', '--timeout', 'soon'], /^Error: --timeout soon is no span of time$/m],
    [
      ['install', '--dry-run', '--runtime', 'dockr', '--api-port', '0'],
      /2 problems[\s\S]*--runtime[\s\S]*--api-port/,
    ],
  ]
  for (const [args, words] of cases) {
    const { code, stderr, stdout } = await mk8s(...args)
    assert.equal(code, 2, args.join(' '))
    assert.match(stderr, words)
    assert.equal(stdout, '')
  }
})

test('a command about the node itself refuses a cluster elsewhere, and an unknown cluster is named', async () => {
  const own = await mk8s('--cluster', 'shop', 'start')
  assert.equal(own.code, 2)
  assert.match(own.stderr, /does not work on a cluster elsewhere[\s\S]*without --cluster/)
  for (const args of [['status'], ['kubectl', 'get', 'pods'], ['enable', 'dns'], ['config']]) {
    const { code, stderr } = await mk8s('--cluster', 'shop', ...args)
    assert.equal(code, 2, args.join(' '))
    assert.match(stderr, /there is no cluster "shop"/)
  }
})

test('without a node, commands say so with 4, and uninstall has nothing to do', async () => {
  for (const command of ['status', 'start', 'stop', 'config', 'kubectl', 'reset']) {
    const { code, stderr } = await mk8s(command)
    assert.equal(code, 4, command)
    assert.match(stderr, /code {3}node\/not-installed/)
  }
  assert.equal((await mk8s('uninstall')).code, 0)
})

test('with --json an error is one object on standard output', async () => {
  const { code, stdout, stderr } = await mk8s('status', '--json')
  assert.deepEqual([code, stderr], [4, ''])
  assert.equal(JSON.parse(stdout).error.code, 'node/not-installed')
})

test('a wait ends when its time is over', async () => {
  const { code, stderr } = await mk8s('status', '--wait-ready', '--timeout', '0')
  assert.equal(code, 5)
  assert.match(stderr, /node\/not-ready/)
})
