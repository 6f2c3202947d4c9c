/** One request with its answer, as the parts of the registry see it. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Clock } from '../../base/clock.ts'
import { RegistryError } from './registry-error.ts'

export interface Exchange {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly query: URLSearchParams
}

export type Headers = Readonly<Record<string, string | number>>

export function answer({ response, request }: Exchange, status: number, headers: Headers, body = ''): void {
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value)
  if (status !== 204 && response.getHeader('content-length') === undefined) {
    response.setHeader('content-length', Buffer.byteLength(body))
  }
  response.statusCode = status
  if (request.method === 'HEAD') response.end()
  else response.end(body)
}

/** The rest of a refused body is read for so long, so that the client gets to read why. */
const REFUSED_MS_MAX = 5_000

interface EarlyAnswer {
  readonly status: number
  readonly headers: Headers
  readonly body: string
  readonly clock: Clock
}

/** To a request whose body is still coming: a connection that was simply closed would lose the answer. */
export function answerEarly(
  { request, response }: Exchange,
  { status, headers, body, clock }: EarlyAnswer,
): void {
  const length = Buffer.byteLength(body)
  response.writeHead(status, { ...headers, 'content-length': length, connection: 'close' })
  response.write(body)
  const timer = clock.after(REFUSED_MS_MAX, () => request.socket.destroy())
  request.once('end', () => response.end())
  response.once('close', () => timer.cancel())
  request.resume()
}

export const answerJson = (exchange: Exchange, value: unknown, headers: Headers = {}): void =>
  answer(exchange, 200, { 'content-type': 'application/json', ...headers }, JSON.stringify(value))

/** Undefined when the request does not say how long its body is. */
export function declaredLength(request: IncomingMessage): number | undefined {
  const text = request.headers['content-length']
  return text === undefined ? undefined : Number(text)
}

const COUNT_MAX = 10_000

/** The parameters `n` and `last` of a list; a page has at most 10,000 entries. */
export function pageAsked(query: URLSearchParams): { readonly count: number; readonly last: string } {
  const text = query.get('n')
  if (text !== null && !/^\d{1,9}$/.test(text)) {
    throw new RegistryError('UNSUPPORTED', { status: 400, detail: 'n is not a number' })
  }
  return {
    count: Math.min(text === null ? COUNT_MAX : Number(text), COUNT_MAX),
    last: query.get('last') ?? '',
  }
}

/** Where the rest of a list is. */
export function nextLink(path: string, parameters: Readonly<Record<string, string | number>>): Headers {
  const query = new URLSearchParams(Object.entries(parameters).map(([key, value]) => [key, String(value)]))
  return { link: `<${path}?${query}>; rel="next"` }
}
