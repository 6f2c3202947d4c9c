/** The SPDY/3.1 codec and connection, against headers that zlib compressed, torn at every byte. */
import assert from 'node:assert/strict'
import { Duplex, duplexPair } from 'node:stream'
import test from 'node:test'
import { constants, createDeflate, createInflate } from 'node:zlib'
import { systemClock } from '../../../../../src/base/clock.ts'
import { SpdyConnection } from '../../../../../src/runtime/kubelet/streaming/spdy/connection.ts'
import {
  encodeControl,
  encodeDataHead,
  encodePair,
  encodeSynReply,
  encodeSynStream,
  FRAME,
  type Frame,
  FrameParser,
} from '../../../../../src/runtime/kubelet/streaming/spdy/frames.ts'
import {
  decodePairs,
  HeaderDecoder,
  HeaderEncoder,
  SPDY_DICTIONARY,
} from '../../../../../src/runtime/kubelet/streaming/spdy/header-block.ts'
import type { SpdyStream } from '../../../../../src/runtime/kubelet/streaming/spdy/stream.ts'

const after = (delayMs: number, callback: () => void) => systemClock.after(delayMs, callback)

/** A compressor as other programs have it: one deflate stream, flushed behind every block. */
function realCompressor() {
  const deflate = createDeflate({ dictionary: SPDY_DICTIONARY })
  return (headers: ReadonlyMap<string, string>): Promise<Buffer> =>
    new Promise(resolve => {
      const parts: Buffer[] = []
      const number = (value: number) => {
        const buffer = Buffer.alloc(4)
        buffer.writeUInt32BE(value)
        return buffer
      }
      parts.push(number(headers.size))
      for (const [name, value] of headers) {
        parts.push(number(name.length), Buffer.from(name), number(value.length), Buffer.from(value))
      }
      deflate.write(Buffer.concat(parts))
      deflate.flush(constants.Z_SYNC_FLUSH, () => {
        const out: Buffer[] = []
        for (let piece = deflate.read(); piece !== null; piece = deflate.read()) out.push(piece)
        resolve(Buffer.concat(out))
      })
    })
}

const headersOf = (type: string) =>
  new Map([
    ['streamtype', type],
    ['port', '8080'],
    ['requestid', '7'],
  ])

/** Data joined per stream, so that different tears compare equal. */
function normalize(frames: readonly Frame[]) {
  const result: { key: string; data: Buffer; isFin?: boolean }[] = []
  for (const frame of frames) {
    if (frame.kind === 'control') {
      result.push({ key: `control ${frame.type} ${frame.flags}`, data: Buffer.from(frame.body) })
      continue
    }
    const key = `data ${frame.streamId}`
    const last = result.at(-1)
    if (last?.key === key && last.isFin === false) {
      last.data = Buffer.concat([last.data, frame.data])
      last.isFin = frame.isFin
    } else result.push({ key, data: Buffer.from(frame.data), isFin: frame.isFin })
  }
  return result
}

test('the dictionary is the one of the protocol', () => {
  let [low, high] = [1, 0]
  for (const byte of SPDY_DICTIONARY) {
    low = (low + byte) % 65521
    high = (high + low) % 65521
  }
  assert.equal(((high * 65536 + low) >>> 0).toString(16), 'e3c6a7c2')
})

test('frames are the same wherever the bytes are torn', () => {
  const data = Buffer.from('some data that is longer than a head')
  const bytes = Buffer.concat([
    encodeSynStream(1, Buffer.from('block')),
    encodeDataHead(1, data.length, false),
    data,
    encodePair(FRAME.windowUpdate, 1, 4096),
    encodeDataHead(3, 0, true),
    encodeSynReply(2, Buffer.from('other block')),
    encodeDataHead(1, 3, true),
    Buffer.from('end'),
    encodeControl(FRAME.ping, 0, Buffer.from([0, 0, 0, 1])),
  ])
  const whole = normalize(new FrameParser().push(bytes))
  assert.equal(whole.length, 7)
  for (let at = 1; at < bytes.length; at += 1) {
    const parser = new FrameParser()
    const torn = [...parser.push(bytes.subarray(0, at)), ...parser.push(bytes.subarray(at))]
    assert.deepEqual(normalize(torn), whole, `torn at ${at}`)
  }
  const parser = new FrameParser()
  const single = [...bytes].flatMap(byte => parser.push(Buffer.from([byte])))
  assert.deepEqual(normalize(single), whole)
})

test('bytes that are no SPDY, and frames that are too large, are refused', () => {
  assert.throws(() => new FrameParser().push(Buffer.from([0x80, 2, 0, 1, 0, 0, 0, 0])), RangeError)
  assert.throws(() => new FrameParser().push(Buffer.from([0x80, 3, 0, 1, 0, 0xff, 0xff, 0xff])), RangeError)
})

test('headers that zlib compressed are read, block after block', async () => {
  const compress = realCompressor()
  const decoder = new HeaderDecoder()
  for (const type of ['error', 'data', 'stdin', 'error']) {
    assert.deepEqual(await decoder.decode(await compress(headersOf(type))), headersOf(type))
  }
  assert.equal(await decoder.decode(Buffer.from('nonsense')), null)
  assert.equal(await decoder.decode(await compress(headersOf('late'))), null)
  decoder.close()
})

test('headers that we send are read by zlib', async () => {
  const encoder = new HeaderEncoder()
  const inflate = createInflate({ dictionary: SPDY_DICTIONARY, flush: constants.Z_SYNC_FLUSH })
  for (const type of ['error', 'data']) {
    await new Promise<void>(resolve => inflate.write(encoder.encode(headersOf(type)), () => resolve()))
    assert.deepEqual(decodePairs(inflate.read() as Buffer), headersOf(type))
  }
  inflate.destroy()
})

test('a block that promises more than it has is refused', () => {
  assert.equal(decodePairs(Buffer.from([0, 0, 0, 1, 0, 0, 0, 9, 65])), null)
  assert.equal(decodePairs(Buffer.from([0xff, 0xff, 0xff, 0xff])), null)
})

/** Two ends in this process, the client's bytes one by one when asked. */
function connectedPair(onStream: (stream: SpdyStream) => void, streamsMax = 10) {
  const [near, far] = duplexPair()
  const server = new SpdyConnection({ socket: far, role: 'server', streamsMax, onStream, after })
  return { near, server }
}

async function textOf(stream: AsyncIterable<Buffer>): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of stream) chunks.push(chunk)
  return Buffer.concat(chunks).toString()
}

test('streams carry data both ways, end by halves, and close with their connection', async () => {
  const { near, server } = connectedPair(stream => stream.pipe(stream))
  const client = new SpdyConnection({ socket: near, role: 'client', streamsMax: 10, after })
  const texts = ['one', 'x'.repeat(3_000_000), '']
  const echoes = texts.map(text => {
    const stream = client.open(headersOf('data'))
    stream.end(text)
    return textOf(stream)
  })
  assert.deepEqual(await Promise.all(echoes), texts)
  client.end()
  await Promise.all([client.closed, server.closed])
})

test('a reader that does not read stops the sender', async () => {
  const seen = Promise.withResolvers<SpdyStream>()
  const { near } = connectedPair(stream => seen.resolve(stream))
  const client = new SpdyConnection({ socket: near, role: 'client', streamsMax: 10, after })
  const stream = client.open(headersOf('data'))
  let written = 0
  const piece = Buffer.alloc(64 * 1024)
  while (written < 64 * 1024 * 1024) {
    written += piece.length
    if (stream.write(piece)) continue
    const isRoom = await Promise.race([
      new Promise<boolean>(resolve => stream.once('drain', () => resolve(true))),
      new Promise<boolean>(resolve => systemClock.after(100, () => resolve(false))),
    ])
    if (!isRoom) break
  }
  assert.ok(written < 4 * 1024 * 1024, `${written} bytes were taken`)
  const received = await seen.promise
  received.resume()
  stream.end()
  await new Promise(resolve => received.once('end', resolve))
  client.destroy()
})

test('more streams than allowed are refused, pings come back', async () => {
  const { near } = connectedPair(() => {}, 1)
  const compress = realCompressor()
  const parser = new FrameParser()
  const frames: Frame[] = []
  const isAnswered = Promise.withResolvers<void>()
  near.on('data', (chunk: Buffer) => {
    frames.push(...parser.push(chunk))
    if (frames.some(frame => frame.kind === 'control' && frame.type === FRAME.ping)) isAnswered.resolve()
  })
  near.write(encodeSynStream(1, await compress(headersOf('error'))))
  near.write(encodeSynStream(3, await compress(headersOf('data'))))
  near.write(encodeControl(FRAME.settings, 0, Buffer.alloc(4)))
  near.write(encodePair(FRAME.windowUpdate, 1, 1_000))
  near.write(encodeControl(FRAME.ping, 0, Buffer.from([0, 0, 0, 9])))
  await isAnswered.promise
  const types = frames.map(frame => (frame.kind === 'control' ? frame.type : -1))
  assert.deepEqual(types, [FRAME.synReply, FRAME.reset, FRAME.ping])
  near.destroy()
})

test('a peer that speaks something else is cut off', async () => {
  const { near, server } = connectedPair(() => {})
  assert.ok(near instanceof Duplex)
  near.write('GET / HTTP/1.1\r\n\r\n'.replace('G', '\x80'))
  await server.closed
})
