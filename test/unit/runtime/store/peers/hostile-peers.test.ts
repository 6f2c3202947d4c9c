/** Who holds a peer's certificate and speaks nonsense is cut off, costs little, and is told of once. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type TestContext, test } from 'node:test'
import { connect } from 'node:tls'
import { systemClock } from '../../../../../src/base/clock.ts'
import { createLog } from '../../../../../src/base/log.ts'
import { seededRandom } from '../../../../../src/base/random.ts'
import { encodeHello } from '../../../../../src/runtime/store/peers/hello.ts'
import { PeerLinks } from '../../../../../src/runtime/store/peers/links.ts'
import type { PeerMessage } from '../../../../../src/runtime/store/peers/peer-network.ts'
import { encodeMessage } from '../../../../../src/runtime/store/peers/wire.ts'
import { createPeerAuthority, identityOf, issuePeer } from './peer-credentials.ts'

const heartbeat = (from: number, to: number): PeerMessage => ({
  type: 'raft',
  message: { type: 'heartbeat', from, to, term: 1, commit: 2, read: 3, electionTicks: 30, sequence: 1 },
})

async function listener(t: TestContext) {
  const authority = await createPeerAuthority()
  const lines: string[] = []
  const received: PeerMessage[] = []
  const links = new PeerLinks({
    member: 1,
    credentials: await issuePeer(authority, 1),
    listen: { host: '127.0.0.1', port: 0 },
    addressesOf: () => [],
    identityOf,
    clock: systemClock,
    log: createLog({ level: 'info', write: line => lines.push(line), now: () => 0 }),
    onMessage: (_from, message) => received.push(message),
    onOpened: () => {},
    onClosed: () => {},
  })
  const port = await links.listen()
  t.after(() => links.close())
  const { key, certificate: cert, authority: ca } = await issuePeer(authority, 2)
  const options = { host: '127.0.0.1', port, key, cert, ca, checkServerIdentity: () => undefined }
  /** Says all of it and waits for the end of the connection. */
  const say = async (...parts: readonly Uint8Array[]) => {
    const socket = connect(options)
    socket.on('error', () => {})
    await once(socket, 'secureConnect')
    socket.resume()
    for (const part of parts) socket.write(part)
    await once(socket, 'close')
  }
  return { lines, received, say }
}

const frameOf = (length: number) => {
  const bytes = Buffer.alloc(8)
  bytes.writeUInt32LE(length, 0)
  return bytes
}

test('nonsense ends its connection, and is told of once', async t => {
  const { lines, received, say } = await listener(t)
  const random = seededRandom(99)
  const hello = encodeHello(2, 'messages')
  await say(encodeHello(2, 'messages'), frameOf(0xffff_ffff))
  await say(hello, encodeMessage(heartbeat(3, 1)))
  await say(hello, encodeMessage(heartbeat(2, 7)))
  for (let round = 0; round < 20; round++)
    await say(hello, random.bytes(8 + Math.floor(random.float() * 400)), frameOf(1))
  assert.equal(received.length, 0)
  assert.equal(lines.filter(line => line.includes('"member":2')).length, 1, lines.join(''))
  for (let round = 0; round < 5; round++) await say(random.bytes(20))
  await say(encodeHello(5, 'messages'))
  assert.equal(lines.filter(line => line.includes('"member":0')).length, 1, lines.join(''))
  assert.equal(lines.length, 2)
})

test('who proves to be nobody in time is not waited for', async t => {
  const { say, lines } = await listener(t)
  await say(encodeHello(2, 'messages').subarray(0, 19))
  assert.deepEqual(lines, [])
})
