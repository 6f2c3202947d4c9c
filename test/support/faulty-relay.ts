/** A relay on loopback that damages or cuts connections on their way to a server. */
import { once } from 'node:events'
import { connect, createServer } from 'node:net'

/** One bit is changed, or the connection ends, once so many bytes have gone to the server. */
export type Fault = 'flip' | 'cut'

const FAULT_AFTER_BYTES = 100_000

export interface FaultyRelay {
  readonly port: number
  stop(): void
}

/** `nextFault` is asked once for each connection. */
export async function startFaultyRelay(
  serverPort: number,
  nextFault: () => Fault | undefined,
): Promise<FaultyRelay> {
  const relay = createServer(client => {
    const server = connect(serverPort, '127.0.0.1')
    const fault = nextFault()
    let sent = 0
    client.on('data', (bytes: Buffer) => {
      const due = fault !== undefined && sent < FAULT_AFTER_BYTES && sent + bytes.length >= FAULT_AFTER_BYTES
      sent += bytes.length
      if (due && fault === 'cut') {
        client.resetAndDestroy()
        return
      }
      if (due) bytes.writeUInt8(bytes.readUInt8(bytes.length - 1) ^ 1, bytes.length - 1)
      server.write(bytes)
    })
    server.on('data', (bytes: Buffer) => client.write(bytes))
    client.on('close', () => server.destroy()).on('error', () => {})
    server.on('close', () => client.destroy()).on('error', () => {})
  })
  await once(relay.listen(0, '127.0.0.1'), 'listening')
  const address = relay.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  return { port, stop: () => relay.close() }
}
