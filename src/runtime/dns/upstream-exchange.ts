/** One question to one other server, over UDP from a port of its own, or over TCP. */
import { createSocket } from 'node:dgram'
import { createConnection, isIPv6 } from 'node:net'
import type { Clock } from '../../base/clock.ts'
import type { DnsServer } from './messages.ts'
import { FLAG, HEADER_BYTES } from './record-types.ts'
import { repeatsQuestion } from './stored-answer.ts'

export interface Exchange {
  /** A whole message with an id that cannot be guessed. */
  readonly message: Buffer
  /** That part of it. */
  readonly question: Buffer
  readonly timeoutMs: number
  readonly clock: Clock
}

/** Null when there was no answer in time, or the server refuses connections. Forged answers are passed over. */
export async function exchange(server: DnsServer, asked: Exchange): Promise<Buffer | null> {
  const answer = await overUdp(server, asked)
  if (answer === null || (answer.readUInt16BE(2) & FLAG.truncated) === 0) return answer
  return (await overTcp(server, asked)) ?? answer
}

function isAnswer(bytes: Buffer, { message, question }: Exchange): boolean {
  if (bytes.length < HEADER_BYTES || bytes.readUInt16BE(0) !== message.readUInt16BE(0)) return false
  return (bytes.readUInt16BE(2) & FLAG.response) !== 0 && repeatsQuestion(bytes, question)
}

function overUdp({ address, port }: DnsServer, asked: Exchange): Promise<Buffer | null> {
  return new Promise(resolve => {
    const socket = createSocket(isIPv6(address) ? 'udp6' : 'udp4')
    const timer = asked.clock.after(asked.timeoutMs, () => finish(null))
    let isOver = false
    const finish = (answer: Buffer | null) => {
      if (isOver) return
      isOver = true
      timer.cancel()
      socket.close()
      resolve(answer)
    }
    socket.on('error', () => finish(null))
    socket.on('message', bytes => {
      if (isAnswer(bytes, asked)) finish(bytes)
    })
    // A connected socket takes datagrams of this server only, and is told that nobody listens there.
    socket.connect(port, address, (error?: Error) => {
      if (error !== undefined && error !== null) return finish(null)
      if (!isOver) socket.send(asked.message, error => error && finish(null))
    })
  })
}

function overTcp({ address, port }: DnsServer, asked: Exchange): Promise<Buffer | null> {
  return new Promise(resolve => {
    const socket = createConnection({ host: address, port, noDelay: true })
    const timer = asked.clock.after(asked.timeoutMs, () => finish(null))
    const finish = (answer: Buffer | null) => {
      timer.cancel()
      socket.destroy()
      resolve(answer)
    }
    let received: Buffer = Buffer.alloc(0)
    socket.on('error', () => finish(null))
    socket.on('end', () => finish(null))
    socket.on('data', (data: Buffer) => {
      received = Buffer.concat([received, data])
      if (received.length < 2) return
      const end = 2 + received.readUInt16BE(0)
      if (received.length < end) return
      const answer = received.subarray(2, end)
      finish(isAnswer(answer, asked) ? answer : null)
    })
    const length = Buffer.alloc(2)
    length.writeUInt16BE(asked.message.length)
    socket.write(Buffer.concat([length, asked.message]))
  })
}
