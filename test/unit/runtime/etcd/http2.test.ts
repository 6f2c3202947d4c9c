import assert from 'node:assert/strict'
import { connect } from 'node:net'
import { test } from 'node:test'
import { encodeHeaders, HeaderDecoder } from '../../../../src/runtime/etcd/http2/hpack.ts'
import { answerOf, frame, GrpcClient } from '../../../support/grpc-client.ts'
import { until } from '../../../support/until.ts'
import { kv, over, putting, withEndpoint } from './setup.ts'

const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')
const types = {
  data: 0,
  headers: 1,
  reset: 3,
  settings: 4,
  ping: 6,
  goAway: 7,
  windowUpdate: 8,
  continuation: 9,
}

function raw(type: number, flags: number, stream: number, payload: Buffer = Buffer.alloc(0)): Buffer {
  const header = Buffer.alloc(9)
  header.writeUIntBE(payload.length, 0, 3)
  header[3] = type
  header[4] = flags
  header.writeUInt32BE(stream, 5)
  return Buffer.concat([header, payload])
}

interface RawFrame {
  readonly type: number
  readonly flags: number
  readonly stream: number
  readonly payload: Buffer
}

/** A client that sends what it is told, byte for byte. */
class RawClient {
  readonly socket
  #bytes: Buffer = Buffer.alloc(0)
  ended = false
  constructor(path: string) {
    this.socket = connect(path)
    this.socket.on('data', (chunk: Buffer) => {
      this.#bytes = Buffer.concat([this.#bytes, chunk])
    })
    this.socket.on('close', () => {
      this.ended = true
    })
    this.socket.on('error', () => {})
  }

  get frames(): RawFrame[] {
    const frames: RawFrame[] = []
    for (let at = 0; this.#bytes.length - at >= 9; ) {
      const length = this.#bytes.readUIntBE(at, 3)
      frames.push({
        type: this.#bytes[at + 3] ?? 0,
        flags: this.#bytes[at + 4] ?? 0,
        stream: this.#bytes.readUInt32BE(at + 5),
        payload: this.#bytes.subarray(at + 9, at + 9 + length),
      })
      at += 9 + length
    }
    return frames
  }

  see(what: string, look: (frame: RawFrame) => boolean): Promise<RawFrame> {
    return until(what, () => this.frames.find(look) ?? false)
  }
}

const post = (path: string, more: Record<string, string> = {}) =>
  encodeHeaders({
    ':method': 'POST',
    ':scheme': 'http',
    ':path': path,
    'content-type': 'application/grpc',
    ...more,
  })

test('headers are understood as node:http2 encodes them: every byte of the Huffman code, and the table', async () => {
  await withEndpoint(async ({ client }) => {
    for (let round = 0; round < 3; round++) {
      for (let first = 0x21; first < 0x7f; first += 6) {
        const name = Array.from({ length: 6 }, (_, at) =>
          String.fromCharCode(Math.min(first + at, 0x7e)),
        ).join('')
        const { status, message } = await client.call(`/${name}/${name}`, () => {})
        assert.deepEqual(
          [status, message.includes('unknown service') || message.includes('malformed')],
          [12, true],
        )
      }
    }
    const large = 'x'.repeat(5_000)
    for (const value of ['a', 'b', large, 'a']) {
      assert.equal((await client.call(kv('Range'), over('a'), { 'x-some': value })).status, 0)
    }
    assert.equal((await client.call('/etcdserverpb.KV/\u00ff', () => {})).status, 12)
  })
})

test('the examples of the specification decode to what it says', () => {
  const decoder = new HeaderDecoder(1_000)
  const decode = (hex: string) => [...decoder.decode(Buffer.from(hex, 'hex'))]
  const request = [
    [':method', 'GET'],
    [':scheme', 'http'],
    [':path', '/'],
    [':authority', 'www.example.com'],
  ]
  assert.deepEqual(decode('828684418cf1e3c2e5f23a6ba0ab90f4ff'), request)
  assert.deepEqual(decode('828684be5886a8eb10649cbf'), [...request, ['cache-control', 'no-cache']])
  assert.deepEqual(decode('828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf'), [
    [':method', 'GET'],
    [':scheme', 'https'],
    [':path', '/index.html'],
    [':authority', 'www.example.com'],
    ['custom-key', 'custom-value'],
  ])
  const long = { 'grpc-message': 'm'.repeat(127), 'x-long': 'n'.repeat(3_000) }
  assert.deepEqual(Object.fromEntries(new HeaderDecoder(10_000).decode(encodeHeaders(long))), long)
})

test('blocks of headers that break the rules end the connection', () => {
  const decode = (hex: string) => new HeaderDecoder(1_000).decode(Buffer.from(hex, 'hex'))
  assert.throws(() => decode('ff00'), /there is no header 127/, 'an entry that is not there')
  assert.throws(() => decode('80'), /there is no header 0/)
  assert.throws(() => decode('0001'), /cut off/)
  assert.throws(() => decode('00017801'), /cut off/)
  assert.throws(() => decode('ffffffffffff'), /too long/)
  assert.throws(() => decode('3fe2ff7f'), /too large/, 'a table beyond what was agreed')
  assert.throws(() => decode('0001788100'), /padded/, 'padding of zeros')
  assert.throws(() => decode('00017884ffffffff'), /padded/, 'the end of the string inside')
  const one = encodeHeaders({ 'x-some': 'y'.repeat(400) }).toString('hex')
  assert.throws(() => decode(one.repeat(3)), /too many headers/)
})

test('frames may come in any pieces, padded, with priorities and continued headers', async () => {
  await withEndpoint(async ({ path, store }) => {
    const client = new RawClient(path)
    const block = post(kv('Put'))
    const padded = Buffer.concat([Buffer.of(3, 0, 0, 0, 0, 7), block.subarray(0, 5), Buffer.alloc(3)])
    const message = frame(putting('a', 'piecemeal'))
    const bytes = Buffer.concat([
      PREFACE,
      raw(types.settings, 0, 0),
      raw(types.headers, 8 | 32, 1, padded),
      raw(types.continuation, 0, 1, block.subarray(5, 9)),
      raw(types.continuation, 4, 1, block.subarray(9)),
      raw(2, 0, 1, Buffer.alloc(5)),
      raw(types.data, 8, 1, Buffer.concat([Buffer.of(2), message.subarray(0, 7), Buffer.alloc(2)])),
      raw(types.ping, 0, 0, Buffer.from('pingpong')),
      raw(0xaa, 0, 0, Buffer.from('of the future')),
      raw(types.data, 1, 1, message.subarray(7)),
    ])
    for (const byte of bytes) client.socket.write(Buffer.of(byte))
    await client.see('the answer ends', ({ type, flags }) => type === types.headers && (flags & 1) === 1)
    assert.equal(store.get('a')?.value.toString(), 'piecemeal')
    await client.see('the ping is answered', ({ type, flags }) => type === types.ping && flags === 1)
    await client.see(
      'the settings are confirmed',
      ({ type, flags }) => type === types.settings && flags === 1,
    )
    client.socket.destroy()
  })
})

test('an answer keeps to the windows of the client', async () => {
  await withEndpoint(async ({ client: other, path }) => {
    await other.call(kv('Put'), putting('large', Buffer.alloc(100_000, 'v')))
    const client = new RawClient(path)
    const smallWindows = Buffer.from('000400000400', 'hex')
    const request = Buffer.concat([
      raw(types.headers, 4, 1, post(kv('Range'))),
      raw(types.data, 1, 1, frame(over('large'))),
    ])
    client.socket.write(Buffer.concat([PREFACE, raw(types.settings, 0, 0, smallWindows), request]))
    const received = () =>
      client.frames
        .filter(({ type }) => type === types.data)
        .reduce((sum, { payload }) => sum + payload.length, 0)
    const grow = (stream: number, bytes: number) => {
      const payload = Buffer.alloc(4)
      payload.writeUInt32BE(bytes)
      client.socket.write(raw(types.windowUpdate, 0, stream, payload))
    }
    await until('the window of the stream is full', () => received() === 1_024)
    grow(1, 500_000)
    await until('the window of the connection is full', () => received() === 65_535)
    grow(0, 500_000)
    await client.see('the answer ends', ({ type, flags }) => type === types.headers && (flags & 1) === 1)
    assert.ok(received() > 100_000)
    client.socket.destroy()
  })
})

test('what breaks the rules of HTTP/2 ends its connection with the reason, and no other', async () => {
  await withEndpoint(async ({ client: other, path }) => {
    const open = raw(types.headers, 4, 1, post(kv('Put')))
    const broken: [string, Buffer, number][] = [
      ['no preface', Buffer.from('GET / HTTP/1.1\r\nhost: x\r\n\r\n'), 1],
      ['data on a stream that has not begun', raw(types.data, 0, 1, Buffer.from('x')), 1],
      ['an even stream', raw(types.headers, 4, 2, post(kv('Put'))), 1],
      [
        'a frame between headers',
        Buffer.concat([raw(types.headers, 0, 1), raw(types.ping, 0, 0, PREFACE.subarray(0, 8))]),
        1,
      ],
      ['a window of nothing', Buffer.concat([open, raw(types.windowUpdate, 0, 1, Buffer.alloc(4))]), 1],
      ['a window too large', raw(types.windowUpdate, 0, 0, Buffer.from('7fffffff', 'hex')), 3],
      ['a frame too large', raw(types.data, 0, 1, Buffer.alloc(20_000)), 6],
      ['a ping too short', raw(types.ping, 0, 0, Buffer.alloc(7)), 6],
      ['headers that are none', raw(types.headers, 4, 1, Buffer.from('ff00', 'hex')), 9],
      [
        'endless headers',
        Buffer.concat([raw(types.headers, 0, 1), ...Array(100).fill(raw(types.continuation, 0, 1))]),
        11,
      ],
      [
        'endless resets',
        Buffer.concat(
          Array.from({ length: 1_100 }, (_, at) => [
            raw(types.headers, 4, 2 * at + 1, post(kv('Put'))),
            raw(types.reset, 0, 2 * at + 1, Buffer.alloc(4)),
          ]).flat(),
        ),
        11,
      ],
    ]
    for (const [what, bytes, code] of broken) {
      const client = new RawClient(path)
      client.socket.write(
        what === 'no preface' ? bytes : Buffer.concat([PREFACE, raw(types.settings, 0, 0), bytes]),
      )
      const { payload } = await client.see(what, ({ type }) => type === types.goAway)
      assert.equal(payload.readUInt32BE(4), code, what)
      await until(`the connection is over: ${what}`, () => client.ended)
    }
    assert.equal((await other.call(kv('Put'), putting('a', '1'))).status, 0)
  })
})

test('a client that does not grant a byte holds no answers up but its own', async () => {
  await withEndpoint(async ({ client: other, path }) => {
    await other.call(kv('Put'), putting('large', Buffer.alloc(1_000_000, 'v')))
    const client = new RawClient(path)
    client.socket.pause()
    const requests = Array.from({ length: 50 }, (_, at) => [
      raw(types.headers, 4, 2 * at + 1, post(kv('Range'))),
      raw(types.data, 1, 2 * at + 1, frame(over('large'))),
    ])
    client.socket.write(Buffer.concat([PREFACE, raw(types.settings, 0, 0), ...requests.flat()]))
    for (let n = 0; n < 20; n++) assert.equal((await other.call(kv('Range'), over('a'))).status, 0)
    client.socket.destroy()
  })
})

test('a closing server finishes what is under way', async () => {
  let answer: ReturnType<typeof answerOf> | null = null
  await withEndpoint(async ({ path }) => {
    const client = new GrpcClient({ path })
    const stream = client.open(kv('Range'))
    answer = answerOf(stream)
    stream.end(frame(over('a')))
    await until('the request is there', () => stream.pending === false)
  })
  assert.equal((await (answer as unknown as ReturnType<typeof answerOf>)).status, 0)
})
