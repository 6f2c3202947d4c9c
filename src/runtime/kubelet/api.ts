/**
 * The kubelet's HTTPS port: logs, streams, pods and usage, for whom the API server says that they may. A client that
 * nobody knows gets `/healthz` and nothing else.
 */

import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer, type Server } from 'node:https'
import type { TLSSocket } from 'node:tls'
import { type Clock, sleep } from '../../base/clock.ts'
import { Mk8sError, messageOf, systemCodeOf } from '../../base/errors.ts'
import type { Log } from '../../base/log.ts'
import type { Pod } from '../../kube/types.ts'
import type { KubeletAccess } from './access.ts'
import { ImageDistribution } from './image-distribution.ts'
import type { KubeletCertificates, KubeletParts } from './kubelet-parts.ts'
import { type LogOptions, readLog } from './log-reader.ts'
import { containerNamed } from './pod-containers.ts'
import type { ContainerStatus, Runtime } from './runtime/runtime.ts'
import type { Diagnostics } from './stats/diagnostics.ts'
import { refuse } from './streaming/handshake.ts'
import { StreamingServer } from './streaming/streaming-server.ts'
import { serveSystemLogs } from './system-logs.ts'
import { isHostpathName, removeHostpathDirectory } from './volumes/hostpath-directories.ts'

export interface KubeletServerParts {
  readonly address: string
  readonly port: number
  readonly certificates: KubeletCertificates
  readonly runtime: Runtime
  readonly clock: Clock
  readonly log: Log
  readonly pods: () => readonly Pod[]
  readonly access: Pick<KubeletAccess, 'judge'>
  readonly diagnostics: Pick<Diagnostics, 'answer' | 'healthAsked'>
  /** Where the directories of `hostpath-storage` lie. */
  readonly volumesDirectory: string
  /** The directory behind `/logs/`; the machine's unless given. */
  readonly systemLogs?: string | undefined
  readonly importImages?: KubeletParts['importImages'] | undefined
  readonly removeImages?: KubeletParts['removeImages'] | undefined
  readonly upgrade?: KubeletParts['upgrade'] | undefined
}

const CONNECTIONS_MAX = 1_024
const STREAMS = ['exec', 'attach', 'portForward']
const LATER = ['run', 'cri', 'debug']
/** As upstream's kubelet serves it. */
const SYSTEM_LOGS = '/var/log'
/** How often a followed container is looked at for its end when nothing is written. */
const END_CHECK_MS = 1_000

export class KubeletServer {
  readonly #parts: KubeletServerParts
  readonly #server: Server
  readonly #streaming: StreamingServer
  readonly #distribution: ImageDistribution

  constructor(parts: KubeletServerParts) {
    this.#parts = parts
    const { certificate, key, clientAuthority } = parts.certificates
    const tls = { cert: certificate, key, ca: clientAuthority, minVersion: 'TLSv1.2' as const }
    this.#server = createServer(
      { ...tls, requestCert: true, rejectUnauthorized: false },
      (request, response) => {
        this.#handle(request, response).catch(error => fail(response, error))
      },
    )
    this.#server.maxConnections = CONNECTIONS_MAX
    this.#server.on('tlsClientError', () => {})
    this.#streaming = new StreamingServer(parts)
    this.#distribution = new ImageDistribution(parts.runtime.content)
    this.#server.on('upgrade', (request, socket, head) => {
      this.#upgrade(request, socket as TLSSocket, head).catch(() => socket.destroy())
    })
  }

  async listen(): Promise<void> {
    const { address, port } = this.#parts
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', error => reject(listenError(error, address, port)))
      this.#server.listen(port, address, resolve)
    })
  }

  /** New connections get these from now on. */
  useCertificates({ certificate, key, clientAuthority }: KubeletCertificates): void {
    this.#server.setSecureContext({ cert: certificate, key, ca: clientAuthority, minVersion: 'TLSv1.2' })
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections()
    this.#streaming.close()
    await new Promise<void>(resolve => {
      this.#server.close(() => resolve())
    })
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { url, path } = parseUrl(request)
    const [first = '', ...rest] = path
    if (url.pathname === '/healthz') {
      this.#parts.diagnostics.healthAsked()
      return answer(response, 200, 'ok')
    }
    const verdict = await this.#parts.access.judge(request, first)
    if (verdict !== 200) return answer(response, verdict, verdict === 401 ? 'Unauthorized' : 'Forbidden')
    const found =
      request.method === 'GET' ? await this.#parts.diagnostics.answer(url.pathname, url.searchParams) : null
    if (found !== null) {
      response.setHeader('content-type', found.type)
      return answer(response, 200, found.body)
    }
    if (first === 'containerLogs' && rest.length === 3) {
      const [namespace = '', pod = '', container = ''] = rest
      return this.#logs({ namespace, pod, container, query: url.searchParams }, response)
    }
    if (first === 'v2') return this.#distribution.answer(request, response, url)
    if (first === 'images' && rest.length === 0) return this.#changeImages(request, response, url)
    const { upgrade } = this.#parts
    if (first === 'upgrade' && rest.length === 0 && upgrade !== undefined) return upgrade(request, response)
    if (first === 'hostpath-volumes') return this.#removeVolume(request.method, rest, response)
    if (first === 'logs') {
      const at = { root: this.#parts.systemLogs ?? SYSTEM_LOGS, path: behindFirst(url) }
      return serveSystemLogs(at, request, response)
    }
    if (first === 'checkpoint') return this.#checkpoint(request.method, rest, response)
    if (STREAMS.includes(first)) return answer(response, 400, 'Upgrade request required')
    if (LATER.includes(first)) return answer(response, 501, `${first} is not implemented by this kubelet yet`)
    answer(response, 404, '404 page not found')
  }

  /** No runtime of ours can; who asks for what is not there is told that first. */
  async #checkpoint(
    method: string | undefined,
    path: readonly string[],
    response: ServerResponse,
  ): Promise<void> {
    if (method !== 'POST') return answer(response, 405, 'Method Not Allowed')
    const [namespace, name, container] = path
    const pod = this.#parts
      .pods()
      .find(({ metadata }) => metadata.namespace === namespace && metadata.name === name)
    if (pod === undefined) return answer(response, 404, 'pod does not exist')
    if (containerNamed(pod, container) === undefined) {
      return answer(response, 404, `container ${container} does not exist`)
    }
    const why = `the runtime ${this.#parts.runtime.name} cannot checkpoint containers`
    answer(response, 500, `checkpointing of ${namespace}/${name}/${container} failed (${why})`)
  }

  async #upgrade(request: IncomingMessage, socket: TLSSocket, head: Buffer): Promise<void> {
    const { path } = parseUrl(request)
    const verdict = await this.#parts.access.judge(request, path[0] ?? '')
    if (verdict !== 200) return refuse(socket, verdict, verdict === 401 ? 'Unauthorized' : 'Forbidden')
    await this.#streaming.upgrade(request, socket, head, path)
  }

  /** Sent by `mk8s images import|remove --all-nodes` on a server. */
  async #changeImages(request: IncomingMessage, response: ServerResponse, url: URL): Promise<void> {
    const { importImages, removeImages } = this.#parts
    const archive = request.iterator({ destroyOnReturn: false }) as AsyncIterable<Uint8Array>
    const { searchParams } = url
    const works: Record<string, (() => Promise<readonly string[]>) | undefined> = {
      POST: importImages && (() => importImages(archive)),
      DELETE:
        removeImages &&
        (() => removeImages(searchParams.getAll('name'), searchParams.get('force') === 'true')),
    }
    const work = works[request.method ?? '']
    if (work === undefined) return answer(response, 405, 'Method Not Allowed')
    try {
      const images = await work()
      response.setHeader('content-type', 'application/json')
      answer(response, 200, JSON.stringify({ images }))
    } catch (error) {
      const why = error instanceof Mk8sError && error.why !== undefined ? `: ${error.why}` : ''
      answer(response, 422, `${messageOf(error)}${why}`)
    } finally {
      request.resume()
    }
  }

  /** Asked by the leader once nobody has the volume any more. */
  async #removeVolume(
    method: string | undefined,
    path: readonly string[],
    response: ServerResponse,
  ): Promise<void> {
    const [name = ''] = path
    if (method !== 'DELETE') return answer(response, 405, 'Method Not Allowed')
    if (path.length !== 1 || !isHostpathName(name)) return answer(response, 400, 'not the name of a volume')
    await removeHostpathDirectory(this.#parts.volumesDirectory, name)
    response.setHeader('content-type', 'application/json')
    answer(
      response,
      200,
      JSON.stringify({ kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success' }),
    )
  }

  async #logs(
    target: { namespace: string; pod: string; container: string; query: URLSearchParams },
    response: ServerResponse,
  ): Promise<void> {
    const options = parseOptions(target.query, this.#parts.clock.now())
    if (typeof options === 'string') return answer(response, 400, options)
    const pod = this.#parts
      .pods()
      .find(({ metadata }) => metadata.namespace === target.namespace && metadata.name === target.pod)
    if (pod === undefined) return answer(response, 404, `pod "${target.pod}" does not exist`)
    const previous = target.query.get('previous') === 'true'
    const found = await this.#containerOf(pod, target.container, previous)
    if (typeof found === 'string') return answer(response, 400, found)
    const gone = new AbortController()
    response.once('close', () => gone.abort())
    response.writeHead(200, { 'content-type': 'text/plain', 'transfer-encoding': 'chunked' })
    response.flushHeaders()
    const ended = options.follow ? this.#endOf(found.id, gone.signal) : Promise.resolve()
    try {
      for await (const chunk of readLog({ path: found.logPath, ended, signal: gone.signal }, options)) {
        if (gone.signal.aborted) break
        if (!response.write(chunk)) await drained(response, gone.signal)
      }
    } catch (error) {
      if (systemCodeOf(error) !== 'ENOENT') throw error
    }
    response.end()
  }

  /** The container whose log is wanted, or why there is none. */
  async #containerOf(pod: Pod, name: string, previous: boolean): Promise<ContainerStatus | string> {
    const podName = pod.metadata.name
    if (containerNamed(pod, name) === undefined) {
      return `container "${name}" in pod "${podName}" is not available`
    }
    const all = await this.#parts.runtime.listContainers(pod.metadata.uid)
    const attempts = all.filter(status => status.name === name).sort((a, b) => b.attempt - a.attempt)
    if (previous) {
      const last = attempts.filter(({ state }) => state !== 'running')
      const before = attempts[0]?.state === 'running' ? last[0] : (attempts[1] ?? undefined)
      return before ?? `previous terminated container "${name}" in pod "${podName}" not found`
    }
    const latest = attempts.find(({ state }) => state !== 'created') ?? attempts[0]
    if (latest !== undefined) return latest
    const {
      initContainerStatuses = [],
      containerStatuses = [],
      ephemeralContainerStatuses = [],
    } = pod.status ?? {}
    const statuses = [...initContainerStatuses, ...containerStatuses, ...ephemeralContainerStatuses]
    const reason =
      statuses.find(status => status.name === name)?.state?.waiting?.reason ?? 'ContainerCreating'
    return `container "${name}" in pod "${podName}" is waiting to start: ${reason}`
  }

  /** Looked at while somebody follows, and not otherwise. */
  async #endOf(id: string, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const status = await this.#parts.runtime.containerStatus(id)
      if (status === null || status.state === 'exited') return
      await sleep(this.#parts.clock, END_CHECK_MS, signal).catch(() => {})
    }
  }
}

/** The path behind its first word, as it is on the disk. */
function behindFirst({ pathname }: URL): string {
  const [, , ...rest] = pathname.split('/')
  try {
    return rest.map(decodeURIComponent).join('/')
  } catch {
    return '\0'
  }
}

function parseUrl(request: IncomingMessage): { url: URL; path: string[] } {
  const url = new URL(request.url ?? '/', 'https://kubelet')
  return { url, path: url.pathname.slice(1).split('/').map(decodeURIComponent) }
}

function parseOptions(query: URLSearchParams, nowMs: number): LogOptions | string {
  const numbers = new Map<string, number>()
  for (const name of ['tailLines', 'limitBytes', 'sinceSeconds']) {
    const text = query.get(name)
    if (text === null) continue
    const least = name === 'tailLines' ? 0 : 1
    if (!/^\d+$/.test(text) || Number(text) < least) return `invalid ${name}: ${JSON.stringify(text)}`
    numbers.set(name, Number(text))
  }
  const since = query.get('sinceTime')
  const sinceMs = since === null ? undefined : Date.parse(since)
  if (Number.isNaN(sinceMs)) return `invalid sinceTime: ${JSON.stringify(since)}`
  const seconds = numbers.get('sinceSeconds')
  return {
    follow: query.get('follow') === 'true',
    timestamps: query.get('timestamps') === 'true',
    tailLines: numbers.get('tailLines'),
    limitBytes: numbers.get('limitBytes'),
    sinceMs: seconds === undefined ? sinceMs : nowMs - seconds * 1_000,
  }
}

function drained(response: ServerResponse, signal: AbortSignal): Promise<void> {
  return new Promise(resolve => {
    response.once('drain', resolve)
    signal.addEventListener('abort', () => resolve(), { once: true })
  })
}

function answer(response: ServerResponse, status: number, body: string): void {
  response.statusCode = status
  response.end(body)
}

function fail(response: ServerResponse, error: unknown): void {
  if (response.headersSent) response.destroy()
  else answer(response, 500, messageOf(error))
}

function listenError(cause: Error, address: string, port: number): Mk8sError {
  if (systemCodeOf(cause) !== 'EADDRINUSE') {
    return new Mk8sError('host/port-taken', `the kubelet cannot listen on ${address}:${port}`, {
      why: cause.message,
      cause,
    })
  }
  return new Mk8sError('host/port-taken', `the kubelet's port ${address}:${port} is in use`, {
    hint: `Find the program with \`ss -ltnp 'sport = :${port}'\` and stop it.`,
    cause,
  })
}
