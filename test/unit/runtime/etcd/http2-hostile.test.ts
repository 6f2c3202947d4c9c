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

test('a client that makes watches and reads no answer is cut off', async () => {
  await withEndpoint(async ({ client, path }) => {
    // A watch of the key `a` each, in messages of gRPC.
    const create = Buffer.from([0, 0, 0, 0, 5, 0x0a, 3, 0x0a, 1, 0x61])
    const messages = raw(0, 0, 1, Buffer.concat(Array.from({ length: 1_000 }, () => create)))
    const open = raw(1, END_HEADERS, 1, call('/etcdserverpb.Watch/Watch'))
    const next = (turn: number) => (turn === 0 ? Buffer.concat([open, messages]) : messages)
    const before = process.memoryUsage().rss
    const sent = await sendUntilClosed(path, next, 64 * 1024 * 1024)
    const grownBytes = process.memoryUsage().rss - before
    assert.ok(sent < 64 * 1024 * 1024, `cut off after ${sent} bytes`)
    assert.ok(grownBytes < 256 * 1024 * 1024, `${grownBytes} bytes more`)
    await client.call(kv('Put'), putting('a', '1'))
  })
})

/** What the server says to a client that begins with these bytes, until it closes or `enough` of it. */
async function answersTo(
  path: string,
  bytes: Buffer,
  enough: (frames: Frame[]) => boolean,
): Promise<Frame[]> {
  const socket = connect(path)
  const chunks: Buffer[] = []
  let closed = false
  socket.on('error', () => {})
  socket.on('data', (chunk: Buffer) => chunks.push(chunk))
  socket.on('close', () => {
    closed = true
  })
  socket.write(Buffer.concat([PREFACE, SETTINGS, bytes]))
  const frames = () => framesIn(Buffer.concat(chunks))
  await until('the answer', () => closed || enough(frames()))
  socket.destroy()
  return frames()
}

interface Frame {
  readonly type: number
  readonly flags: number
  readonly stream: number
  readonly payload: Buffer
}

function framesIn(bytes: Buffer): Frame[] {
  const frames: Frame[] = []
  for (let at = 0; at + 9 <= bytes.length; ) {
    const end = at + 9 + bytes.readUIntBE(at, 3)
    if (end > bytes.length) break
    const [type, flags] = [bytes[at + 3] ?? 0, bytes[at + 4] ?? 0]
    frames.push({ type, flags, stream: bytes.readUInt32BE(at + 5), payload: bytes.subarray(at + 9, end) })
    at = end
  }
  return frames
}

const GO_AWAY = 7
const PING = 6
const goodbye = (frames: Frame[]) => frames.find(({ type }) => type === GO_AWAY)?.payload.readUInt32BE(4)
/** A request that is refused before its body comes: whatever follows is late. */
const refused = raw(1, END_HEADERS | END_STREAM, 1, call('/nobody/knows'))
const data = (bytes: number) => raw(0, 0, 1, Buffer.alloc(bytes))
const ping = raw(PING, 0, 0, Buffer.alloc(8, 7))
const isAnswered = (frames: Frame[]) => frames.some(({ type }) => type === PING || type === GO_AWAY)

test('what crosses with the end of a stream is ignored, up to the window that was granted', async () => {
  await withEndpoint(async ({ path }) => {
    const late = Array.from({ length: 64 }, () => data(16 * 1024))
    const ends = [raw(0, END_STREAM, 1), raw(1, END_HEADERS | END_STREAM, 1, call('/trailers'))]
    const frames = await answersTo(path, Buffer.concat([refused, ...late, ...ends, ping]), isAnswered)
    assert.equal(goodbye(frames), undefined)
  })
})

test('a client that sends more than its window on a stream that is over is cut off', async () => {
  await withEndpoint(async ({ path }) => {
    const late = [...Array.from({ length: 64 }, () => data(16 * 1024)), data(1)]
    const frames = await answersTo(path, Buffer.concat([refused, ...late, ping]), isAnswered)
    assert.equal(goodbye(frames), 3, 'FLOW_CONTROL_ERROR')
  })
})

test('a client that goes on and on with empty frames on a stream that is over is cut off', async () => {
  await withEndpoint(async ({ path }) => {
    const late = Array.from({ length: 1_001 }, () => data(0))
    const frames = await answersTo(path, Buffer.concat([refused, ...late, ping]), isAnswered)
    assert.equal(goodbye(frames), 11, 'ENHANCE_YOUR_CALM')
  })
})
