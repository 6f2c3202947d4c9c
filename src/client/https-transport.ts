/** Reaches an API server over HTTPS with kept-alive connections; bodies stream. */
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import { Agent, request as httpsRequest } from 'node:https'
import type { Duplex } from 'node:stream'
import { unbracketed } from '../base/bracketed.ts'
import { Mk8sError, messageOf } from '../base/errors.ts'
import type { KubeRequest, KubeResponse, Transport } from './transport.ts'

export interface HttpsTransportConfig {
  /** `https://127.0.0.1:16443`. */
  readonly server: string
  /** PEM of the authority that the server's certificate must come from. */
  readonly caPem: string
  readonly certificatePem?: string | undefined
  readonly keyPem?: string | undefined
  /** A bearer token, instead of a client certificate. */
  readonly token?: string | undefined
  /** The name to check in the server's certificate, when it is not the host of `server`. */
  readonly serverName?: string | undefined
  /** What to do when it cannot be reached. */
  readonly hint?: string | undefined
}

/** Connections to one server, watches included. */
const SOCKETS_MAX = 256
const IDLE_SOCKETS_MAX = 4
const KEEP_ALIVE_MS = 30_000
/** A server that accepts but sends no header within this time counts as unreachable. */
const HEADERS_TIMEOUT_MS = 60_000

const NOTHING = new Uint8Array()

type UpgradeResponse = KubeResponse & { readonly upgraded: Duplex }

export class HttpsTransport implements Transport {
  #config: HttpsTransportConfig
  #agent: Agent
  readonly #base: URL

  constructor(config: HttpsTransportConfig) {
    this.#config = config
    this.#base = new URL(config.server)
    this.#agent = createAgent(config)
  }

  /** New connections use these from now on; requests under way go on. */
  useCertificates(tls: Pick<HttpsTransportConfig, 'caPem' | 'certificatePem' | 'keyPem'>): void {
    this.#config = { ...this.#config, ...tls }
    this.#agent = createAgent(this.#config)
  }

  async request(request: KubeRequest): Promise<KubeResponse> {
    request.signal?.throwIfAborted()
    const message = await this.#open(request)
    if ('upgraded' in message) return message
    return { status: message.statusCode ?? 0, headers: flatten(message.headers), body: chunksOf(message) }
  }

  /** Ends idle connections; requests under way go on. */
  close(): void {
    this.#agent.destroy()
  }

  #open(request: KubeRequest): Promise<IncomingMessage | UpgradeResponse> {
    const query = request.query?.toString()
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage | UpgradeResponse>()
    const outgoing = httpsRequest({
      agent: this.#agent,
      // An address of IPv6 stands in brackets in a URL, and nowhere else.
      host: unbracketed(this.#base.hostname),
      port: this.#base.port === '' ? 443 : Number(this.#base.port),
      method: request.method,
      path: `${this.#base.pathname.replace(/\/$/, '')}${request.path}${query ? `?${query}` : ''}`,
      headers: this.#headersOf(request),
      ...(request.signal === undefined ? {} : { signal: request.signal }),
    })
    outgoing.once('response', message => {
      outgoing.setTimeout(0)
      resolve(message)
    })
    if (request.headers?.['upgrade'] !== undefined) {
      outgoing.once('upgrade', (message, socket, head) => {
        socket.setTimeout(0)
        if (head.length > 0) socket.unshift(head)
        resolve({ status: 101, headers: flatten(message.headers), body: NOTHING, upgraded: socket })
      })
    }
    outgoing.setTimeout(HEADERS_TIMEOUT_MS, () => outgoing.destroy(new Error('no answer in time')))
    outgoing.on('error', error => {
      reject(request.signal?.aborted ? request.signal.reason : this.#unreachable(error))
    })
    outgoing.end(request.body)
    return promise
  }

  #headersOf(request: KubeRequest): Record<string, string> {
    const headers: Record<string, string> = { ...request.headers }
    if (this.#config.token !== undefined) headers['authorization'] = `Bearer ${this.#config.token}`
    if (request.body !== undefined) headers['content-length'] = String(request.body.byteLength)
    return headers
  }

  #unreachable(cause: Error): Mk8sError {
    return new Mk8sError('api/unreachable', `the API server at ${this.#base.host} cannot be reached`, {
      why: messageOf(cause),
      hint: this.#config.hint ?? 'mk8s status',
      cause,
    })
  }
}

function createAgent(config: HttpsTransportConfig): Agent {
  return new Agent({
    keepAlive: true,
    keepAliveMsecs: KEEP_ALIVE_MS,
    maxSockets: SOCKETS_MAX,
    maxFreeSockets: IDLE_SOCKETS_MAX,
    ca: config.caPem,
    cert: config.certificatePem,
    key: config.keyPem,
    ...(config.serverName === undefined ? {} : { servername: config.serverName }),
  })
}

async function* chunksOf(message: IncomingMessage): AsyncGenerator<Uint8Array> {
  try {
    for await (const chunk of message) yield chunk as Uint8Array
  } finally {
    message.destroy()
  }
}

function flatten(headers: IncomingHttpHeaders): Record<string, string> {
  const flat: Record<string, string> = {}
  for (const [name, value] of Object.entries(headers)) {
    if (value !== undefined) flat[name] = Array.isArray(value) ? value.join(', ') : value
  }
  return flat
}
