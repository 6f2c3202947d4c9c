import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import test from 'node:test'
import { probePort } from '../../../src/host/port-holder.ts'

const HOLD = "require('net').createServer().listen(+process.argv[1], '127.77.7.8', () => console.log('up'))"

test('a taken port is seen with the process that holds it, and is free afterwards', async () => {
  const server = createServer()
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const taken = await probePort('api', '127.0.0.1', port)
  assert.equal(taken.state, 'taken')
  assert.match(taken.holder ?? '', new RegExp(`\\(process ${process.pid}\\)`))
  await new Promise(resolve => server.close(resolve))
  assert.equal((await probePort('api', '127.0.0.1', port)).state, 'free')
})

test('the holder named is the one on that address, not on another one', async () => {
  const mine = createServer()
  const other = createServer()
  await new Promise<void>(resolve => mine.listen(0, '::1', resolve))
  const { port } = mine.address() as AddressInfo
  await new Promise<void>(resolve => other.listen(port, '127.77.7.7', resolve))
  assert.match((await probePort('api', '::1', port)).holder ?? '', new RegExp(`${process.pid}`))
  const child = spawn(process.execPath, ['-e', HOLD, String(port)], { stdio: ['ignore', 'pipe', 'ignore'] })
  await once(child.stdout, 'data')
  const held = await probePort('api', '127.77.7.8', port)
  assert.match(held.holder ?? '', new RegExp(`\\(process ${child.pid}\\)`))
  child.kill()
  await new Promise(resolve => mine.close(resolve))
  await new Promise(resolve => other.close(resolve))
})

test('an address of another machine is no address to listen on', async () => {
  assert.equal((await probePort('api', '192.0.2.1', 16443)).state, 'no-such-address')
})
