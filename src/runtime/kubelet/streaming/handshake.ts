/** Answers on a raw HTTP/1.1 connection: refusals, and the switch to SPDY. */
import { type IncomingMessage, STATUS_CODES } from 'node:http'
import type { Duplex } from 'node:stream'
import { choose, parseProtocols } from './protocols.ts'

const PROTOCOL_HEADER = 'x-stream-protocol-version'

/** What the client is told instead of a stream. */
export class Refusal extends Error {
  readonly status: number

  constructor(status: number, message: string) {
    super(message)
    this.status = status
  }
}

export function refuse(socket: Duplex, status: number, text: string): void {
  if (!socket.writable) {
    socket.destroy()
    return
  }
  const body = Buffer.from(text)
  socket.end(
    [
      `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}`,
      'Content-Type: text/plain; charset=utf-8',
      'X-Content-Type-Options: nosniff',
      `Content-Length: ${body.length}`,
      'Connection: close',
      '',
      text,
    ].join('\r\n'),
  )
}

/** Switches to SPDY with the first of the client's protocols that is known. Throws Refusal. */
export function acceptSpdy<T extends { readonly name: string }>(
  {
    request,
    socket,
    head,
  }: { readonly request: IncomingMessage; readonly socket: Duplex; readonly head: Buffer },
  known: readonly T[],
): T {
  if (request.headers.upgrade?.toLowerCase() !== 'spdy/3.1') {
    throw new Refusal(400, 'unable to upgrade: missing upgrade headers in request')
  }
  const header = request.headers[PROTOCOL_HEADER]
  const offered = parseProtocols(Array.isArray(header) ? header.join(',') : header)
  // Clients of old give no name, and mean the oldest one.
  const protocol = offered.length === 0 ? known.at(-1) : choose(offered, known)
  if (protocol === undefined) {
    const [theirs, ours] = [offered.join(' '), known.map(one => one.name).join(' ')]
    throw new Refusal(
      403,
      `unable to negotiate protocol: client supports [${theirs}], server accepts [${ours}]`,
    )
  }
  const name = offered.length === 0 ? [] : [`X-Stream-Protocol-Version: ${protocol.name}`]
  const lines = ['HTTP/1.1 101 Switching Protocols', 'Upgrade: SPDY/3.1', 'Connection: Upgrade', ...name]
  socket.write(`${lines.join('\r\n')}\r\n\r\n`)
  if (head.length > 0) socket.unshift(head)
  return protocol
}
