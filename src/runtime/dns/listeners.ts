/** The sockets of the DNS thread: datagrams, and messages one after the other over connections. */
import { createSocket, type Socket as UdpSocket } from 'node:dgram'
import { createServer, isIPv6, type Server, type Socket } from 'node:net'
import { loopbackAlias } from '../../host/loopback-alias.ts'
import type { DnsServer } from './messages.ts'
import type { Reply } from './resolver.ts'

export type Handle = (query: Buffer, how: { readonly isTcp: boolean }, reply: Reply) => void

const CONNECTIONS_MAX = 256
/** Questions of one connection that are being answered; more are read when one is done. */
const PIPELINED_MAX = 64
/** A connection on which nothing is asked for so long is closed. */
const IDLE_MS = 10_000
/** Bursts wait in the kernel. */
const RECEIVE_BUFFER_BYTES = 1024 * 1024
const MESSAGE_BYTES_MAX = 65_535

export interface Listeners {
  close(): void
}

/** Rejects with the system's error when the address is taken. */
export async function listen(where: DnsServer, handle: Handle): Promise<Listeners> {
  const udp = await listenUdp(where, handle)
  try {
    const tcp = await listenTcp(where, handle)
    return {
      close() {
        udp.close()
        tcp.close()
      },
    }
  } catch (error) {
    udp.close()
    throw error
  }
}

async function listenUdp({ address, port }: DnsServer, handle: Handle): Promise<UdpSocket> {
  await loopbackAlias('add', address)
  const socket = createSocket(isIPv6(address) ? 'udp6' : 'udp4')
  await new Promise<void>((resolve, reject) => {
    socket.once('error', reject)
    socket.bind({ address, port }, () => {
      socket.off('error', reject)
      socket.on('error', () => {})
      resolve()
    })
  })
  try {
    socket.setRecvBufferSize(RECEIVE_BUFFER_BYTES)
  } catch {
    // The kernel's own size will have to do.
  }
  socket.on('message', (query, from) => {
    handle(query, { isTcp: false }, answer => socket.send(answer, from.port, from.address, () => {}))
  })
  return socket
}

async function listenTcp({ address, port }: DnsServer, handle: Handle): Promise<{ close(): void }> {
  const sockets = new Set<Socket>()
  const server: Server = createServer({ noDelay: true }, socket => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
    serve(socket, handle)
  })
  server.maxConnections = CONNECTIONS_MAX
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen({ host: address, port }, () => {
      server.off('error', reject)
      server.on('error', () => {})
      resolve()
    })
  })
  return {
    close() {
      server.close()
      for (const socket of sockets) socket.destroy()
    },
  }
}

/** Each message has its length in front of it (RFC 7766). Answers go out as they come. */
function serve(socket: Socket, handle: Handle): void {
  let received: Buffer = Buffer.alloc(0)
  let answering = 0
  const take = () => {
    while (received.length >= 2 && answering < PIPELINED_MAX) {
      const end = 2 + received.readUInt16BE(0)
      if (received.length < end) break
      const query = received.subarray(2, end)
      received = received.subarray(end)
      answering++
      // A query that gets no answer counts as one on its way; its connection is not worth much.
      handle(query, { isTcp: true }, answer => {
        answering--
        if (socket.writable) socket.write(framed(answer))
        if (answering === PIPELINED_MAX - 1) setImmediate(take)
      })
    }
    if (answering >= PIPELINED_MAX || received.length > MESSAGE_BYTES_MAX + 2) socket.pause()
    else socket.resume()
  }
  socket.setTimeout(IDLE_MS, () => socket.destroy())
  socket.on('error', () => socket.destroy())
  socket.on('data', (data: Buffer) => {
    received = received.length === 0 ? data : Buffer.concat([received, data])
    take()
  })
}

function framed(answer: Buffer): Buffer {
  const length = Buffer.alloc(2)
  length.writeUInt16BE(answer.length)
  return Buffer.concat([length, answer])
}
