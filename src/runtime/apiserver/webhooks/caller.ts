/**
 * Calls webhooks: a JSON document by POST over HTTPS to a URL or to a Service of the cluster, with the authority of
 * the configuration, within a time, over kept connections.
 */
import type { IncomingMessage } from 'node:http'
import { Agent, request as httpsRequest } from 'node:https'
import { isIP } from 'node:net'
import { getCACertificates, rootCertificates } from 'node:tls'
import { bracketed, unbracketed } from '../../../base/bracketed.ts'
import type { Clock } from '../../../base/clock.ts'
import { messageOf } from '../../../base/errors.ts'
import type { Random } from '../../../base/random.ts'
import { formatTime } from '../../../kube/time.ts'
import type { ObjectReader } from '../ports.ts'
import { answerFailure, type CallTarget, callFailure, DEADLINE } from './call-errors.ts'
import { chooseEndpoint } from './service-endpoint.ts'

export interface WebhookClientConfig {
  readonly url?: string
  readonly service?: {
    readonly namespace?: string
    readonly name?: string
    readonly path?: string
    readonly port?: number
  }
  /** PEM in base64; absent: what this machine trusts. */
  readonly caBundle?: string
}

export interface WebhookCall {
  readonly clientConfig: WebhookClientConfig
  readonly body: unknown
  readonly timeoutMs: number
  readonly signal?: AbortSignal | undefined
}

/** The call failed before there was an answer to read; the message is Go's. */
export class WebhookCallError extends Error {
  override readonly name = 'WebhookCallError'
  /** Of the answer, 0 when there was none. */
  readonly status: number

  constructor(message: string, status = 0, options?: { cause?: unknown }) {
    super(message, options)
    this.status = status
  }
}

export interface WebhookCaller {
  /** The JSON value of the answer; throws WebhookCallError. */
  post(call: WebhookCall): Promise<unknown>
  /** Ends kept connections. */
  close(): void
}

const HTTPS = 443
const SOCKETS_PER_HOST_MAX = 100
const SOCKETS_MAX = 1_000
const IDLE_SOCKETS_MAX = 4
const KEEP_ALIVE_MS = 30_000
const ANSWER_BYTES_MAX = 8 * 1024 * 1024
const TRIES_MAX = 2

interface Address extends CallTarget {
  readonly url: URL
  readonly ca: string | readonly string[]
}

export function createWebhookCaller(parts: {
  readonly objects: ObjectReader
  readonly clock: Clock
  readonly random: Random
}): WebhookCaller {
  const { objects, clock, random } = parts
  const agent = new Agent({
    keepAlive: true,
    keepAliveMsecs: KEEP_ALIVE_MS,
    maxSockets: SOCKETS_PER_HOST_MAX,
    maxTotalSockets: SOCKETS_MAX,
    maxFreeSockets: IDLE_SOCKETS_MAX,
    scheduling: 'lifo',
  })
  const locate = (call: WebhookCall): Address => {
    const url = urlOf(call)
    try {
      return addressOf(objects, call.clientConfig, url, random.float())
    } catch (error) {
      throw new WebhookCallError(postError(url, messageOf(error)), 0, { cause: error })
    }
  }
  return {
    async post(call) {
      const address = locate(call)
      const body = Buffer.from(JSON.stringify(call.body))
      const deadline = new AbortController()
      const timer = clock.after(call.timeoutMs, () => deadline.abort())
      const onAbort = () => deadline.abort()
      call.signal?.addEventListener('abort', onAbort, { once: true })
      if (call.signal?.aborted === true) deadline.abort()
      try {
        return await exchange(agent, address, body, deadline.signal)
      } catch (error) {
        if (error instanceof WebhookCallError) throw error
        const now = formatTime(clock.now())
        const canceled = call.signal?.aborted === true ? 'context canceled' : DEADLINE
        const why = deadline.signal.aborted ? canceled : callFailure(error, address, now)
        throw new WebhookCallError(postError(address.url, why), 0, { cause: error })
      } finally {
        timer.cancel()
        call.signal?.removeEventListener('abort', onAbort)
      }
    },
    close: () => agent.destroy(),
  }
}

const postError = (url: URL, why: string): string => `Post ${JSON.stringify(shownUrl(url))}: ${why}`

/** As Go shows it: a port that was given stays. */
function shownUrl(url: URL): string {
  const port = url.port === '' && url.hostname.endsWith('.svc') ? `:${HTTPS}` : ''
  return `https://${url.host}${port}${url.pathname}${url.search}`
}

/** With the time that the webhook has, rounded up to seconds. */
function urlOf({ clientConfig, timeoutMs }: WebhookCall): URL {
  const { url, service } = clientConfig
  const text =
    service === undefined
      ? (url ?? '')
      : `https://${service.name}.${service.namespace}.svc:${service.port ?? HTTPS}${pathOf(service.path)}`
  let parsed: URL
  try {
    parsed = new URL(text)
  } catch {
    throw new WebhookCallError(`could not get REST client: invalid URL ${JSON.stringify(text)}`)
  }
  parsed.searchParams.set('timeout', `${Math.ceil(timeoutMs / 1000)}s`)
  return parsed
}

const pathOf = (path = '/'): string => (path.startsWith('/') ? path : `/${path}`)

function addressOf(objects: ObjectReader, config: WebhookClientConfig, url: URL, chance: number): Address {
  const ca = config.caBundle ? Buffer.from(config.caBundle, 'base64').toString('utf8') : systemRoots()
  const host = unbracketed(url.hostname)
  const own = { host, port: url.port === '' ? HTTPS : Number(url.port) }
  const place = config.service === undefined ? own : chooseEndpoint(objects, config.service, chance)
  return { url, ca, ...place, serverName: host }
}

let roots: readonly string[] | undefined

/** What this machine trusts, read when it is first needed. */
function systemRoots(): readonly string[] {
  if (roots === undefined) {
    const own = getCACertificates('system')
    roots = own.length > 0 ? own : rootCertificates
  }
  return roots
}

/** A kept connection that the other side had closed already is no failure: the call goes out once more. */
async function exchange(agent: Agent, address: Address, body: Buffer, signal: AbortSignal): Promise<unknown> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await readAnswer(await send(agent, address, body, signal))
    } catch (error) {
      const isStale = error instanceof StaleConnection
      if (!isStale || attempt === TRIES_MAX) throw isStale ? error.cause : error
    }
  }
}

class StaleConnection extends Error {}

function send(agent: Agent, address: Address, body: Buffer, signal: AbortSignal): Promise<IncomingMessage> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>()
  const { url } = address
  const outgoing = httpsRequest({
    agent,
    host: address.host,
    port: address.port,
    servername: isIP(address.serverName) === 0 ? address.serverName : '',
    ca: typeof address.ca === 'string' ? address.ca : [...address.ca],
    method: 'POST',
    path: `${url.pathname}${url.search}`,
    headers: {
      host: url.port === '' ? bracketed(address.serverName) : url.host,
      accept: 'application/json, */*',
      'content-type': 'application/json',
      'content-length': body.length,
      'user-agent': 'kube-apiserver-admission',
    },
    signal,
  })
  outgoing.once('response', resolve)
  outgoing.once('error', error => {
    const isReset = (error as { code?: string }).code === 'ECONNRESET'
    reject(outgoing.reusedSocket && isReset ? new StaleConnection('', { cause: error }) : error)
  })
  outgoing.end(body)
  return promise
}

async function readAnswer(message: IncomingMessage): Promise<unknown> {
  const pieces: Buffer[] = []
  let bytes = 0
  for await (const piece of message) {
    bytes += (piece as Buffer).length
    if (bytes > ANSWER_BYTES_MAX) {
      message.destroy()
      throw new WebhookCallError(`the answer has more than ${ANSWER_BYTES_MAX} bytes`)
    }
    pieces.push(piece as Buffer)
  }
  const text = Buffer.concat(pieces).toString('utf8')
  const status = message.statusCode ?? 0
  if (status < 200 || status > 299) throw new WebhookCallError(failureText(status, text), status)
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new WebhookCallError(`couldn't get version/kind; json parse error: ${messageOf(error)}`, status)
  }
}

/** A Status speaks for itself. */
function failureText(status: number, text: string): string {
  try {
    const { kind, message } = JSON.parse(text) as { kind?: string; message?: string }
    if (kind === 'Status' && message) return message
  } catch {
    // Not JSON: the code has to do.
  }
  return answerFailure(status, text)
}
