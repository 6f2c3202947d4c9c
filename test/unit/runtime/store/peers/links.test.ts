import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer as createTcpServer, type Socket } from 'node:net'
import { type TestContext, test } from 'node:test'
import { createServer as createTlsServer, type TLSSocket, connect as tlsConnect } from 'node:tls'
import { type Clock, systemClock } from '../../../../../src/base/clock.ts'
import { silentLog } from '../../../../../src/base/log.ts'
import { createEntry, entryTypes } from '../../../../../src/runtime/raft/entry.ts'
import { encodeHello } from '../../../../../src/runtime/store/peers/hello.ts'
import { PeerLinks } from '../../../../../src/runtime/store/peers/links.ts'
import type {
  PeerAddress,
  PeerCredentials,
  PeerMessage,
} from '../../../../../src/runtime/store/peers/peer-network.ts'
import { createPeerAuthority, identityOf, issuePeer } from './peer-credentials.ts'

const heartbeat = (from: number, to: number): PeerMessage => ({
  type: 'raft',
  message: { type: 'heartbeat', from, to, term: 1, commit: 2, read: 3, electionTicks: 30, sequence: 1 },
})

class Peer {
  readonly links: PeerLinks
  readonly received: { from: number; message: PeerMessage }[] = []
  readonly closed: number[] = []
  #changed = Promise.withResolvers<void>()

  constructor(
    member: number,
    credentials: PeerCredentials,
    addresses: Map<number, PeerAddress[]>,
    clock: Clock = systemClock,
  ) {
    const notice = () => {
      this.#changed.resolve()
      this.#changed = Promise.withResolvers()
    }
    this.links = new PeerLinks({
      member,
      credentials,
      listen: { host: '127.0.0.1', port: 0 },
      addressesOf: id => addresses.get(id) ?? [],
      identityOf,
      clock,
      log: silentLog,
      onMessage: (from, message) => {
        this.received.push({ from, message })
        notice()
      },
      onOpened: () => {},
      onClosed: peer => {
        this.closed.push(peer)
        notice()
      },
    })
  }

  async until(done: () => boolean): Promise<void> {
    while (!done()) await this.#changed.promise
  }
}

/** Sends until it arrives: what is sent before the link stands is lost. */
async function sendUntil(
  from: Peer,
  to: number,
  message: PeerMessage,
  arrived: Promise<void>,
): Promise<void> {
  const sending = setInterval(() => from.links.send(to, message), 5)
  await arrived.finally(() => clearInterval(sending))
}

async function pair(t: TestContext) {
  const authority = await createPeerAuthority()
  const addresses = new Map<number, PeerAddress[]>()
  const one = new Peer(1, await issuePeer(authority, 1), addresses)
  const two = new Peer(2, await issuePeer(authority, 2), addresses)
  t.after(() => Promise.all([one.links.close(), two.links.close()]))
  const port = await two.links.listen()
  await one.links.listen()
  return { authority, addresses, one, two, port }
}

test('a message arrives over mutual TLS, also when the first address is wrong', async t => {
  const { addresses, one, two, port } = await pair(t)
  addresses.set(2, [
    { host: '127.0.0.1', port: 1 },
    { host: '127.0.0.1', port },
  ])
  await sendUntil(
    one,
    2,
    heartbeat(1, 2),
    two.until(() => two.received.length > 0),
  )
  assert.deepEqual(two.received[0], { from: 1, message: heartbeat(1, 2) })
})

test('who has no certificate of the peer authority, or that of another member, is not heard', async t => {
  const { authority, addresses, two, port } = await pair(t)
  addresses.set(2, [{ host: '127.0.0.1', port }])
  const foreign = new Peer(1, await issuePeer(await createPeerAuthority(), 1), addresses)
  const liar = new Peer(1, await issuePeer(authority, 3), addresses)
  const honest = new Peer(4, await issuePeer(authority, 4), addresses)
  t.after(() => Promise.all([foreign.links.close(), liar.links.close(), honest.links.close()]))
  await Promise.all([foreign.links.listen(), liar.links.listen(), honest.links.listen()])
  const heard = two.until(() => two.received.some(({ from }) => from === 4))
  const others = setInterval(() => {
    foreign.links.send(2, heartbeat(1, 2))
    liar.links.send(2, heartbeat(1, 2))
  }, 5)
  await sendUntil(honest, 2, heartbeat(4, 2), heard).finally(() => clearInterval(others))
  assert.ok(two.received.every(({ from }) => from === 4))
})

test('a link that closes is noticed at once, on both sides', async t => {
  const { addresses, one, two, port } = await pair(t)
  addresses.set(2, [{ host: '127.0.0.1', port }])
  await sendUntil(
    one,
    2,
    heartbeat(1, 2),
    two.until(() => two.received.length > 0),
  )
  await two.links.close()
  await one.until(() => one.closed.includes(2))
  await two.until(() => two.closed.includes(1))
})

/** A member that says hello in its own way; resolves with the answer, or null when the connection is closed. */
async function greet(port: number, { key, certificate, authority }: PeerCredentials, hello: Buffer) {
  const socket = tlsConnect({
    host: '127.0.0.1',
    port,
    key,
    cert: certificate,
    ca: authority,
    checkServerIdentity: () => undefined,
  })
  socket.on('error', () => {})
  socket.once('secureConnect', () => socket.write(hello))
  const { promise, resolve } = Promise.withResolvers<number | null>()
  socket.once('data', (bytes: Buffer) => resolve(bytes.readUInt8(0)))
  socket.once('close', () => resolve(null))
  return promise.finally(() => socket.destroy())
}

test('members speak the latest version that both know, or not at all', async t => {
  const { authority, port } = await pair(t)
  const credentials = await issuePeer(authority, 3)
  const hello = (lowest: number, highest: number) => {
    const bytes = encodeHello(3, 'messages')
    bytes.writeUInt8(lowest, 8)
    bytes.writeUInt8(highest, 9)
    return bytes
  }
  assert.equal(await greet(port, credentials, hello(1, 9)), 1)
  assert.equal(await greet(port, credentials, hello(2, 9)), null)
  assert.equal(await greet(port, credentials, Buffer.alloc(20)), null)
})

/** A peer that takes the connection and then reads nothing any more. */
async function createDeafPeer(t: TestContext, { key, certificate, authority }: PeerCredentials) {
  const options = { key, cert: certificate, ca: authority, requestCert: true }
  const sockets: TLSSocket[] = []
  const server = createTlsServer(options, socket => {
    sockets.push(socket)
    socket.on('error', () => {})
    socket.once('data', () => {
      socket.pause()
      socket.write(Buffer.of(1))
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return (server.address() as AddressInfo).port
}

test('a peer that reads nothing costs bounded memory, slows nobody, and is dialled anew', async t => {
  const authority = await createPeerAuthority()
  const addresses = new Map<number, PeerAddress[]>()
  let ahead = 0
  const clock: Clock = { ...systemClock, monotonic: () => systemClock.monotonic() + ahead }
  const one = new Peer(1, await issuePeer(authority, 1), addresses, clock)
  const two = new Peer(2, await issuePeer(authority, 2), addresses)
  t.after(() => Promise.all([one.links.close(), two.links.close()]))
  addresses.set(2, [{ host: '127.0.0.1', port: await two.links.listen() }])
  addresses.set(3, [{ host: '127.0.0.1', port: await createDeafPeer(t, await issuePeer(authority, 3)) }])
  await one.links.listen()
  one.links.connectTo([2, 3])
  const proposals = [createEntry(entryTypes.noOp, Buffer.alloc(1024 * 1024), { index: 0, term: 0 }).bytes]
  await sendUntil(
    one,
    2,
    heartbeat(1, 2),
    two.until(() => two.received.length > 0 && one.links.reaches(3)),
  )
  for (let n = 0; n < 40; n++) one.links.send(3, { type: 'forward', proposals })
  assert.ok(one.links.queuedBytes(3) < 20 * 1024 * 1024, `${one.links.queuedBytes(3)} bytes wait`)
  const before = two.received.length
  one.links.send(2, heartbeat(1, 2))
  await two.until(() => two.received.length > before)
  assert.deepEqual(one.closed, [])
  ahead = 3_000
  one.links.send(3, heartbeat(1, 3))
  await one.until(() => one.closed.includes(3))
})

/** Passes everything on, but stops a connection that has carried too much, as a slow line would. */
async function createSlowLine(t: TestContext, to: number) {
  const held: Socket[] = []
  const sockets: Socket[] = []
  const server = createTcpServer(near => {
    const far = connect(to, '127.0.0.1')
    sockets.push(near, far)
    let carried = 0
    near.on('data', bytes => {
      far.write(bytes)
      carried += bytes.length
      if (carried < 100_000 || held.includes(near)) return
      near.pause()
      held.push(near)
    })
    far.pipe(near)
    for (const socket of [near, far]) socket.on('error', () => {})
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  return { port, release: () => held.forEach(socket => void socket.resume()) }
}

test('heartbeats do not wait behind a piece of a snapshot', async t => {
  const { addresses, one, two, port } = await pair(t)
  const line = await createSlowLine(t, port)
  addresses.set(2, [{ host: '127.0.0.1', port: line.port }])
  const snapshot = { id: 1, index: 1, term: 1, configuration: { voters: [1], outgoing: [], learners: [2] } }
  const chunk = { snapshot, offset: 0, data: Buffer.alloc(1024 * 1024), last: true }
  const pieces = () =>
    two.received.filter(({ message }) => message.type === 'raft' && message.message.type === 'snapshot')
  one.links.send(2, { type: 'raft', message: { type: 'snapshot', from: 1, to: 2, term: 1, chunk } })
  await sendUntil(
    one,
    2,
    heartbeat(1, 2),
    two.until(() => two.received.length > 20),
  )
  assert.equal(pieces().length, 0)
  line.release()
  await two.until(() => pieces().length === 1)
})

test('links end at once although somebody is still shaking hands', async () => {
  const authority = await createPeerAuthority()
  const peer = new Peer(1, await issuePeer(authority, 1), new Map())
  const port = await peer.links.listen()
  const silent = connect({ host: '127.0.0.1', port })
  await once(silent, 'connect')
  const ended = once(silent, 'close')
  silent.on('error', () => {}).resume()
  const begun = performance.now()
  await peer.links.close()
  await ended
  assert.ok(performance.now() - begun < 1_000)
})
