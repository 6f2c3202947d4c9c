/** Clients that mean harm: whatever they send, the endpoint goes on, and what they make it keep is bounded. */
import assert from 'node:assert/strict'
import { connect, type Socket } from 'node:net'
import { test } from 'node:test'
import { seededRandom } from '../../../../src/base/random.ts'
import { encodeHeaders } from '../../../../src/runtime/etcd/http2/hpack.ts'
import { until } from '../../../support/until.ts'
import { kv, putting, withEndpoint } from './setup.ts'

const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')
const SETTINGS = raw(4, 0, 0)
const END_HEADERS = 4
const END_STREAM = 1

function raw(type: number, flags: number, stream: number, payload: Buffer = Buffer.alloc(0)): Buffer {
  const header = Buffer.alloc(9)
  header.writeUIntBE(payload.length, 0, 3)
  header[3] = type
  header[4] = flags
  header.writeUInt32BE(stream, 5)
  return Buffer.concat([header, payload])
}

const call = (path: string, type = 'application/grpc') =>
  encodeHeaders({ ':method': 'POST', ':scheme': 'http', ':path': path, 'content-type': type })

/** It never reads a byte. */
function deafClient(path: string): { readonly socket: Socket; readonly isClosed: () => boolean } {
  const socket = connect(path)
  let closed = false
  socket.on('error', () => {
    closed = true
  })
  socket.on('close', () => {
    closed = true
  })
  socket.write(Buffer.concat([PREFACE, SETTINGS]))
  return { socket, isClosed: () => closed }
}

/** Sends the same bytes until the server has enough of it, or has not for too long. */
async function sendUntilClosed(
  path: string,
  next: (turn: number) => Buffer,
  bytesMax: number,
): Promise<number> {
  const { socket, isClosed } = deafClient(path)
  let sent = 0
  for (let turn = 0; !isClosed() && sent < bytesMax; turn++) {
    const bytes = next(turn)
    sent += bytes.length
    if (!socket.write(bytes)) {
      await until('room or the end', () => isClosed() || socket.writableLength < 64 * 1024)
    }
    await new Promise<void>(resolve => setImmediate(resolve))
  }
  if (sent < bytesMax) await until('the end of the connection', isClosed)
  socket.destroy()
  return sent
}

test('frames at random end their own connection at worst', async () => {
  await withEndpoint(async ({ client, path }) => {
    const random = seededRandom(4711)
    const number = (below: number) => Math.floor(random.float() * below)
    const valid = call('/etcdserverpb.Watch/Watch')
    for (let round = 0; round < 150; round++) {
      const socket = connect(path)
      socket.on('error', () => {})
      socket.resume()
      const closed = new Promise<void>(resolve => socket.once('close', () => resolve()))
      const frames = Array.from({ length: 1 + number(40) }, () => {
        const payload = number(4) === 0 ? valid : Buffer.from(random.bytes(number(64)))
        return raw(number(11), number(256), number(8), payload)
      })
      socket.write(Buffer.concat([PREFACE, SETTINGS, ...frames]))
      socket.end(Buffer.from(random.bytes(number(32))))
      await closed
    }
    await client.call(kv('Put'), putting('a', '1'))
  })
})

test('a client that asks and asks and reads no refusal is cut off', async () => {
  await withEndpoint(async ({ client, path }) => {
    const block = call('/', 'text/plain')
    const next = (turn: number) =>
      Buffer.concat(
        Array.from({ length: 500 }, (_, at) =>
          raw(1, END_HEADERS | END_STREAM, 2 * (turn * 500 + at) + 1, block),
        ),
      )
    const sent = await sendUntilClosed(path, next, 256 * 1024 * 1024)
    assert.ok(sent < 256 * 1024 * 1024, `cut off after ${sent} bytes`)
    await client.call(kv('Put'), putting('a', '1'))
  })
})

test('a client that makes watches and reads no answer is cut off, or ignored, and costs little memory', async () => {
  await withEndpoint(async ({ client, path }) => {
    // A watch of the key `a` each, in messages of gRPC.
    const create = Buffer.from([0, 0, 0, 0, 5, 0x0a, 3, 0x0a, 1, 0x61])
    const messages = raw(0, 0, 1, Buffer.concat(Array.from({ length: 1_000 }, () => create)))
    const open = raw(1, END_HEADERS, 1, call('/etcdserverpb.Watch/Watch'))
    const next = (turn: number) => (turn === 0 ? Buffer.concat([open, messages]) : messages)
    const before = process.memoryUsage().rss
    await sendUntilClosed(path, next, 64 * 1024 * 1024)
    const grownBytes = process.memoryUsage().rss - before
    assert.ok(grownBytes < 256 * 1024 * 1024, `${grownBytes} bytes more`)
    await client.call(kv('Put'), putting('a', '1'))
  })
})
