/** The registry's ports: HTTP, or HTTPS when there is a certificate. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { createServer as createSecureServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { RegistryConfig } from './messages.ts'

export interface Listener {
  /** The first one's, where any was asked for. */
  readonly port: number
  close(): Promise<void>
}

export type Handle = (request: IncomingMessage, response: ServerResponse) => unknown

const CONNECTIONS_MAX = 1_024
/** Nothing came or went for so long. */
const STALL_MS = 60_000
const READ_BYTES = 256 * 1024

export async function listen(
  { addresses, port, tls }: Pick<RegistryConfig, 'addresses' | 'port' | 'tls'>,
  handle: Handle,
): Promise<Listener> {
  const servers = addresses.map(address => ({ address, server: serverOf(tls, handle) }))
  const close = async () => {
    await Promise.all(servers.map(({ server }) => closed(server)))
  }
  try {
    for (const { address, server } of servers) await opened(server, address, port)
  } catch (error) {
    await close()
    throw error
  }
  const info = servers[0]?.server.address() as AddressInfo | null | undefined
  return { port: info?.port ?? port, close }
}

function serverOf(tls: RegistryConfig['tls'], handle: Handle): Server {
  // Large pushes take as long as they take; a stall ends them.
  const options = { requestTimeout: 0, highWaterMark: READ_BYTES, keepAliveTimeout: STALL_MS }
  const server =
    tls === null
      ? createServer(options, handle)
      : createSecureServer({ ...options, cert: tls.certificate, key: tls.key, minVersion: 'TLSv1.2' }, handle)
  server.maxConnections = CONNECTIONS_MAX
  server.timeout = STALL_MS
  server.on('clientError', (_error, socket) => socket.destroy())
  return server as Server
}

function opened(server: Server, address: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, address, () => {
      server.off('error', reject)
      resolve()
    })
  })
}

function closed(server: Server): Promise<void> {
  return new Promise(resolve => {
    server.close(() => resolve())
    server.closeAllConnections()
  })
}
