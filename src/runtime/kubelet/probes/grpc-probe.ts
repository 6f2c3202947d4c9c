/** `grpc.health.v1.Health/Check`: a message of one string, answered by a message of one number (1: serving). */
import { connect as http2Connect, type IncomingHttpHeaders } from 'node:http2'

export interface GrpcTarget {
  /** Host and port. */
  readonly authority: string
  readonly service: string
  readonly timeoutMs: number
}

const STATUSES = ['UNKNOWN', 'SERVING', 'NOT_SERVING', 'SERVICE_UNKNOWN']
const CODES = [
  ...['OK', 'Canceled', 'Unknown', 'InvalidArgument', 'DeadlineExceeded', 'NotFound', 'AlreadyExists'],
  ...['PermissionDenied', 'ResourceExhausted', 'FailedPrecondition', 'Aborted', 'OutOfRange'],
  ...['Unimplemented', 'Internal', 'Unavailable', 'DataLoss', 'Unauthenticated'],
]
const UNIMPLEMENTED = 12
/** Of an answer. */
const BYTES_MAX = 1_024
const HEAD_BYTES = 5

/** Empty when the service serves, else what is wrong, in upstream's words. */
export function grpcProbe({ authority, service, timeoutMs }: GrpcTarget): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>()
  const session = http2Connect(`http://${authority}`)
  const within = `${timeoutMs / 1_000}s`
  let isConnected = false
  const timer = setTimeout(
    () =>
      end(
        isConnected
          ? `timeout: health rpc did not complete within ${within}`
          : `timeout: failed to connect service "${authority}" within ${within}: context deadline exceeded`,
      ),
    timeoutMs,
  )
  const end = (problem: string) => {
    clearTimeout(timer)
    session.destroy()
    resolve(problem)
  }
  session.once('connect', () => {
    isConnected = true
  })
  session.once('error', error => end(`error: failed to connect service at "${authority}": ${error.message}`))
  const stream = session.request({
    ':method': 'POST',
    ':path': '/grpc.health.v1.Health/Check',
    'content-type': 'application/grpc',
    'user-agent': 'kube-probe/1.36',
    te: 'trailers',
  })
  let body = Buffer.alloc(0)
  let told: IncomingHttpHeaders = {}
  stream.on('response', headers => {
    told = headers
  })
  stream.on('trailers', trailers => {
    told = { ...told, ...trailers }
  })
  stream.on('data', (chunk: Buffer) => {
    body = Buffer.concat([body, chunk]).subarray(0, BYTES_MAX)
  })
  stream.once('error', error => end(`error: health rpc probe failed: ${error.message}`))
  stream.once('end', () => end(problemOf(told, body.subarray(HEAD_BYTES))))
  stream.end(frameOf(service))
  return promise
}

function frameOf(service: string): Buffer {
  const name = Buffer.from(service)
  const message =
    name.length === 0 ? name : Buffer.concat([Buffer.from([0x0a, ...varint(name.length)]), name])
  const head = Buffer.alloc(HEAD_BYTES)
  head.writeUInt32BE(message.length, 1)
  return Buffer.concat([head, message])
}

function varint(value: number): number[] {
  return value < 128 ? [value] : [(value & 127) | 128, ...varint(value >>> 7)]
}

function problemOf(told: IncomingHttpHeaders, message: Buffer): string {
  const code = Number(told['grpc-status'] ?? 0)
  const said = unescaped(String(told['grpc-message'] ?? ''))
  if (code === UNIMPLEMENTED) {
    return `error: this server does not implement the grpc health protocol (grpc.health.v1.Health): ${said}`
  }
  if (code !== 0)
    return `error: health rpc probe failed: rpc error: code = ${CODES[code] ?? code} desc = ${said}`
  if (told[':status'] !== undefined && Number(told[':status']) !== 200) {
    return `error: health rpc probe failed: unexpected HTTP status code received from server: ${told[':status']}`
  }
  const status = message[0] === 0x08 ? (message[1] ?? 0) : 0
  return status === 1 ? '' : `service unhealthy (responded with "${STATUSES[status] ?? status}")`
}

function unescaped(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
