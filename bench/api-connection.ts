/**
 * One kept-alive HTTP/1.1 connection over TLS, made as cheap as it can be: the load client shares the machine with
 * the server that it measures. Understands answers with a length and chunked ones; one request at a time.
 */
import { connect, type TLSSocket } from 'node:tls'

export interface Endpoint {
  readonly host: string
  readonly port: number
  readonly ca: string
  readonly cert: string
  readonly key: string
}

export interface Connection {
  /** The status and the bytes of the body. */
  request(method: string, path: string, body?: string, headers?: string): Promise<Answer>
  close(): void
}

export interface Answer {
  readonly status: number
  readonly body: Buffer
}

const HEAD_END = Buffer.from('\r\n\r\n')
const LAST_CHUNK = Buffer.from('\r\n0\r\n\r\n')

export async function openConnection(endpoint: Endpoint): Promise<Connection> {
  const socket = await opened(endpoint)
  let gathered: Buffer[] = []
  let waiting: PromiseWithResolvers<Answer> | null = null
  const fail = (error: Error) => {
    waiting?.reject(error)
    waiting = null
  }
  socket.on('data', (piece: Buffer) => {
    gathered.push(piece)
    const answer = complete(gathered)
    if (answer === null) return
    gathered = []
    const done = waiting
    waiting = null
    done?.resolve(answer)
  })
  socket.on('error', fail)
  socket.on('close', () => fail(new Error('the server closed the connection')))
  const host = `host: ${endpoint.host}\r\n`
  return {
    request(method, path, body = '', headers = '') {
      waiting = Promise.withResolvers()
      const about = body === '' ? '' : `content-length: ${Buffer.byteLength(body)}\r\n`
      const type = body === '' || headers.includes('content-type') ? '' : 'content-type: application/json\r\n'
      socket.write(`${method} ${path} HTTP/1.1\r\n${host}${type}${about}${headers}\r\n${body}`)
      return waiting.promise
    },
    close: () => socket.destroy(),
  }
}

/** A TLS connection that carries HTTP/1.1. */
export function opened({ host, port, ca, cert, key }: Endpoint): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, ca, cert, key, ALPNProtocols: ['http/1.1'] }, () => {
      socket.off('error', reject)
      socket.setNoDelay(true)
      resolve(socket)
    })
    socket.once('error', reject)
  })
}

/** The answer, once all of it is there. */
function complete(pieces: readonly Buffer[]): Answer | null {
  const [first] = pieces
  if (first === undefined) return null
  const end = first.indexOf(HEAD_END)
  // A head that comes in two pieces is rare enough to be joined.
  if (end < 0) return pieces.length > 1 ? complete([Buffer.concat(pieces)]) : null
  const head = first.toString('latin1', 0, end).toLowerCase()
  const status = Number(head.slice(9, 12))
  const length = /\r\ncontent-length: (\d+)/.exec(head)?.[1]
  const held = pieces.reduce((sum, piece) => sum + piece.length, 0) - end - HEAD_END.length
  if (length === undefined) {
    const tail = Buffer.concat(pieces.slice(-2)).subarray(-LAST_CHUNK.length)
    if (!tail.equals(LAST_CHUNK)) return null
  } else if (held < Number(length)) return null
  return { status, body: Buffer.concat(pieces).subarray(end + HEAD_END.length) }
}
