/**
 * The client of a runtime's streaming server, whose addresses CRI hands out: SPDY/3.1, which all of them speak and
 * which, other than their websockets, can tell the end of the input.
 */
import { request } from 'node:http'
import { Duplex, Readable } from 'node:stream'
import { type Clock, sleep } from '../../../../base/clock.ts'
import { Mk8sError, messageOf } from '../../../../base/errors.ts'
import { PORT_FORWARD } from '../../streaming/protocols.ts'
import { SpdyConnection } from '../../streaming/spdy/connection.ts'
import type { SpdyStream } from '../../streaming/spdy/stream.ts'
import { STREAM_TYPE } from '../../streaming/spdy-streams.ts'
import type { ContainerStreams, StreamOptions } from '../streams.ts'

const COMMAND_PROTOCOL = 'v4.channel.k8s.io'
/** Names the sandbox, where the kubelet names the pod. */
const FORWARD_HEAD = /^error forwarding port \d+ to pod \S+, uid \S*: /
const CONNECT_MS = 10_000
/** How long a runtime may take to say what went wrong once a connection is over. */
const REFUSAL_MS_MAX = 2_000
const STATUS_BYTES_MAX = 64 * 1024
/** The server opens no streams. */
const STREAMS_MAX = 8

export async function openSpdyStreams(
  url: string,
  options: StreamOptions,
  clock: Clock,
): Promise<ContainerStreams> {
  const connection = await connect(url, COMMAND_PROTOCOL, clock)
  const open = (name: string) => connection.open(new Map([[STREAM_TYPE, name]]))
  const error = open('error')
  error.end()
  const stdin = options.stdin ? open('stdin') : null
  stdin?.resume()
  const [stdout, stderr] = [
    options.stdout ? open('stdout') : null,
    options.stderr && !options.tty ? open('stderr') : null,
  ]
  const resizes = options.tty ? open('resize') : null
  resizes?.resume()
  const resize: ContainerStreams['resize'] = ({ width, height }) => {
    if (resizes?.writable) resizes.write(`${JSON.stringify({ Width: width, Height: height })}\n`)
  }
  if (options.size !== undefined) resize(options.size)
  return {
    stdin,
    stdout,
    stderr,
    resize,
    exited: readStatus(error).then(text => {
      void sleep(clock, CONNECT_MS).then(() => connection.destroy())
      return exitCodeIn(text)
    }),
    close: () => connection.destroy(),
  }
}

/** A connection to a port in the sandbox. */
export async function openSpdyPort(url: string, port: number, clock: Clock): Promise<Duplex> {
  const connection = await connect(url, PORT_FORWARD, clock)
  const open = (name: string) => {
    const headers = { [STREAM_TYPE]: name, port: String(port), requestid: '0' }
    return connection.open(new Map(Object.entries(headers)))
  }
  const error = open('error')
  error.end()
  const refusal = readStatus(error)
  const data = open('data')
  data.once('close', () => {
    const late = clock.after(REFUSAL_MS_MAX, () => connection.destroy())
    void refusal.finally(() => {
      late.cancel()
      connection.destroy()
    })
  })
  const pair = { readable: Readable.from(untilRefused(data, refusal)), writable: data }
  // Node takes a pair of its own streams too; its types only know those of the web.
  return Duplex.from(pair as unknown as Iterable<unknown>)
}

/** What went wrong may come in the same moment as the end of the data, so the end waits for it. */
async function* untilRefused(data: Duplex, refusal: Promise<string>): AsyncGenerator<unknown> {
  for await (const chunk of data.iterator({ destroyOnReturn: false })) yield chunk
  const text = await refusal
  if (text !== '') throw new Mk8sError('kubelet/runtime', text.replace(FORWARD_HEAD, ''))
}

async function connect(url: string, protocol: string, clock: Clock): Promise<SpdyConnection> {
  const socket = await upgrade(url, protocol, clock)
  const after = (delayMs: number, callback: () => void) => clock.after(delayMs, callback)
  return new SpdyConnection({ socket, role: 'client', streamsMax: STREAMS_MAX, after })
}

async function readStatus(stream: SpdyStream): Promise<string> {
  let text = ''
  try {
    for await (const chunk of stream) text = (text + String(chunk)).slice(0, STATUS_BYTES_MAX)
  } catch {
    // The server broke off: there is no status then.
  }
  return text
}

function upgrade(url: string, protocol: string, clock: Clock): Promise<Duplex> {
  return new Promise((resolve, reject) => {
    const fail = (why: string, cause?: unknown) =>
      reject(new Mk8sError('kubelet/runtime', `the container runtime refuses to stream: ${why}`, { cause }))
    const outgoing = request(url, {
      method: 'POST',
      headers: { connection: 'Upgrade', upgrade: 'SPDY/3.1', 'x-stream-protocol-version': protocol },
    })
    const late = clock.after(CONNECT_MS, () => outgoing.destroy(new Error('no answer in time')))
    outgoing.once('upgrade', (_response, socket, head) => {
      late.cancel()
      if (head.length > 0) socket.unshift(head)
      resolve(socket)
    })
    outgoing.once('response', response => {
      late.cancel()
      response.resume()
      fail(`HTTP status ${response.statusCode}`)
    })
    outgoing.on('error', error => {
      late.cancel()
      fail(messageOf(error), error)
    })
    outgoing.end()
  })
}

interface ExitStatus {
  readonly status?: string
  readonly details?: { readonly causes?: readonly { readonly reason?: string; readonly message?: string }[] }
}

/** Of the Status that ends a stream. */
function exitCodeIn(text: string): number {
  try {
    const { status, details } = JSON.parse(text) as ExitStatus
    if (status === 'Success') return 0
    const cause = details?.causes?.find(({ reason }) => reason === 'ExitCode')
    return cause?.message === undefined ? 1 : Number(cause.message)
  } catch {
    return 1
  }
}
