/** Plain HTTPS requests to a cluster's API server, with whatever credentials and body a test wants. */

import { readFileSync } from 'node:fs'
import { request } from 'node:https'
import { load } from 'js-yaml'

export interface ApiAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly text: string
  /** The body as JSON; an empty object when it is none. */
  readonly body: ApiBody
}

/** A loosely typed API object or Status: tests look at what they name. */
export interface ApiBody {
  readonly kind?: string
  readonly code?: number
  readonly reason?: string
  readonly message?: string
  readonly metadata?: Readonly<Record<string, unknown>>
  readonly [field: string]: unknown
}

export interface ApiCall {
  readonly method?: string
  readonly body?: string | Buffer | object
  readonly headers?: Readonly<Record<string, string>>
  /** Bearer token instead of the client certificate. */
  readonly token?: string
  /** No credentials at all. */
  readonly anonymous?: boolean
  /** Another client certificate. */
  readonly identity?: { readonly cert: string; readonly key: string }
}

interface Kubeconfig {
  readonly clusters: readonly { readonly cluster: { server: string; 'certificate-authority-data': string } }[]
  readonly users: readonly { readonly user: Record<string, string> }[]
}

const REQUEST_TIMEOUT_MS = 60_000
const decode = (value: string | undefined) => Buffer.from(value ?? '', 'base64')

/** The server of a kubeconfig, and the certificate of its user. */
export function credentialsOf(kubeconfig: string) {
  const config = load(readFileSync(kubeconfig, 'utf8')) as Kubeconfig
  const cluster = config.clusters[0]?.cluster
  const user = config.users[0]?.user ?? {}
  if (!cluster) throw new Error('the kubeconfig names no cluster')
  return {
    server: cluster.server,
    ca: decode(cluster['certificate-authority-data']),
    cert: decode(user['client-certificate-data']),
    key: decode(user['client-key-data']),
  }
}

export function apiFor(kubeconfig: string) {
  const { server, ca, ...admin } = credentialsOf(kubeconfig)

  return (path: string, call: ApiCall = {}): Promise<ApiAnswer> =>
    new Promise((resolve, reject) => {
      const plain = call.token !== undefined || call.anonymous === true
      const raw = typeof call.body === 'string' || Buffer.isBuffer(call.body)
      const body =
        call.body === undefined || raw
          ? (call.body as string | Buffer | undefined)
          : JSON.stringify(call.body)
      const outgoing = request(
        new URL(path, server),
        {
          method: call.method ?? (body === undefined ? 'GET' : 'POST'),
          ca,
          ...(plain ? {} : (call.identity ?? admin)),
          agent: false,
          timeout: REQUEST_TIMEOUT_MS,
          headers: {
            ...(body === undefined
              ? {}
              : { 'content-type': 'application/json', 'content-length': String(Buffer.byteLength(body)) }),
            ...(call.token === undefined ? {} : { authorization: `Bearer ${call.token}` }),
            ...call.headers,
          },
        },
        response => {
          const chunks: Buffer[] = []
          response.on('data', (chunk: Buffer) => chunks.push(chunk))
          response.on('error', reject)
          response.on('end', () => {
            const text = Buffer.concat(chunks).toString('utf8')
            resolve({ status: response.statusCode ?? 0, headers: response.headers, text, body: parse(text) })
          })
        },
      )
      outgoing.on('timeout', () => outgoing.destroy(new Error(`no answer to ${path}`)))
      outgoing.on('error', reject)
      outgoing.end(body)
    })
}

export type Api = ReturnType<typeof apiFor>

function parse(text: string): ApiBody {
  try {
    return JSON.parse(text) as ApiBody
  } catch {
    return {}
  }
}
