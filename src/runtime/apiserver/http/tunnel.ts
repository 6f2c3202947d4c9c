/** Joins two connections byte by byte, each at the pace of the other, until both have said everything. */
import type { Duplex } from 'node:stream'

/** A tunnel through which nothing passes is closed after this time, as the kubelet's streams are. */
const IDLE_MS = 4 * 60 * 60 * 1_000
const KEEP_ALIVE_MS = 30_000
/** Once one side has ended, the other has this long to take the rest and end as well. */
const LINGER_MS = 30_000

/** What network sockets have and other streams do not. */
interface Tunable {
  setTimeout?(ms: number, callback: () => void): void
  setKeepAlive?(enable: boolean, ms: number): void
  setNoDelay?(enable: boolean): void
}

export function tunnel(
  client: Duplex,
  server: Duplex,
  after: (delayMs: number, callback: () => void) => { cancel(): void },
): void {
  for (const side of [client, server]) {
    const socket = side as Tunable
    socket.setNoDelay?.(true)
    socket.setKeepAlive?.(true, KEEP_ALIVE_MS)
    socket.setTimeout?.(IDLE_MS, () => side.destroy())
    side.on('error', () => {})
  }
  const endWith = (ended: Duplex, other: Duplex) => {
    ended.once('close', () => {
      ended.unpipe(other)
      if (!other.writableEnded) other.end()
      // What it still says has nobody to hear it.
      other.unpipe(ended)
      other.resume()
      const timer = after(LINGER_MS, () => other.destroy())
      other.once('close', () => timer.cancel())
    })
  }
  endWith(client, server)
  endWith(server, client)
  client.pipe(server)
  server.pipe(client)
}
