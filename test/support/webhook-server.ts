/** A webhook on loopback with an authority of its own: it answers reviews as the test says and remembers them. */
import { createServer, type Server } from 'node:https'
import type { AddressInfo } from 'node:net'
import { systemClock } from '../../src/base/clock.ts'
import { systemRandom } from '../../src/base/random.ts'
import { generateKey, issueAuthority, issueLeaf, type PemPair } from '../../src/runtime/pki/issue.ts'
import { validityFrom } from '../../src/runtime/pki/validity.ts'

// biome-ignore lint/suspicious/noExplicitAny: reviews are looked into freely
export type Review = any

export interface WebhookServer {
  readonly port: number
  /** `https://127.0.0.1:port` */
  readonly url: string
  /** PEM in base64, as configurations have it. */
  readonly caBundle: string
  /** Paths with their queries and bodies, in the order of arrival. */
  readonly calls: { readonly path: string; readonly body: Review }[]
  close(): Promise<void>
}

export interface WebhookAnswer {
  readonly status?: number
  readonly body: unknown
}

/** `answer` gets the path without its query and the parsed body. */
export async function startWebhookServer(
  answer: (path: string, body: Review) => WebhookAnswer | Promise<WebhookAnswer>,
  names: readonly string[] = [],
): Promise<WebhookServer> {
  const { authority, leaf } = await certificatesFor(names)
  const calls: WebhookServer['calls'] = []
  const server = createServer({ cert: leaf.certificate, key: leaf.key }, async (request, response) => {
    const pieces: Buffer[] = []
    for await (const piece of request) pieces.push(piece as Buffer)
    const text = Buffer.concat(pieces).toString('utf8')
    const body = text === '' ? null : JSON.parse(text)
    const path = request.url ?? ''
    calls.push({ path, body })
    const given = await answer(path.split('?')[0] ?? '', body)
    response.writeHead(given.status ?? 200, { 'content-type': 'application/json' })
    response.end(typeof given.body === 'string' ? given.body : JSON.stringify(given.body))
  })
  const port = await listen(server)
  return {
    port,
    url: `https://127.0.0.1:${port}`,
    caBundle: Buffer.from(authority.certificate).toString('base64'),
    calls,
    async close() {
      server.closeAllConnections()
      await new Promise<void>(resolve => server.close(() => resolve()))
    },
  }
}

export async function certificatesFor(
  dnsNames: readonly string[],
  commonName = 'webhook',
): Promise<{ readonly authority: PemPair; readonly leaf: PemPair }> {
  const validity = validityFrom(systemClock.now(), 2)
  const random = systemRandom
  const authority = await issueAuthority('webhook-test-ca', validity, random)
  const key = generateKey()
  const certificate = await issueLeaf(
    {
      name: 'apiserver',
      authority: 'cluster-ca',
      commonName,
      usages: ['server', 'client'],
      dnsNames,
      ipAddresses: ['127.0.0.1'],
      uris: [],
    },
    { authority, key, validity, random },
  )
  return { authority, leaf: { certificate, key } }
}

function listen(server: Server): Promise<number> {
  return new Promise(resolve =>
    server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port)),
  )
}

/** The answer of a webhook that has nothing against it. */
export const allow = (review: Review, more: object = {}): WebhookAnswer => answerOf(review, true, more)

export const deny = (review: Review, message: string, more: object = {}): WebhookAnswer =>
  answerOf(review, false, { status: { message, reason: message, code: 403 }, ...more })

/** Allows and changes. */
export const patchWith = (review: Review, patch: readonly object[]): WebhookAnswer =>
  allow(review, {
    patchType: 'JSONPatch',
    patch: Buffer.from(JSON.stringify(patch)).toString('base64'),
  })

function answerOf(review: Review, allowed: boolean, more: object): WebhookAnswer {
  const { apiVersion, kind, request } = review
  return { body: { apiVersion, kind, response: { uid: request.uid, allowed, ...more } } }
}
