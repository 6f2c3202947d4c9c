import assert from 'node:assert/strict'
import test from 'node:test'
import { readInvocation } from '../../../src/cli/invocation.ts'

const ids = ['install', 'status', 'kubectl', 'options:show']
const read = (line: string) => readInvocation(line === '' ? [] : line.split(' '), ids)

test('everything behind kubectl is its own, global flags stand before it', () => {
  const { id, args, dataDir, json, wantsHelp } = read('--data-dir /d kubectl get pods --json --help -o json')
  assert.deepEqual([id, dataDir, json, wantsHelp], ['kubectl', '/d', false, false])
  assert.deepEqual(args, ['get', 'pods', '--json', '--help', '-o', 'json'])
})

test('global flags before a command reach it', () => {
  assert.deepEqual(read('--data-dir=/d --debug status --json').args, ['--data-dir=/d', '--debug', '--json'])
})

test('words make a command of two parts, a topic alone asks for help', () => {
  assert.deepEqual([read('options show --json').id, read('options show').known], ['options:show', true])
  assert.deepEqual([read('options').wantsHelp, read('options').known], [true, true])
})

test('help can be asked for in every way, a version too', () => {
  for (const line of ['help status', 'status --help', 'status -h', '--help status']) {
    assert.deepEqual([read(line).id, read(line).wantsHelp], ['status', true], line)
  }
  assert.equal(read('').id, '')
  assert.equal(read('--version').wantsVersion, true)
})

test('errors are JSON when the output was asked for as JSON', () => {
  for (const line of ['status --json', 'status --format json', 'status --format=json', '--json status']) {
    assert.equal(read(line).json, true, line)
  }
  assert.equal(read('status json').json, false)
  assert.equal(read('instal').known, false)
})

test('a cluster can be named before and behind a command, but not behind kubectl', () => {
  assert.equal(read('--cluster shop kubectl get pods').cluster, 'shop')
  assert.equal(read('status --cluster=shop').cluster, 'shop')
  assert.equal(read('--cluster a status --cluster b').cluster, 'b')
  assert.equal(read('kubectl config --cluster x').cluster, undefined)
  assert.equal(read('status').cluster, undefined)
})
