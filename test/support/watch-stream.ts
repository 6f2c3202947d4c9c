/** A watch over HTTPS, read one event at a time. */
import { request } from 'node:https'
import { type ApiBody, credentialsOf } from './api.ts'

export interface WatchEvent {
  readonly type: string
  readonly object: ApiBody
}

export interface WatchStream {
  /** Null at the end; throws when nothing comes for a minute. */
  next(): Promise<WatchEvent | null>
  /** The first event that fits; those before it are dropped. */
  find(what: string, fits: (event: WatchEvent) => boolean): Promise<WatchEvent>
  /** What has arrived and was not read. */
  pending(): number
  close(): void
}

const WAIT_MS = 120_000

/** Resolves when the server has answered, so that nothing after that is missed. */
export function openWatch(kubeconfig: string, path: string): Promise<WatchStream> {
  const { server, ca, cert, key } = credentialsOf(kubeconfig)
  return new Promise((resolve, reject) => {
    const outgoing = request(new URL(path, server), { ca, cert, key, agent: false }, response => {
      if (response.statusCode !== 200) {
        response.resume()
        reject(new Error(`a watch of ${path} is ${response.statusCode}`))
        return
      }
      const inbox = new Inbox(() => outgoing.destroy())
      response.setEncoding('utf8').on('data', (text: string) => inbox.add(text))
      response.on('close', () => inbox.end())
      response.on('error', () => inbox.end())
      resolve(inbox)
    })
    outgoing.on('error', reject)
    outgoing.end()
  })
}

class Inbox implements WatchStream {
  readonly #events: WatchEvent[] = []
  readonly #close: () => void
  #rest = ''
  #ended = false
  #wake: (() => void) | null = null

  constructor(close: () => void) {
    this.#close = close
  }

  add(text: string): void {
    const lines = (this.#rest + text).split('\n')
    this.#rest = lines.pop() ?? ''
    for (const line of lines) this.#events.push(JSON.parse(line) as WatchEvent)
    this.#wake?.()
  }

  end(): void {
    this.#ended = true
    this.#wake?.()
  }

  async next(): Promise<WatchEvent | null> {
    if (this.#events.length === 0 && !this.#ended) await this.#woken()
    return this.#events.shift() ?? (this.#ended ? null : this.next())
  }

  #woken(): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`no event within ${WAIT_MS} ms`)), WAIT_MS)
      this.#wake = () => {
        clearTimeout(timer)
        this.#wake = null
        resolve()
      }
    })
  }

  async find(what: string, fits: (event: WatchEvent) => boolean): Promise<WatchEvent> {
    for (;;) {
      const event = await this.next()
      if (event === null) throw new Error(`the watch ended before ${what}`)
      if (fits(event)) return event
    }
  }

  pending(): number {
    return this.#events.length
  }

  close(): void {
    this.#close()
  }
}
