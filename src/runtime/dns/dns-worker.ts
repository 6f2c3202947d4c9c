/** The DNS thread: answers this node's queries, however busy the main thread is. */
import { parentPort } from 'node:worker_threads'
import { encode } from 'dns-packet'
import { must } from '../../base/assert.ts'
import { systemClock } from '../../base/clock.ts'
import { messageOf, systemCodeOf } from '../../base/errors.ts'
import { systemRandom } from '../../base/random.ts'
import { Forwarder } from './forwarder.ts'
import { type Listeners, listen } from './listeners.ts'
import type { DnsServer, FromDns, ToDns } from './messages.ts'
import { HEADER_BYTES } from './record-types.ts'
import { Resolver } from './resolver.ts'
import { exchange } from './upstream-exchange.ts'

/** An address of loopback may be another node's of this machine, or held by a program that ends. */
const LISTEN_AGAIN_MS = 1_000
const COUNTERS_MS = 2_000

const port = must(parentPort, 'the port to the main thread')
const post = (message: FromDns) => port.postMessage(message)

let resolver: Resolver | null = null
let listeners: Listeners | null = null
let isClosed = false
let domain = ''

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
  domain = zone.domain
  resolver = new Resolver({ zone, forwarder, clock: systemClock })
  void openListeners(where, resolver, '')
  tellCounters(resolver)
}

async function openListeners(where: DnsServer, asked: Resolver, before: string): Promise<void> {
  let problem = ''
  let isTaken = false
  try {
    const opened = await listen(where, (query, how, reply) => asked.handle(query, how, reply))
    if (isClosed) return opened.close()
    listeners = opened
    post({ type: 'listening' })
  } catch (error) {
    problem = (await isAnsweredBySibling(where, error)) ? '' : problemOf(where, error)
    isTaken = true
  }
  if (problem !== before || isTaken) post({ type: 'problem', about: 'listen', text: problem })
  if (isTaken && !isClosed) {
    systemClock.after(LISTEN_AGAIN_MS, () => void openListeners(where, asked, problem))
  }
}

/** Nodes of one cluster on one machine share the address: one of them listens, and knows the same names. */
async function isAnsweredBySibling(where: DnsServer, error: unknown): Promise<boolean> {
  if (systemCodeOf(error) !== 'EADDRINUSE') return false
  const name = `dns-version.${domain}`
  const message = encode({ type: 'query', questions: [{ type: 'TXT', name }] })
  message.set(systemRandom.bytes(2))
  const question = message.subarray(HEADER_BYTES)
  const answer = await exchange(where, { message, question, timeoutMs: LISTEN_AGAIN_MS, clock: systemClock })
  return answer !== null && answer.readUInt16BE(6) === 1
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
