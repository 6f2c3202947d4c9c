/** What the dashboard answers, with the headers that keep a browser from doing anything else with it. */
import type { Http2ServerResponse } from 'node:http2'

const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
].join('; ')

/** No Strict-Transport-Security: it would hold for all ports of the host. */
export const SECURITY_HEADERS: Readonly<Record<string, string>> = {
  'content-security-policy': POLICY,
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'permissions-policy': 'camera=(), geolocation=(), microphone=(), payment=(), usb=()',
}

type Headers = Readonly<Record<string, string | number>>

export function answer(
  response: Http2ServerResponse,
  status: number,
  { headers = {}, body }: { readonly headers?: Headers; readonly body?: Uint8Array | string },
): void {
  if (response.stream?.destroyed || response.writableEnded) return
  response.writeHead(status, { ...SECURITY_HEADERS, ...headers })
  if (body === undefined) response.end()
  else response.end(body)
}

export const answerJson = (
  response: Http2ServerResponse,
  status: number,
  value: unknown,
  headers: Headers = {},
): void =>
  answer(response, status, {
    headers: { 'content-type': 'application/json', 'cache-control': 'no-store', ...headers },
    body: JSON.stringify(value),
  })

/** In the form of the API server's own refusals, so that the page reads one form. */
export const refuse = (
  response: Http2ServerResponse,
  status: number,
  message: string,
  headers: Headers = {},
): void => answerJson(response, status, { kind: 'Status', status: 'Failure', code: status, message }, headers)
