/** The DNS thread: answers this node's queries, however busy the main thread is. */
import { parentPort } from 'node:worker_threads'
import { must } from '../../base/assert.ts'
import { systemClock } from '../../base/clock.ts'
import { messageOf, systemCodeOf } from '../../base/errors.ts'
import { systemRandom } from '../../base/random.ts'
import { Forwarder } from './forwarder.ts'
import { type Listeners, listen } from './listeners.ts'
import type { DnsServer, FromDns, ToDns } from './messages.ts'
import { Resolver } from './resolver.ts'

/** An address of loopback may be another node's of this machine, or held by a program that ends. */
const LISTEN_AGAIN_MS = 1_000
const COUNTERS_MS = 2_000

const port = must(parentPort, 'the port to the main thread')
const post = (message: FromDns) => port.postMessage(message)

let resolver: Resolver | null = null
let listeners: Listeners | null = null
let isClosed = false

port.on('message', (message: ToDns) => {
  switch (message.type) {
    case 'open':
      return open(message)
    case 'changes':
      return resolver?.change(message.changes)
    case 'synced':
      return resolver?.synced()
    case 'forwarding':
      return resolver?.configure(message.config)
    case 'close':
      isClosed = true
      listeners?.close()
      post({ type: 'closed' })
      port.close()
  }
})

function open({ zone, listen: where }: Extract<ToDns, { type: 'open' }>): void {
  const forwarder = new Forwarder({
    clock: systemClock,
    random: systemRandom,
    onProblem: (about, text) => post({ type: 'problem', about, text }),
  })
  resolver = new Resolver({ zone, forwarder, clock: systemClock })
  void openListeners(where, resolver, '')
  tellCounters(resolver)
}

async function openListeners(where: DnsServer, asked: Resolver, before: string): Promise<void> {
  let problem = ''
  try {
    const opened = await listen(where, (query, how, reply) => asked.handle(query, how, reply))
    if (isClosed) return opened.close()
    listeners = opened
    post({ type: 'listening' })
  } catch (error) {
    problem = problemOf(where, error)
  }
  if (problem !== before) post({ type: 'problem', about: 'listen', text: problem })
  if (problem !== '' && !isClosed) {
    systemClock.after(LISTEN_AGAIN_MS, () => void openListeners(where, asked, problem))
  }
}

function problemOf({ address, port: number }: DnsServer, error: unknown): string {
  const where = `${address}:${number}`
  switch (systemCodeOf(error)) {
    case 'EADDRINUSE':
      return `${where} is taken by another program`
    case 'EACCES':
      return `listening on ${where} needs root`
    default:
      return `cannot listen on ${where}: ${messageOf(error)}`
  }
}

function tellCounters(asked: Resolver): void {
  let before = ''
  const tell = () => {
    if (isClosed) return
    const counters = asked.counters()
    const text = JSON.stringify(counters)
    if (text !== before) post({ type: 'counters', counters })
    before = text
    systemClock.after(COUNTERS_MS, tell)
  }
  tell()
}
