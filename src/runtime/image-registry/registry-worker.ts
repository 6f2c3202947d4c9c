/** The registry's thread: pushes and pulls never wait for the main thread, nor it for them. */
import { parentPort } from 'node:worker_threads'
import { must } from '../../base/assert.ts'
import { systemClock, type Timer } from '../../base/clock.ts'
import { messageOf, systemCodeOf } from '../../base/errors.ts'
import { systemRandom } from '../../base/random.ts'
import { threadLog, withErrorsInWords } from '../../base/thread-log.ts'
import type { Asked } from './access.ts'
import { hashesBy, localHash } from './hashes.ts'
import { ImageRegistry } from './image-registry.ts'
import { type Listener, listen } from './listener.ts'
import type { FromRegistry, RegistryConfig, ToRegistry } from './messages.ts'

const STATE_MS = 2_000
const OPEN_AGAIN_MS = 2_000
const REVIEW_MS_MAX = 10_000

const port = must(parentPort, 'the port to the main thread')
const post = (message: FromRegistry) => port.postMessage(message)
const log = threadLog(line => post(withErrorsInWords(line)))

let registry: ImageRegistry | null = null
let listener: Listener | null = null
let isClosed = false
let beginHash = localHash
let reviews = 0
const waiting = new Map<number, (verdict: boolean) => void>()
let collection: Timer | null = null

port.on('message', (message: ToRegistry) => {
  switch (message.type) {
    case 'open':
      beginHash = hashesBy(message.hashes)
      return void open(message.config)
    case 'trust':
      return registry?.trust(message.trusted)
    case 'collect':
      return void collect(message)
    case 'reviewed':
      waiting.get(message.id)?.(message.verdict)
      return
    case 'close':
      return void close()
  }
})

/** A volume that is not there yet, or a port that is taken, may be all right in a moment. */
async function open(config: RegistryConfig, before = ''): Promise<void> {
  try {
    const environment = process.env
    const parts = { config, review, beginHash, environment, clock: systemClock, random: systemRandom, log }
    const opened = new ImageRegistry(parts)
    await opened.open()
    const listening = await listen(config, (request, response) => opened.handle(request, response))
    if (isClosed) return await listening.close()
    registry = opened
    listener = listening
    post({ type: 'listening', port: listening.port })
    tellState(opened)
    collectLater(config, opened)
  } catch (error) {
    const problem = problemOf(config, error)
    if (problem !== before) post({ type: 'problem', text: problem })
    if (!isClosed) systemClock.after(OPEN_AGAIN_MS, () => isClosed || void open(config, problem))
  }
}

function problemOf({ addresses, port: number, directory }: RegistryConfig, error: unknown): string {
  const where = `${addresses.join(', ')} port ${number}`
  switch (systemCodeOf(error)) {
    case 'EADDRINUSE':
      return `${where} is taken by another program`
    case 'EADDRNOTAVAIL':
      return `${where} is no address of this node`
    default:
      return `the registry cannot use ${directory}: ${messageOf(error)}`
  }
}

function tellState(opened: ImageRegistry): void {
  let before = ''
  const tell = () => {
    if (isClosed) return
    const { state } = opened
    const text = JSON.stringify(state)
    if (text !== before) post({ type: 'state', state })
    before = text
    systemClock.after(STATE_MS, tell)
  }
  tell()
}

function collectLater({ garbage }: Pick<RegistryConfig, 'garbage'>, opened: ImageRegistry): void {
  collection = systemClock.after(garbage.intervalMs, () => {
    opened
      .collect(garbage)
      .then(collected => log.info('garbage of the registry was collected', { ...collected }))
      .catch(error => log.error('garbage of the registry cannot be collected', { error }))
      .finally(() => isClosed || collectLater({ garbage }, opened))
  })
}

async function collect({ id, graceMs, untagged }: Extract<ToRegistry, { type: 'collect' }>): Promise<void> {
  try {
    const collected = await must(registry, 'an open registry').collect({ graceMs, untagged })
    post({ type: 'collected', id, collected, problem: '' })
  } catch (error) {
    post({ type: 'collected', id, collected: null, problem: messageOf(error) })
  }
}

function review(token: string, asked: Asked): Promise<boolean> {
  const id = ++reviews
  return new Promise(resolve => {
    const end = (verdict: boolean) => {
      timer.cancel()
      waiting.delete(id)
      resolve(verdict)
    }
    const timer = systemClock.after(REVIEW_MS_MAX, () => end(false))
    waiting.set(id, end)
    post({ type: 'review', id, token, asked })
  })
}

async function close(): Promise<void> {
  isClosed = true
  collection?.cancel()
  await listener?.close()
  post({ type: 'closed' })
  port.close()
}
