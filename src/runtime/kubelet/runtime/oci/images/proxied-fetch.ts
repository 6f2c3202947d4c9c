/**
 * Requests through the proxy that the environment names, and with certificates of a server's own; `fetch` knows
 * neither.
 */
import { get as getPlain, Agent as PlainAgent } from 'node:http'
import { get as getSecure, Agent as SecureAgent } from 'node:https'
import { Readable } from 'node:stream'
import { getCACertificates } from 'node:tls'
import { Mk8sError } from '../../../../../base/errors.ts'
import type { RegistryTls } from '../../../../../kube/registries/registries.ts'

export interface FetchOptions {
  readonly headers: Readonly<Record<string, string>>
  readonly signal: AbortSignal
}

export type Fetch = (url: string, options: FetchOptions) => Promise<Response>
type Environment = Readonly<Record<string, string | undefined>>

const REDIRECTS_MAX = 10
const REDIRECTS = [301, 302, 303, 307, 308]
const NAMES = ['HTTPS_PROXY', 'https_proxy', 'HTTP_PROXY', 'http_proxy']

const NO_TLS: RegistryTls = { insecureSkipVerify: false }

/** Without a proxy or certificates, what it always was. NO_PROXY says who is asked directly. */
export function fetchFor(env: Environment, tls: RegistryTls = NO_TLS): Fetch {
  const isPlain = !tls.insecureSkipVerify && tls.ca === undefined && tls.cert === undefined
  if (isPlain && NAMES.every(name => !env[name])) return fetch
  const proxyEnv = { ...env }
  const others = { secure: new SecureAgent({ proxyEnv }), plain: new PlainAgent({ proxyEnv }) }
  const own = isPlain ? others : { ...others, secure: new SecureAgent({ proxyEnv, ...optionsOf(tls) }) }
  return async (from, { headers, signal }) => {
    let url = new URL(from)
    const { origin } = url
    let sent = headers
    for (let hops = 0; hops <= REDIRECTS_MAX; hops++) {
      // What this server's certificate may be says nothing of others.
      const response = await once(url, { headers: sent, signal }, url.origin === origin ? own : others)
      const location = response.headers.get('location')
      if (!REDIRECTS.includes(response.status) || location === null) return response
      await response.body?.cancel()
      const next = new URL(location, url)
      // What opens one server's door is not for another.
      if (next.origin !== url.origin) {
        sent = Object.fromEntries(Object.entries(sent).filter(([name]) => name !== 'authorization'))
      }
      url = next
    }
    throw new Mk8sError('kubelet/runtime', `more than ${REDIRECTS_MAX} redirections`)
  }
}

/** Directly, with these certificates and no authority beside that one. */
export function securedFetch(options: { ca: string; cert: string; key: string }): Fetch {
  const secure = new SecureAgent(options)
  const plain = new PlainAgent()
  return (url, { headers, signal }) => once(new URL(url), { headers, signal }, { secure, plain })
}

/** An authority that is given counts beside those of the system. */
const optionsOf = ({ ca, cert, key, insecureSkipVerify }: RegistryTls) => ({
  rejectUnauthorized: !insecureSkipVerify,
  ...(ca === undefined ? {} : { ca: [...getCACertificates('default'), ca] }),
  ...(cert === undefined ? {} : { cert }),
  ...(key === undefined ? {} : { key }),
})

interface Agents {
  readonly secure: SecureAgent
  readonly plain: PlainAgent
}

function once(url: URL, { headers, signal }: FetchOptions, { secure, plain }: Agents): Promise<Response> {
  const { promise, resolve, reject } = Promise.withResolvers<Response>()
  const request =
    url.protocol === 'https:'
      ? getSecure(url, { headers, signal, agent: secure })
      : getPlain(url, { headers, signal, agent: plain })
  request.once('error', reject).once('response', message => {
    const { statusCode = 502, statusMessage = '' } = message
    const all = Object.entries(message.headers).map(([name, value]) => [name, String(value)] as const)
    const body = Readable.toWeb(message) as ReadableStream<Uint8Array>
    resolve(
      new Response(body, {
        status: statusCode,
        statusText: statusMessage,
        headers: new Headers(all.map(e => [...e])),
      }),
    )
  })
  return promise
}
