/** Port forwarding: each of the client's connections becomes one into the pod's sandbox. */
import type { Duplex, Readable, Writable } from 'node:stream'
import { finished } from 'node:stream/promises'
import type { Clock, Timer } from '../../../base/clock.ts'
import { messageOf } from '../../../base/errors.ts'
import type { SpdyStream } from './spdy/stream.ts'
import { STREAM_TYPE } from './spdy-streams.ts'
import type { ChannelSocket } from './websocket-streams.ts'

/** How long the other stream of a pair may take. */
const PAIR_TIMEOUT_MS = 30_000
/** Connections at a time of one client. */
export const CONNECTIONS_MAX = 512
export const PORTS_MAX = 64

export interface ForwardTarget {
  readonly podName: string
  readonly podUid: string
  readonly connect: (port: number) => Promise<Duplex>
}

interface Pair {
  readonly port: number
  readonly timer: Timer
  error: SpdyStream | null
  data: SpdyStream | null
}

export function parsePort(text: string | undefined): number | null {
  const port = /^\d{1,5}$/.test(text ?? '') ? Number(text) : 0
  return port > 0 && port <= 0xffff ? port : null
}

/** Streams over SPDY, two for each connection: `error` and `data`, joined by their request id. */
export class StreamPairs {
  readonly #target: ForwardTarget
  readonly #clock: Clock
  readonly #pairs = new Map<string, Pair>()

  constructor(target: ForwardTarget, clock: Clock) {
    this.#target = target
    this.#clock = clock
  }

  add(stream: SpdyStream): void {
    const type = stream.headers.get(STREAM_TYPE)
    const port = parsePort(stream.headers.get('port'))
    if (port === null || (type !== 'error' && type !== 'data')) {
      stream.destroy()
      return
    }
    const id = requestIdOf(stream, type)
    const pair = this.#pairs.get(id) ?? this.#makePair(id, port)
    if (pair[type] !== null) {
      stream.destroy()
      return
    }
    pair[type] = stream
    if (pair.error === null || pair.data === null) return
    pair.timer.cancel()
    this.#pairs.delete(id)
    void forwardPair(this.#target, port, pair.data, pair.error)
  }

  close(): void {
    for (const { timer } of this.#pairs.values()) timer.cancel()
    this.#pairs.clear()
  }

  #makePair(id: string, port: number): Pair {
    const timer = this.#clock.after(PAIR_TIMEOUT_MS, () => {
      this.#pairs.delete(id)
      pair.error?.end(`timed out waiting for the streams of request ${id}`)
      pair.data?.destroy()
    })
    const pair: Pair = { port, timer, error: null, data: null }
    this.#pairs.set(id, pair)
    return pair
  }
}

/** Old clients give none: they open the error stream, and then the data stream. */
function requestIdOf(stream: SpdyStream, type: 'error' | 'data'): string {
  const own = stream.headers.get('requestid')
  return own ?? String(type === 'error' ? stream.id : stream.id - 2)
}

async function forwardPair(
  target: ForwardTarget,
  port: number,
  data: SpdyStream,
  error: SpdyStream,
): Promise<void> {
  error.resume()
  try {
    const socket = await target.connect(port)
    await join(data, socket)
    error.end()
  } catch (failure) {
    error.end(failureText(target, port, failure))
    data.resume()
    data.end()
  }
}

const failureText = (target: ForwardTarget, port: number, failure: unknown): string =>
  `error forwarding port ${port} to pod ${target.podName}, uid ${target.podUid}: ${messageOf(failure)}`

/** Resolves when the pod's side has ended; rejects when it broke. The client's end is passed on to it. */
function join(client: Duplex, pod: Duplex): Promise<void> {
  return new Promise((resolve, reject) => {
    client.pipe(pod)
    pod.pipe(client)
    client.once('close', () => pod.destroy())
    // As upstream: once the pod has said everything, the connection is over.
    pod.once('end', () => pod.destroy())
    let failed = false
    pod.once('error', error => {
      failed = true
      reject(error)
    })
    pod.once('close', () => {
      client.unpipe(pod)
      client.resume()
      // The client may stop listening at the end of the data: what went wrong is said before.
      if (!failed) client.end()
      resolve()
    })
  })
}

/** `port=80,81` and `port=80&port=81`; a sentence when there is something else. */
export function parsePorts(query: URLSearchParams): readonly number[] | string {
  const texts = query.getAll('port').flatMap(text => text.split(','))
  if (texts.length === 0) return 'query parameter "port" is required'
  if (texts.length > PORTS_MAX) return `at most ${PORTS_MAX} ports at a time`
  const ports: number[] = []
  for (const text of texts) {
    const port = parsePort(text)
    if (port === null) return `unable to parse ${JSON.stringify(text)} as a port`
    ports.push(port)
  }
  return ports
}

/** Channels of a websocket: for each port one for data and one for its error, each beginning with the port. */
export async function forwardChannels(
  target: ForwardTarget,
  ports: readonly number[],
  channels: ChannelSocket,
): Promise<void> {
  const all = ports.map(async (port, index) => {
    const preamble = Buffer.alloc(2)
    preamble.writeUInt16LE(port)
    const from = channels.reader(2 * index)
    const to = channels.writer(2 * index)
    channels.send(2 * index, preamble)
    channels.send(2 * index + 1, preamble)
    try {
      await joinChannel(from, to, await target.connect(port))
      to.end()
      await finished(to).catch(() => {})
    } catch (failure) {
      channels.send(2 * index + 1, Buffer.from(failureText(target, port, failure)))
    }
  })
  await Promise.all(all)
  channels.close()
}

function joinChannel(from: Readable, to: Writable, pod: Duplex): Promise<void> {
  return new Promise((resolve, reject) => {
    from.pipe(pod)
    pod.pipe(to)
    from.once('close', () => pod.destroy())
    pod.once('end', () => pod.destroy())
    pod.once('error', reject)
    pod.once('close', () => {
      from.destroy()
      resolve()
    })
  })
}
