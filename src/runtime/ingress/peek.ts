/** Looks at the first bytes of a connection, and puts back what somebody else is to read. */
import type { Socket } from 'node:net'
import type { Clock } from '../../base/clock.ts'

/** Until the first bytes have come. */
const FIRST_BYTES_MS = 30_000

/** `look` answers null until it knows what they are. */
export function peek(
  socket: Socket,
  clock: Clock,
  look: (chunk: Buffer) => { readonly rest: Buffer; readonly next: () => void } | null,
): void {
  let gathered = Buffer.alloc(0)
  const timer = clock.after(FIRST_BYTES_MS, () => socket.destroy())
  const end = () => {
    timer.cancel()
    socket.off('data', take)
    socket.off('close', end)
    socket.off('end', ended)
  }
  const ended = () => socket.destroy()
  const take = (chunk: Buffer) => {
    gathered = Buffer.concat([gathered, chunk])
    const found = look(gathered)
    if (found === null) return
    end()
    socket.pause()
    if (found.rest.length > 0) socket.unshift(found.rest)
    found.next()
  }
  socket.on('data', take)
  socket.on('close', end)
  socket.on('end', ended)
  socket.resume()
}
