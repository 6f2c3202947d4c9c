/** Reviews that another server answers: its address and credentials from a kubeconfig, its answers kept for a while. */
import { createHash } from 'node:crypto'
import { getCACertificates } from 'node:tls'
import type { Clock } from '../../../base/clock.ts'
import { Mk8sError, messageOf } from '../../../base/errors.ts'
import { HttpsTransport, type HttpsTransportConfig } from '../../../client/https-transport.ts'
import type { KubeResponse } from '../../../client/transport.ts'
import { isMap, type JsonMap } from '../../../kube/json-map.ts'
import { parseYaml } from '../../../kube/yaml.ts'
import type { UserInfo } from '../user.ts'
import type { TokenReviewer } from './authn.ts'
import type { FetchJson } from './jwt-issuers.ts'

const ANSWER_MS_MAX = 10_000
const ANSWER_BYTES_MAX = 1024 * 1024
const KEPT_MAX = 4_096

/** Posts an object and gets the one that answers it. */
export type PostReview = (review: object) => Promise<JsonMap>

const systemAuthorities = (): string => getCACertificates('default').join('\n')

/** `read` reads a file that the kubeconfig names. Throws `config/invalid`. */
export function reviewerAt(
  text: string,
  path: string,
  read: (path: string) => string,
  timeoutMs = ANSWER_MS_MAX,
): PostReview {
  const transport = new HttpsTransport(transportConfig(text, path, read))
  return async review => {
    const response = await transport.request({
      method: 'POST',
      path: '',
      headers: { 'content-type': 'application/json', accept: 'application/json' },
      body: Buffer.from(JSON.stringify(review)),
      signal: AbortSignal.timeout(timeoutMs),
    })
    return await jsonOf(response)
  }
}

export const fetchJson: FetchJson = async (address, ca) => {
  const url = new URL(address)
  const transport = new HttpsTransport({ server: url.origin, caPem: ca === '' ? systemAuthorities() : ca })
  try {
    const request = { method: 'GET', path: url.pathname, query: url.searchParams }
    return await jsonOf(await transport.request({ ...request, signal: AbortSignal.timeout(ANSWER_MS_MAX) }))
  } finally {
    transport.close()
  }
}

async function jsonOf({ status, body }: KubeResponse): Promise<JsonMap> {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of body instanceof Uint8Array ? [body] : body) {
    size += chunk.length
    if (size > ANSWER_BYTES_MAX) throw new Error(`the answer has more than ${ANSWER_BYTES_MAX} bytes`)
    chunks.push(chunk)
  }
  if (status < 200 || status > 299) throw new Error(`the answer has the status ${status}`)
  const value: unknown = JSON.parse(Buffer.concat(chunks).toString('utf8'))
  if (isMap(value)) return value
  throw new Error('the answer is no object')
}

function transportConfig(text: string, path: string, read: (path: string) => string): HttpsTransportConfig {
  const wrong = (why: string) =>
    new Mk8sError('config/invalid', `${path} is not a usable kubeconfig`, { why })
  const config: unknown = parseYaml(text)
  const named = (list: string, kind: string, name: unknown): JsonMap => {
    const all = isMap(config) && Array.isArray(config[list]) ? config[list].filter(isMap) : []
    const found = all.find(one => one['name'] === name)?.[kind]
    return isMap(found) ? found : {}
  }
  const context = named('contexts', 'context', isMap(config) ? config['current-context'] : '')
  const cluster = named('clusters', 'cluster', context['cluster'])
  const user = named('users', 'user', context['user'])
  const pem = (fields: JsonMap, key: string): string | undefined => {
    const [data, file] = [fields[`${key}-data`], fields[key]]
    if (typeof data === 'string') return Buffer.from(data, 'base64').toString('utf8')
    return typeof file === 'string' ? read(file) : undefined
  }
  const { server, 'tls-server-name': serverName } = cluster
  if (typeof server !== 'string' || !server.startsWith('https://'))
    throw wrong('the cluster of its current context has no https server')
  return {
    server,
    caPem: pem(cluster, 'certificate-authority') ?? systemAuthorities(),
    certificatePem: pem(user, 'client-certificate'),
    keyPem: pem(user, 'client-key'),
    token: typeof user['token'] === 'string' ? user['token'] : undefined,
    serverName: typeof serverName === 'string' ? serverName : undefined,
  }
}

/** Answers by what was asked, each for its time; the oldest make room. */
export class Kept<T> {
  readonly #values = new Map<string, { readonly value: T; readonly untilMs: number }>()
  readonly #clock: Pick<Clock, 'now'>

  constructor(clock: Pick<Clock, 'now'>) {
    this.#clock = clock
  }

  get(key: string): T | undefined {
    const kept = this.#values.get(key)
    return kept !== undefined && kept.untilMs > this.#clock.now() ? kept.value : undefined
  }

  set(key: string, value: T, ttlMs: number): void {
    this.#values.delete(key)
    const oldest = this.#values.keys().next()
    if (this.#values.size >= KEPT_MAX && oldest.done !== true) this.#values.delete(oldest.value)
    this.#values.set(key, { value, untilMs: this.#clock.now() + ttlMs })
  }
}

/** `ttlMs`: for how long its answers are kept; 0: not at all. */
export function createTokenWebhook(
  post: PostReview,
  clock: Pick<Clock, 'now'>,
  ttlMs: number,
): TokenReviewer {
  const kept = new Kept<Awaited<ReturnType<TokenReviewer['review']>>>(clock)
  return {
    async review(token, audiences) {
      const key = createHash('sha256')
        .update(JSON.stringify([token, audiences]))
        .digest('base64')
      const known = kept.get(key)
      if (known !== undefined) return known
      try {
        const answer = await post({
          apiVersion: 'authentication.k8s.io/v1',
          kind: 'TokenReview',
          spec: { token, audiences },
        })
        const verdict = tokenVerdict(answer['status'], audiences)
        if (ttlMs > 0) kept.set(key, verdict, ttlMs)
        return verdict
      } catch (error) {
        return { valid: false, reason: messageOf(error) }
      }
    },
  }
}

function tokenVerdict(
  status: unknown,
  wanted: readonly string[],
): Awaited<ReturnType<TokenReviewer['review']>> {
  const { authenticated, user, audiences, error } = isMap(status) ? status : {}
  if (authenticated !== true || !isMap(user))
    return typeof error === 'string' && error !== '' ? { valid: false, reason: error } : null
  const given = Array.isArray(audiences) && audiences.length > 0 ? audiences.map(String) : wanted
  const accepted = wanted.filter(one => given.includes(one))
  if (accepted.length === 0) return null
  const { username, uid, groups, extra } = user as unknown as UserInfo
  const all = [...(groups ?? []), 'system:authenticated']
  return {
    valid: true,
    user: { username, ...(uid ? { uid } : {}), groups: [...new Set(all)], ...(extra ? { extra } : {}) },
    audiences: accepted,
  }
}
