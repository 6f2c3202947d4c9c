import assert from 'node:assert/strict'
import { type AddressInfo, createServer } from 'node:net'
import test from 'node:test'
import { probePort } from '../../../src/host/port-holder.ts'

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

test('an address of another machine is no address to listen on', async () => {
  assert.equal((await probePort('api', '192.0.2.1', 16443)).state, 'no-such-address')
})
