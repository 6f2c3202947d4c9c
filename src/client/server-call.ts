/**
 * One question to a server over its join listener, as servers and workers ask each other: with a certificate of the
 * cluster authority on both sides, JSON both ways, on a connection of its own, bounded in size.
 */
import { bracketed } from '../base/bracketed.ts'
import { type ErrorCode, errorCodes, Mk8sError } from '../base/errors.ts'
import { readBounded } from '../base/read-bounded.ts'
import { isMap } from '../kube/json-map.ts'
import { HttpsTransport } from './https-transport.ts'

const ANSWER_BYTES_MAX = 1024 * 1024
/** A name that every server's certificate has, whatever its address. */
const SERVER_NAME = 'kubernetes'

export interface ServerAddress {
  readonly host: string
  readonly port: number
}

/** `keyPem` is secret. */
export interface ServerCredentials {
  readonly caPem: string
  readonly certificatePem: string
  readonly keyPem: string
}

export interface ServerQuestion {
  readonly method: string
  readonly path: string
  readonly query?: URLSearchParams
  readonly body?: object
  readonly signal?: AbortSignal
}

export interface ServerAnswer {
  readonly status: number
  readonly answer: unknown
}

/** Rejects with `api/unreachable` when there is no answer, or none that is JSON; with the signal's reason. */
export async function askServer(
  { host, port }: ServerAddress,
  credentials: ServerCredentials,
  { method, path, query, body, signal }: ServerQuestion,
): Promise<ServerAnswer> {
  const server = `https://${bracketed(host)}:${port}`
  const transport = new HttpsTransport({ server, serverName: SERVER_NAME, ...credentials })
  try {
    const response = await transport.request({
      method,
      path,
      ...(query && { query }),
      ...(signal && { signal }),
      ...(body && {
        headers: { 'content-type': 'application/json' },
        body: Buffer.from(JSON.stringify(body)),
      }),
    })
    const tooLarge = () => unreachable(host, 'its answer is too large')
    const text = (await readBounded(response.body, ANSWER_BYTES_MAX, tooLarge)).toString('utf8')
    return { status: response.status, answer: parse(host, text) }
  } finally {
    transport.close()
  }
}

function parse(host: string, text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw unreachable(host, `it said: ${text.slice(0, 200)}`)
  }
}

const unreachable = (host: string, why: string): Mk8sError =>
  new Mk8sError('api/unreachable', `the server at ${host} gave no answer that makes sense`, { why })

/** What the server says of why it does not do it. */
export function refusalIn({ status, answer }: ServerAnswer): Mk8sError {
  const error = isMap(answer) && isMap(answer['error']) ? answer['error'] : {}
  const text = (key: string) => (typeof error[key] === 'string' ? error[key] : '')
  const code = Object.hasOwn(errorCodes, text('code')) ? (text('code') as ErrorCode) : 'api/refused'
  const [why, hint] = [text('why'), text('hint')]
  return new Mk8sError(code, text('message') || `the server answered ${status}`, {
    ...(why !== '' && { why }),
    ...(hint !== '' && { hint }),
  })
}
