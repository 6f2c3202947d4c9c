/** Turns results into responses: objects and Status in the format the client asked for, warnings as headers. */
import type { KubeResponse } from '../../../client/transport.ts'
import type { StatusError } from '../../../kube/status.ts'
import { type Encoding, jsonEncoding } from '../negotiation/encodings.ts'

const NO_CACHE = 'no-cache, private'
const WARNING_BYTES_MAX = 4096

/** `Warning: 299 - "text"` headers, joined as HTTP allows. */
export function warningHeaders(warnings: readonly string[]): Record<string, string> {
  if (warnings.length === 0) return {}
  const items: string[] = []
  let bytes = 0
  for (const warning of new Set(warnings)) {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters must not reach a header
    const text = warning.replace(/[\u0000-\u001f\u007f]/g, ' ').replace(/["\\]/g, '\\$&')
    const item = `299 - "${Buffer.from(text, 'utf8').toString('latin1')}"`
    bytes += item.length
    if (bytes > WARNING_BYTES_MAX) break
    items.push(item)
  }
  return { warning: items.join(', ') }
}

/** Any JSON value as the body. */
export function valueResponse(
  status: number,
  value: unknown,
  encoding: Encoding = jsonEncoding,
  headers: Readonly<Record<string, string>> = {},
): KubeResponse {
  const body = Buffer.concat([encoding.encode(value), encoding.end])
  return bytesResponse(status, body, headers, encoding)
}

/** Bytes that are encoded already. */
export function bytesResponse(
  status: number,
  body: KubeResponse['body'],
  headers: Readonly<Record<string, string>> = {},
  encoding: Encoding = jsonEncoding,
): KubeResponse {
  return {
    status,
    headers: { 'content-type': encoding.mediaType, 'cache-control': NO_CACHE, ...headers },
    body,
  }
}

export function textResponse(
  status: number,
  text: string,
  headers: Record<string, string> = {},
): KubeResponse {
  return {
    status,
    headers: {
      'content-type': 'text/plain; charset=utf-8',
      'cache-control': NO_CACHE,
      'x-content-type-options': 'nosniff',
      ...headers,
    },
    body: Buffer.from(text),
  }
}

/**
 * The Status body of a failure, with Retry-After where waiting helps. A 429 says itself when: an eviction that a
 * budget refuses does not, because clients would try again by themselves, beyond the time that their user gave them.
 */
export function errorResponse(error: StatusError, encoding?: Encoding): KubeResponse {
  const seconds = error.status.details?.retryAfterSeconds ?? 0
  const wait = seconds > 0 ? seconds : error.code === 503 ? 1 : 0
  const headers: Record<string, string> = wait > 0 ? { 'retry-after': String(wait) } : {}
  return valueResponse(error.code, error.status, encoding, headers)
}
