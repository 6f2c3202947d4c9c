/** Long answers on real connections: their slices share memory that is filled again and again. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createServer, get } from 'node:http'
import { connect, createServer as createHttp2Server, type Http2ServerResponse } from 'node:http2'
import type { AddressInfo, Server } from 'node:net'
import { test } from 'node:test'
import { writeResponse } from '../../../../../src/runtime/apiserver/http/write-response.ts'
import { createBigLists } from '../../../../../src/runtime/apiserver/requests/big-lists.ts'

const PIECES = 3_000
const READERS = 8

/** Each reader's own: bytes that came to another one would be seen. */
const piecesFor = (reader: string): Buffer[] =>
  Array.from({ length: PIECES }, (_, at) => Buffer.from(`${reader} ${at} ${'.'.repeat(at % 2_000)}`))

const sumOf = (pieces: readonly Uint8Array[]): string => {
  const hash = createHash('sha256')
  for (const piece of pieces) hash.update(piece)
  return hash.digest('hex')
}

function answers() {
  const lists = createBigLists()
  return async (request: { readonly url?: string | undefined }, response: unknown): Promise<void> => {
    const { signal } = new AbortController()
    const body = lists.take(piecesFor(request.url ?? ''), signal)
    await writeResponse(
      response as Http2ServerResponse,
      { status: 200, headers: {}, body },
      { isHead: false, extra: {}, signal },
    )
  }
}

async function listening(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}

async function bytesOf(stream: AsyncIterable<Uint8Array>): Promise<Uint8Array[]> {
  const pieces: Uint8Array[] = []
  for await (const piece of stream) pieces.push(piece)
  return pieces
}

/** Twice, so that the second time all memory has been used before. */
async function readAll(read: (path: string) => Promise<Uint8Array[]>): Promise<void> {
  for (let time = 0; time < 2; time++) {
    const paths = Array.from({ length: READERS }, (_, reader) => `/reader-${reader}-${time}`)
    const got = await Promise.all(paths.map(read))
    for (const [at, path] of paths.entries()) assert.equal(sumOf(got[at] ?? []), sumOf(piecesFor(path)))
  }
}

test('readers on connections of their own get their own list whole', async () => {
  const server = createServer(answers())
  const port = await listening(server)
  try {
    await readAll(async path => {
      const [response] = await once(get({ host: '127.0.0.1', port, path, agent: false }), 'response')
      return bytesOf(response)
    })
  } finally {
    server.close()
  }
})

test('readers that share an HTTP/2 connection get their own list whole', async () => {
  const server = createHttp2Server(answers())
  const session = connect(`http://127.0.0.1:${await listening(server as unknown as Server)}`)
  try {
    await readAll(path => bytesOf(session.request({ ':path': path })))
  } finally {
    session.close()
    server.close()
  }
})
