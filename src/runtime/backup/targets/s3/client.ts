/**
 * A small S3 client on Node's HTTP: one request at a time, signed anew for each attempt, with limits on every wait and
 * every answer. What may pass by itself is tried again, with a pause that grows.
 */
import { Agent as HttpAgent, type IncomingMessage, request as requestHttp } from 'node:http'
import { Agent as HttpsAgent, request as requestHttps } from 'node:https'
import { backoffMs } from '../../../../base/backoff.ts'
import { sleepAlive } from '../../../../base/clock.ts'
import type { TargetParts } from '../target.ts'
import { type Failure, failureOf, networkFailureOf } from './failures.ts'
import { pathOf, type S3Place } from './place.ts'
import { encodeQuery, type S3Key, signedHeaders } from './signature.ts'

export interface S3Limits {
  /** Until the connection stands, TLS included. */
  readonly connectMs: number
  /** Without a byte in either direction. */
  readonly idleMs: number
  readonly attempts: number
  readonly backoff: { readonly baseMs: number; readonly maxMs: number; readonly jitter: number }
}

export const S3_LIMITS: S3Limits = {
  connectMs: 15_000,
  idleMs: 60_000,
  attempts: 5,
  backoff: { baseMs: 500, maxMs: 10_000, jitter: 0.5 },
}

/** A thousand names of at most a kilobyte each, with room. */
const ANSWER_BYTES_MAX = 4 * 1024 * 1024

export interface S3Request {
  /** For people: `writing a.mk8s`. */
  readonly what: string
  readonly method: 'GET' | 'HEAD' | 'PUT' | 'POST' | 'DELETE'
  /** Empty for the bucket. */
  readonly key: string
  readonly query?: Readonly<Record<string, string>>
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Uint8Array
}

export interface S3Answer {
  readonly headers: IncomingMessage['headers']
  readonly body: string
}

type Outcome<T> = { readonly value: T } | Failure

const NO_BYTES = new Uint8Array(0)

export class S3Client {
  readonly #place: S3Place
  readonly #key: S3Key
  readonly #parts: TargetParts
  readonly #limits: S3Limits
  readonly #authority: string | undefined

  constructor(
    place: S3Place,
    key: S3Key,
    parts: TargetParts,
    { limits = S3_LIMITS, authority }: { limits?: S3Limits; authority?: string } = {},
  ) {
    this.#place = place
    this.#key = key
    this.#parts = parts
    this.#limits = limits
    this.#authority = authority
  }

  /** Throws `backup/target`, or the signal's reason. */
  send(request: S3Request, signal: AbortSignal): Promise<S3Answer> {
    return this.#try(request, signal, async answer => await this.#readAnswer(answer, request))
  }

  /** The body as it comes; its errors are the reader's. Throws as `send`. */
  open(request: S3Request, signal: AbortSignal): Promise<IncomingMessage> {
    return this.#try(request, signal, async answer =>
      isGood(answer) ? { value: answer } : await this.#refusal(answer, request),
    )
  }

  async #try<T>(
    request: S3Request,
    signal: AbortSignal,
    take: (answer: IncomingMessage) => Promise<Outcome<T>>,
  ): Promise<T> {
    for (let failures = 1; ; failures++) {
      signal.throwIfAborted()
      const outcome = await this.#attempt(request, signal, take)
      if ('value' in outcome) return outcome.value
      if (!outcome.retry || failures >= this.#limits.attempts) throw outcome.error
      await sleepAlive(
        this.#parts.clock,
        backoffMs(this.#limits.backoff, failures, this.#parts.random),
        signal,
      )
    }
  }

  async #attempt<T>(
    request: S3Request,
    signal: AbortSignal,
    take: (answer: IncomingMessage) => Promise<Outcome<T>>,
  ): Promise<Outcome<T>> {
    try {
      return await take(await this.#exchange(request, signal))
    } catch (error) {
      signal.throwIfAborted()
      return networkFailureOf(error, request.what, this.#place)
    }
  }

  /** Each request has a connection of its own: they are few and large, and none is found dead after a long pause. */
  #exchange({ method, key, query = {}, headers = {}, body = NO_BYTES }: S3Request, signal: AbortSignal) {
    const place = this.#place
    const path = pathOf(place, key)
    const unsigned = { ...headers, host: place.host, 'content-length': String(body.length) }
    const options = {
      method,
      host: place.hostname,
      port: place.port,
      path: Object.keys(query).length === 0 ? path : `${path}?${encodeQuery(query)}`,
      headers: signedHeaders(
        { method, path, query, headers: unsigned, payload: body },
        this.#key,
        place.region,
        this.#parts.clock.now(),
      ),
      signal,
    }
    const request = place.secure
      ? requestHttps({ ...options, agent: new HttpsAgent(this.#tls()) })
      : requestHttp({ ...options, agent: new HttpAgent() })
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>()
    request.once('response', resolve).on('error', reject)
    this.#limitWaits(request)
    request.end(body)
    return promise
  }

  #limitWaits(request: ReturnType<typeof requestHttp>): void {
    const { connectMs, idleMs } = this.#limits
    const giveUp = (text: string) => request.destroy(new Error(text))
    const connected = this.#parts.clock.after(connectMs, () => giveUp(`no connection after ${connectMs} ms`))
    request.once('socket', socket => {
      socket.once(this.#place.secure ? 'secureConnect' : 'connect', () => connected.cancel())
    })
    request.once('close', () => connected.cancel())
    request.setTimeout(idleMs, () => giveUp(`nothing was sent or received for ${idleMs} ms`))
  }

  #tls() {
    return {
      minVersion: 'TLSv1.2' as const,
      ...(this.#authority === undefined ? {} : { ca: this.#authority }),
    }
  }

  async #readAnswer(answer: IncomingMessage, request: S3Request): Promise<Outcome<S3Answer>> {
    if (!isGood(answer)) return await this.#refusal(answer, request)
    const body = await readText(answer)
    // A completed upload may fail after the server has said that all is well.
    if (body.includes('<Error>')) return this.#failure(500, answer, body, request)
    return { value: { headers: answer.headers, body } }
  }

  async #refusal(answer: IncomingMessage, request: S3Request): Promise<Failure> {
    return this.#failure(answer.statusCode ?? 0, answer, await readText(answer), request)
  }

  #failure(status: number, { headers }: IncomingMessage, body: string, { what }: S3Request): Failure {
    return failureOf({ status, headers, body }, what, this.#place, this.#parts.clock.now())
  }
}

const isGood = ({ statusCode = 0 }: IncomingMessage): boolean => statusCode >= 200 && statusCode < 300

async function readText(answer: IncomingMessage): Promise<string> {
  const pieces: Buffer[] = []
  let bytes = 0
  for await (const piece of answer as AsyncIterable<Buffer>) {
    bytes += piece.length
    if (bytes > ANSWER_BYTES_MAX) throw new Error(`the answer has more than ${ANSWER_BYTES_MAX} bytes`)
    pieces.push(piece)
  }
  return Buffer.concat(pieces).toString('utf8')
}
