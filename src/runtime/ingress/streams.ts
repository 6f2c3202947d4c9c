/** Connections that are no HTTP: to an endpoint as they are, byte for byte, until one side ends. */
import { connect, Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { Clock } from '../../base/clock.ts'
import type { Random } from '../../base/random.ts'
import type { StreamListener } from './compile-gateway.ts'
import type { Endpoints } from './endpoints.ts'
import type { Endpoint } from './pools.ts'
import { CONNECT_MS } from './route.ts'
import { pickBackend } from './routing-table.ts'

export interface StreamsParts {
  readonly endpoints: Endpoints
  readonly clock: Clock
  readonly random: Random
}

const TRIES_MAX = 3
/** Of silence; keep-alives of the kernel do not count. */
const IDLE_MS = 3_600_000
const KEEP_ALIVE_MS = 60_000

/** Never rejects; a connection that leads nowhere is closed. */
export async function passStream(
  socket: Duplex,
  { routes }: StreamListener,
  name: string,
  parts: StreamsParts,
): Promise<void> {
  socket.pause()
  socket.on('error', () => socket.destroy())
  const route = routes.find(name, true)[0]
  const backend = route === undefined ? null : pickBackend(route.backends, parts.random.float())
  const candidates = backend === null || backend.pool === '' ? [] : parts.endpoints.inOrder(backend.pool)
  for (const endpoint of candidates.slice(0, TRIES_MAX)) {
    const other = await reach(endpoint, parts.clock)
    if (socket.destroyed) return void other?.destroy()
    if (other !== null) return join(socket, other)
    parts.endpoints.refused(endpoint)
  }
  socket.destroy()
}

function reach({ address, port }: Endpoint, clock: Clock): Promise<Socket | null> {
  const socket = connect({ host: address, port, noDelay: true })
  const { promise, resolve } = Promise.withResolvers<Socket | null>()
  const timer = clock.after(CONNECT_MS, () => socket.destroy())
  socket.once('connect', () => resolve(socket))
  socket.on('error', () => socket.destroy())
  socket.once('close', () => resolve(null))
  return promise.finally(() => timer.cancel())
}

function join(a: Duplex, b: Duplex): void {
  const end = () => {
    a.destroy()
    b.destroy()
  }
  for (const side of [a, b]) {
    side.once('close', end)
    if (!(side instanceof Socket)) continue
    side.setTimeout(IDLE_MS, end)
    side.setKeepAlive(true, KEEP_ALIVE_MS)
  }
  a.pipe(b)
  b.pipe(a)
}
