import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { systemClock } from '../../../../../src/base/clock.ts'
import { silentLog } from '../../../../../src/base/log.ts'
import {
  type PeerAddress,
  type PeerCredentials,
  PeerLinks,
} from '../../../../../src/runtime/store/peers/links.ts'
import type { PeerMessage } from '../../../../../src/runtime/store/replica.ts'
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

  constructor(member: number, credentials: PeerCredentials, addresses: Map<number, PeerAddress[]>) {
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
      clock: systemClock,
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
