/** Upgraded connections: what the backend answers, and then bytes in both directions until one side ends. */
import { STATUS_CODES } from 'node:http'
import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { Refusal } from './exchange.ts'
import { endToEnd, type HeaderList } from './headers.ts'
import type { UpstreamAnswer } from './upstream.ts'

export function passUpgrade(socket: Duplex, head: Buffer, answer: UpstreamAnswer, idleMs: number): void {
  const { upgraded, body, status } = answer
  const headers = endToEnd(answer.headers.flat())
  if (upgraded === null) {
    socket.write(renderHead(status, [...headers, ['Connection', 'close']]))
    body.on('error', () => socket.destroy())
    socket.once('close', () => body.destroy())
    body.pipe(socket)
    return
  }
  const { socket: other, head: first } = upgraded
  const end = () => {
    socket.destroy()
    other.destroy()
  }
  for (const side of [socket, other]) {
    side.on('error', end)
    side.once('close', end)
    if (side instanceof Socket) side.setTimeout(idleMs, end)
  }
  socket.write(renderHead(101, [...headers, ['Connection', 'Upgrade'], ['Upgrade', 'websocket']]))
  if (first.length > 0) socket.write(first)
  if (head.length > 0) other.write(head)
  socket.pipe(other)
  other.pipe(socket)
}

export function refuseUpgrade(socket: Duplex, { status }: Refusal): void {
  if (socket.destroyed) return
  const text = `${status} ${STATUS_CODES[status] ?? ''}\n`
  const headers: HeaderList = [
    ...([['Content-Type', 'text/plain; charset=utf-8']] as HeaderList),
    ['Content-Length', String(text.length)],
    ['Connection', 'close'],
  ]
  socket.end(`${renderHead(status, headers)}${text}`)
}

const renderHead = (status: number, headers: HeaderList): string =>
  [
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? 'Unknown'}`,
    ...headers.map(([name, value]) => `${name}: ${value}`),
    '\r\n',
  ].join('\r\n')
