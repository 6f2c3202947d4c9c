/**
 * What stands in for signals on Windows, which has none that a program could answer: a named pipe on which a daemon is
 * told to stop or to start again. Whoever may write to it is the system, an administrator or who started the daemon.
 */
import { connect, createServer, type Server } from 'node:net'

export type Wish = 'stop' | 'restart'

const WISHES: readonly string[] = ['stop', 'restart'] satisfies Wish[]
const WORD_BYTES_MAX = 16
const ASK_MS = 2_000

/** Never keeps the process alive. A pipe that cannot be made is told to `onError`, and the daemon goes on without. */
export function listenForWishes(
  path: string,
  { onWish, onError }: { onWish: (wish: Wish) => void; onError: (error: Error) => void },
): Server {
  const server = createServer(socket => {
    let said = ''
    socket.setTimeout(ASK_MS, () => socket.destroy())
    socket.on('error', () => {})
    socket.setEncoding('latin1').on('data', (text: string) => {
      said = (said + text).slice(0, WORD_BYTES_MAX)
      const word = said.split('\n')[0] ?? ''
      if (!said.includes('\n')) return
      const isKnown = WISHES.includes(word)
      socket.end(isKnown ? 'ok\n' : 'unknown\n')
      if (isKnown) onWish(word as Wish)
    })
  })
  server.on('error', onError)
  server.listen(path)
  server.unref()
  return server
}

/** False when nobody hears it. */
export function tellDaemon(path: string, wish: Wish): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect(path)
    const settle = (heard: boolean) => {
      socket.destroy()
      resolve(heard)
    }
    socket.setTimeout(ASK_MS, () => settle(false))
    socket.once('error', () => settle(false))
    socket.once('close', () => settle(false))
    socket.once('connect', () => socket.write(`${wish}\n`))
    socket.setEncoding('latin1').on('data', (text: string) => settle(text.startsWith('ok')))
  })
}
