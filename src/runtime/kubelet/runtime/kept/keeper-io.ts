/** What a keeper does with the programs that it starts: feeding them, and reading how they ended. */
import type { Socket } from 'node:net'

/** A program that does not read holds up its client. */
export function feed(socket: Socket, target: NodeJS.WritableStream, bytes: Buffer): void {
  if (target.write(bytes)) return
  socket.pause()
  target.once('drain', () => socket.resume())
}

const SIGNAL_NUMBERS: Readonly<Record<string, number>> = { SIGKILL: 9, SIGTERM: 15, SIGINT: 2, SIGHUP: 1 }

/** As a signed number of 32 bits, because what Windows ends has codes such as 0xC000013A. */
export function exitCodeOf(code: number | null, signal: NodeJS.Signals | null): number {
  if (code !== null) return code | 0
  return 128 + (SIGNAL_NUMBERS[signal ?? ''] ?? 0)
}
