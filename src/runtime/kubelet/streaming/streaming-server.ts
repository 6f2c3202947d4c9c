/**
 * The streaming half of the kubelet's HTTPS port: takes over connections that ask for exec, attach or port-forward,
 * over websocket or SPDY/3.1. Who asks has been checked before.
 */
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import type { TLSSocket } from 'node:tls'
import { createWebSocketStream, type WebSocket, WebSocketServer } from 'ws'
import { type Clock, sleep } from '../../../base/clock.ts'
import { Mk8sError, messageOf } from '../../../base/errors.ts'
import type { Log } from '../../../base/log.ts'
import type { Pod } from '../../../kube/types.ts'
import type { Runtime } from '../runtime/runtime.ts'
import type { StreamOptions } from '../runtime/streams.ts'
import { type ClientStreams, parseStreamOptions } from './client-streams.ts'
import { runCommandSession } from './command-session.ts'
import { exitStatus } from './exit-status.ts'
import { acceptSpdy, Refusal, refuse } from './handshake.ts'
import {
  CONNECTIONS_MAX,
  type ForwardTarget,
  forwardChannels,
  parsePorts,
  StreamPairs,
} from './port-forward.ts'
import {
  CHANNEL_PORT_FORWARD,
  choose,
  PORT_FORWARD,
  parseProtocols,
  SPDY_COMMAND,
  TUNNELLED_PORT_FORWARD,
  WEBSOCKET_COMMAND,
} from './protocols.ts'
import { SpdyConnection } from './spdy/connection.ts'
import { StreamCollector, spdyStreams } from './spdy-streams.ts'
import { ChannelSocket, websocketStreams } from './websocket-streams.ts'

export interface StreamingServerParts {
  readonly runtime: Runtime
  readonly pods: () => readonly Pod[]
  readonly clock: Clock
  readonly log: Log
}

/** A connection on which nothing moves is closed after this time, as the kubelet's streamingConnectionIdleTimeout. */
const IDLE_MS = 4 * 60 * 60 * 1_000
/** Finds clients that vanished without a word. */
const KEEP_ALIVE_MS = 30_000
/** How long a SPDY client may take to open its streams. */
const STREAMS_TIMEOUT_MS = 30_000
const SESSIONS_MAX = 500
const MESSAGE_BYTES_MAX = 16 * 1024 * 1024
const COMMAND_STREAMS_MAX = 5

type CommandKind = 'exec' | 'attach'

interface Command {
  readonly kind: CommandKind
  readonly containerId: string
  readonly command: readonly string[]
  readonly options: StreamOptions
}

const doing = { exec: 'executing command in container', attach: 'attaching to container' } as const

export class StreamingServer {
  readonly #parts: StreamingServerParts
  readonly #websockets: WebSocketServer
  readonly #sockets = new Set<Duplex>()

  constructor(parts: StreamingServerParts) {
    this.#parts = parts
    this.#websockets = new WebSocketServer({
      noServer: true,
      clientTracking: false,
      perMessageDeflate: false,
      maxPayload: MESSAGE_BYTES_MAX,
    })
    this.#websockets.on('headers', (headers, request) => {
      const protocol = chosenProtocols.get(request) ?? ''
      if (protocol !== '') headers.push(`Sec-WebSocket-Protocol: ${protocol}`)
    })
  }

  /** Answers on the raw connection, whatever the outcome. `path` has its segments decoded. */
  async upgrade(
    request: IncomingMessage,
    socket: TLSSocket,
    head: Buffer,
    path: readonly string[],
  ): Promise<void> {
    socket.on('error', () => {})
    socket.setNoDelay(true)
    socket.setKeepAlive(true, KEEP_ALIVE_MS)
    socket.setTimeout(IDLE_MS, () => socket.destroy())
    if (this.#sockets.size >= SESSIONS_MAX) return refuse(socket, 429, 'too many streams at a time')
    this.#sockets.add(socket)
    socket.once('close', () => this.#sockets.delete(socket))
    try {
      const query = new URL(request.url ?? '/', 'https://kubelet').searchParams
      await this.#serve({ request, socket, head, query }, path)
    } catch (error) {
      if (error instanceof Refusal) return refuse(socket, error.status, error.message)
      this.#parts.log.warn('a stream failed', { error })
      if (switched.has(request)) socket.destroy()
      else refuse(socket, 500, messageOf(error))
    }
  }

  /** Cuts every stream. */
  close(): void {
    for (const socket of this.#sockets) socket.destroy()
    this.#websockets.close()
  }

  async #serve(connection: Connection, [kind, namespace, name, container]: readonly string[]): Promise<void> {
    const pod = this.#parts
      .pods()
      .find(({ metadata }) => metadata.namespace === namespace && metadata.name === name)
    if (pod === undefined) throw new Refusal(404, 'pod does not exist')
    if (kind === 'portForward') return this.#portForward(connection, pod)
    if (kind !== 'exec' && kind !== 'attach') throw new Refusal(404, '404 page not found')
    const options = parseStreamOptions(connection.query)
    if (typeof options === 'string') throw new Refusal(400, options)
    const running = await this.#parts.runtime.listContainers(pod.metadata.uid)
    const found = running.find(status => status.name === container && status.state === 'running')
    if (found === undefined) throw new Refusal(500, `container not found (${JSON.stringify(container)})`)
    const command = connection.query.getAll('command')
    await this.#command(connection, { kind, containerId: found.id, command, options })
  }

  async #command(connection: Connection, command: Command): Promise<void> {
    const client = isWebsocket(connection.request)
      ? await this.#websocketClient(connection, command.options)
      : await this.#spdyClient(connection, command.options)
    if (client === null) return
    const { runtime, clock } = this.#parts
    const { kind, containerId, options } = command
    await runCommandSession({
      client,
      tty: options.tty,
      clock,
      doing: doing[kind],
      start: size =>
        kind === 'exec'
          ? runtime.execStream(containerId, command.command, { ...options, size })
          : runtime.attach(containerId, { ...options, size }),
      statusOf: code => exitStatus(command.command, kind === 'exec' ? code : 0),
    })
  }

  async #websocketClient(connection: Connection, options: StreamOptions): Promise<ClientStreams> {
    const protocol = choose(offeredProtocols(connection.request), WEBSOCKET_COMMAND)
    if (protocol === undefined) throw new Refusal(400, 'unable to negotiate a websocket protocol')
    return websocketStreams(await this.#acceptWebsocket(connection, protocol.name), protocol, options)
  }

  /** Null when the client went away or opened other streams than those it announced. */
  async #spdyClient(connection: Connection, options: StreamOptions): Promise<ClientStreams | null> {
    const { clock } = this.#parts
    const protocol = acceptSpdy(connection, SPDY_COMMAND)
    switched.add(connection.request)
    const streams = new StreamCollector(options, protocol.version)
    const spdy = this.#spdy(connection.socket, COMMAND_STREAMS_MAX, stream => streams.add(stream))
    const late = new AbortController()
    const timeout = sleep(clock, STREAMS_TIMEOUT_MS, late.signal).then(
      () => 'late' as const,
      () => 'late' as const,
    )
    const outcome = await Promise.race([streams.complete, spdy.closed.then(() => 'gone' as const), timeout])
    late.abort()
    if (outcome === undefined) return spdyStreams(spdy, streams, protocol)
    spdy.destroy()
    return null
  }

  async #portForward(connection: Connection, pod: Pod): Promise<void> {
    const target = await this.#forwardTarget(pod)
    if (!isWebsocket(connection.request)) {
      acceptSpdy(connection, [{ name: PORT_FORWARD }])
      switched.add(connection.request)
      return this.#forwardSpdy(connection.socket, target)
    }
    const offered = offeredProtocols(connection.request)
    const tunnel = offered.find(name => TUNNELLED_PORT_FORWARD.includes(name))
    if (tunnel !== undefined) {
      const websocket = await this.#acceptWebsocket(connection, tunnel)
      return this.#forwardSpdy(createWebSocketStream(websocket), target)
    }
    const protocol = choose(offered, CHANNEL_PORT_FORWARD)
    if (protocol === undefined) throw new Refusal(400, 'unable to negotiate a websocket protocol')
    const ports = parsePorts(connection.query)
    if (typeof ports === 'string') throw new Refusal(400, ports)
    const websocket = await this.#acceptWebsocket(connection, protocol.name)
    await forwardChannels(target, ports, new ChannelSocket(websocket, protocol.isBase64))
  }

  async #forwardTarget(pod: Pod): Promise<ForwardTarget> {
    const { runtime } = this.#parts
    const { uid, name, namespace } = pod.metadata
    const sandboxes = await runtime.listSandboxes()
    const sandbox = sandboxes.find(({ metadata, state }) => metadata.uid === uid && state === 'ready')
    if (sandbox === undefined) throw new Refusal(500, `pod not found ("${name}_${namespace}")`)
    return {
      podName: name ?? '',
      podUid: uid ?? '',
      connect: port => runtime.portForward(sandbox.id, port),
    }
  }

  async #forwardSpdy(socket: Duplex, target: ForwardTarget): Promise<void> {
    const pairs = new StreamPairs(target, this.#parts.clock)
    const connection = this.#spdy(socket, 2 * CONNECTIONS_MAX, stream => pairs.add(stream))
    await connection.closed
    pairs.close()
  }

  #spdy(
    socket: Duplex,
    streamsMax: number,
    onStream: ConstructorParameters<typeof SpdyConnection>[0]['onStream'] & {},
  ): SpdyConnection {
    const { clock } = this.#parts
    const after = (delayMs: number, callback: () => void) => clock.after(delayMs, callback)
    return new SpdyConnection({ socket, role: 'server', streamsMax, onStream, after })
  }

  #acceptWebsocket({ request, socket, head }: Connection, protocol: string): Promise<WebSocket> {
    chosenProtocols.set(request, protocol)
    // Names of Kubernetes' protocols hold characters that the library would refuse.
    delete request.headers['sec-websocket-protocol']
    switched.add(request)
    return new Promise((resolve, reject) => {
      const onClose = () => reject(new Mk8sError('kubelet/runtime', 'the client went away'))
      socket.once('close', onClose)
      this.#websockets.handleUpgrade(request, socket, head, websocket => {
        socket.off('close', onClose)
        resolve(websocket)
      })
    })
  }
}

interface Connection {
  readonly request: IncomingMessage
  readonly socket: TLSSocket
  readonly head: Buffer
  readonly query: URLSearchParams
}

const chosenProtocols = new WeakMap<IncomingMessage, string>()
/** Those that speak HTTP no more. */
const switched = new WeakSet<IncomingMessage>()

const isWebsocket = (request: IncomingMessage): boolean =>
  request.headers.upgrade?.toLowerCase() === 'websocket'

/** No name at all is a name too: that of the oldest protocol. */
function offeredProtocols(request: IncomingMessage): string[] {
  const names = parseProtocols(request.headers['sec-websocket-protocol'])
  return names.length === 0 ? [''] : names
}
