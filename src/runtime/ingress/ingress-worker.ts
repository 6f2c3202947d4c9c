/** The routing's thread: requests pass without waiting for the main thread, nor it for them. */
import { parentPort } from 'node:worker_threads'
import { must } from '../../base/assert.ts'
import { systemClock } from '../../base/clock.ts'
import { messageOf, systemCodeOf } from '../../base/errors.ts'
import { systemRandom } from '../../base/random.ts'
import { threadLog, withErrorsInWords } from '../../base/thread-log.ts'
import { renderClosedPorts } from './doors.ts'
import { IngressRouter } from './ingress.ts'
import type { FromIngress, ToIngress } from './messages.ts'

const OPEN_AGAIN_MS = 2_000

const port = must(parentPort, 'the port to the main thread')
const post = (message: FromIngress) => port.postMessage(message)
const log = threadLog(line => post(withErrorsInWords(line)))

let router: IngressRouter | null = null
let isClosed = false

port.on('message', (message: ToIngress) => {
  switch (message.type) {
    case 'open': {
      const { settings, address, own } = message
      router = new IngressRouter({
        ...{ settings, address, own, clock: systemClock, random: systemRandom, log },
        onClosed: closed => post({ type: 'closed-ports', text: renderClosedPorts(closed) }),
      })
      router.change(message.changes)
      router.certify(message.certificates)
      return void open(router, message)
    }
    case 'change':
      return router?.change(message.changes)
    case 'certificates':
      return router?.certify(message.certificates)
    case 'close':
      return void close()
  }
})

/** A port that is taken may be free in a moment. */
async function open(
  opening: IngressRouter,
  message: Extract<ToIngress, { type: 'open' }>,
  before = '',
): Promise<void> {
  try {
    post({ type: 'listening', ...(await opening.open()) })
  } catch (error) {
    const { httpPort, httpsPort } = message.settings
    const code = systemCodeOf(error)
    const where = `port ${httpPort} or ${httpsPort}`
    const text =
      code === 'EADDRINUSE'
        ? `${where} is taken by another program`
        : code === 'EACCES'
          ? `${where} is not allowed to this user`
          : `it cannot listen: ${messageOf(error)}`
    if (text !== before) post({ type: 'problem', text })
    if (!isClosed) systemClock.after(OPEN_AGAIN_MS, () => isClosed || void open(opening, message, text))
  }
}

async function close(): Promise<void> {
  isClosed = true
  await router?.close()
  post({ type: 'closed' })
  port.close()
}
