import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'node:test'
import { systemOf } from '../../../../src/host/system.ts'
import { listenForWishes, tellDaemon } from '../../../../src/host/windows/daemon-pipe.ts'

const skip = systemOf(process.platform) === 'windows' ? 'the path is one of a unix socket' : false

test('a daemon hears that it is to stop or to start again, and nothing else', { skip }, async () => {
  const directory = mkdtempSync(join(tmpdir(), 'mk8s-pipe-'))
  const path = join(directory, 'daemon')
  const heard: string[] = []
  assert.equal(await tellDaemon(path, 'stop'), false)
  const server = listenForWishes(path, {
    onWish: wish => heard.push(wish),
    onError: error => assert.fail(error),
  })
  try {
    await once(server, 'listening')
    assert.equal(await tellDaemon(path, 'restart'), true)
    assert.equal(await tellDaemon(path, 'stop'), true)
    const stranger = connect(path)
    stranger.write('explode\n')
    assert.equal(String((await once(stranger, 'data'))[0]), 'unknown\n')
    assert.deepEqual(heard, ['restart', 'stop'])
  } finally {
    server.close()
    rmSync(directory, { recursive: true, force: true })
  }
})
