/** The streams of exec and attach over SPDY: the client opens one for each name, in any order. */
import type { Readable } from 'node:stream'
import { finished } from 'node:stream/promises'
import type { Status } from '../../../kube/status.ts'
import type { StreamOptions } from '../runtime/streams.ts'
import { type ClientStreams, ResizeEvents } from './client-streams.ts'
import { encodeStatus } from './exit-status.ts'
import type { RemoteCommandProtocol } from './protocols.ts'
import type { SpdyConnection } from './spdy/connection.ts'
import type { SpdyStream } from './spdy/stream.ts'
import { TerminalSizes } from './terminal-sizes.ts'

/** The header that says what a stream is for. */
export const STREAM_TYPE = 'streamtype'
const RESIZE_VERSION = 3

/** What the client has to open before anything starts. */
function expectedStreams(options: StreamOptions, version: number): string[] {
  return [
    'error',
    ...(options.stdin ? ['stdin'] : []),
    ...(options.stdout ? ['stdout'] : []),
    ...(options.stderr ? ['stderr'] : []),
    ...(options.tty && version >= RESIZE_VERSION ? ['resize'] : []),
  ]
}

/** Collects the streams as they are opened. */
export class StreamCollector {
  readonly #expected: Set<string>
  readonly #found = new Map<string, SpdyStream>()
  readonly #complete = Promise.withResolvers<void>()

  constructor(options: StreamOptions, version: number) {
    this.#expected = new Set(expectedStreams(options, version))
  }

  add(stream: SpdyStream): void {
    const name = stream.headers.get(STREAM_TYPE) ?? ''
    if (!this.#expected.has(name) || this.#found.has(name)) {
      stream.destroy()
      return
    }
    this.#found.set(name, stream)
    if (this.#found.size === this.#expected.size) this.#complete.resolve()
  }

  get(name: string): SpdyStream | null {
    return this.#found.get(name) ?? null
  }

  get complete(): Promise<void> {
    return this.#complete.promise
  }
}

export function spdyStreams(
  connection: SpdyConnection,
  streams: StreamCollector,
  protocol: RemoteCommandProtocol,
): ClientStreams {
  const resizes = new ResizeEvents()
  const resize = streams.get('resize')
  if (resize !== null) followSizes(resize, resizes)
  const error = streams.get('error')
  const [stdin, stdout, stderr] = ['stdin', 'stdout', 'stderr'].map(name => streams.get(name))
  // The client sends nothing on these, but their ends have to be seen.
  for (const stream of [error, stdout, stderr]) stream?.resume()
  return {
    stdin: stdin ?? null,
    stdout: stdout ?? null,
    stderr: stderr ?? null,
    onResize: listener => resizes.listen(listener),
    closed: connection.closed,
    async finish(status: Status) {
      const ends = [stdout, stderr, error].filter(stream => stream !== null && stream !== undefined)
      error?.write(encodeStatus(status, protocol.version))
      for (const stream of ends) stream.end()
      await Promise.all(ends.map(stream => finished(stream, { readable: false }).catch(() => {})))
      connection.end()
      await connection.closed
    },
  }
}

function followSizes(stream: Readable, resizes: ResizeEvents): void {
  const sizes = new TerminalSizes()
  stream.on('data', (data: Buffer) => resizes.emit(sizes.push(data)))
}
