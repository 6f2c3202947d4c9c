/**
 * Who may ask the kubelet's port for what: a certificate of the cluster's authority or a token, which the API server
 * reviews, and then a review of access to the node's subresource.
 */
import { createHash } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type { TLSSocket } from 'node:tls'
import type { Clock } from '../../base/clock.ts'
import type { KubeClient } from '../../client/kube-client.ts'
import { SUBJECT_ACCESS_REVIEWS, TOKEN_REVIEWS } from '../../client/resources.ts'
import type { SubjectAccessReview, TokenReview } from '../../kube/types.ts'

export interface KubeletUser {
  readonly username: string
  readonly uid?: string | undefined
  readonly groups: readonly string[]
}

export interface KubeletAccessParts {
  readonly client: KubeClient
  readonly nodeName: string
  readonly clock: Clock
}

const CLIENT_NAME = 'kube-apiserver-kubelet-client'
/** Nodes get each other's images. */
const DISTRIBUTION = 'v2'
const isNode = ({ username, groups }: KubeletUser) =>
  username.startsWith('system:node:') && groups.includes('system:nodes')
const ADMIN_GROUP = 'system:masters'
/** As the kubelet's webhook caches. */
const AUTHENTICATED_MS = 120_000
const ALLOWED_MS = 300_000
const REFUSED_MS = 30_000
const REMEMBERED_MAX = 1_000
const VERBS: Readonly<Record<string, string>> = {
  POST: 'create',
  PUT: 'update',
  PATCH: 'patch',
  DELETE: 'delete',
}
/** By the first segment of a path: the finest subresource first, and what includes it. */
const SUBRESOURCES: Readonly<Record<string, readonly string[]>> = {
  stats: ['stats'],
  metrics: ['metrics'],
  logs: ['log'],
  checkpoint: ['checkpoint'],
  healthz: ['healthz', 'proxy'],
  pods: ['pods', 'proxy'],
  runningpods: ['pods', 'proxy'],
  configz: ['configz', 'proxy'],
}

interface Remembered<T> {
  readonly value: T
  readonly untilMs: number
}

export class KubeletAccess {
  readonly #parts: KubeletAccessParts
  readonly #users = new Map<string, Remembered<KubeletUser | null>>()
  readonly #verdicts = new Map<string, Remembered<boolean>>()

  constructor(parts: KubeletAccessParts) {
    this.#parts = parts
  }

  async judge(request: IncomingMessage, first: string): Promise<200 | 401 | 403> {
    const user = await this.#userOf(request)
    if (user === null) return 401
    // The API server has judged whom it asks for, and administrators may do anything.
    if (user.username === CLIENT_NAME || user.groups.includes(ADMIN_GROUP)) return 200
    if (first === DISTRIBUTION && isNode(user)) return 200
    const verb = VERBS[request.method ?? ''] ?? 'get'
    for (const subresource of SUBRESOURCES[first] ?? ['proxy']) {
      if (await this.#mayUse(user, verb, subresource)) return 200
    }
    return 403
  }

  async #userOf(request: IncomingMessage): Promise<KubeletUser | null> {
    const socket = request.socket as TLSSocket
    if (socket.authorized) {
      const { subject } = socket.getPeerCertificate()
      const groups = [subject?.O ?? []].flat()
      return { username: String(subject?.CN ?? ''), groups: [...groups, 'system:authenticated'] }
    }
    const token = /^Bearer (\S+)$/i.exec(request.headers.authorization ?? '')?.[1]
    if (token === undefined) return null
    const key = createHash('sha256').update(token).digest('base64')
    const known = this.#recall(this.#users, key)
    if (known !== undefined) return known
    const review = {
      apiVersion: 'authentication.k8s.io/v1',
      kind: 'TokenReview',
      metadata: {},
      spec: { token },
    }
    const { status } = await this.#parts.client.create<TokenReview>(TOKEN_REVIEWS, review as TokenReview)
    const { username = '', uid, groups = [] } = status?.user ?? {}
    const user = status?.authenticated === true ? { username, uid, groups } : null
    return this.#remember(this.#users, key, user, user === null ? REFUSED_MS : AUTHENTICATED_MS)
  }

  async #mayUse(user: KubeletUser, verb: string, subresource: string): Promise<boolean> {
    const { client, nodeName } = this.#parts
    const key = JSON.stringify([user.username, user.groups, verb, subresource])
    const known = this.#recall(this.#verdicts, key)
    if (known !== undefined) return known
    const review = {
      apiVersion: 'authorization.k8s.io/v1',
      kind: 'SubjectAccessReview',
      metadata: {},
      spec: {
        user: user.username,
        groups: [...user.groups],
        ...(user.uid === undefined ? {} : { uid: user.uid }),
        resourceAttributes: { verb, version: 'v1', resource: 'nodes', subresource, name: nodeName },
      },
    }
    const { status } = await client.create<SubjectAccessReview>(
      SUBJECT_ACCESS_REVIEWS,
      review as SubjectAccessReview,
    )
    const isAllowed = status?.allowed === true
    return this.#remember(this.#verdicts, key, isAllowed, isAllowed ? ALLOWED_MS : REFUSED_MS)
  }

  #recall<T>(from: Map<string, Remembered<T>>, key: string): T | undefined {
    const found = from.get(key)
    if (found === undefined || found.untilMs <= this.#parts.clock.monotonic()) return undefined
    return found.value
  }

  #remember<T>(into: Map<string, Remembered<T>>, key: string, value: T, forMs: number): T {
    if (into.size >= REMEMBERED_MAX) into.clear()
    into.set(key, { value, untilMs: this.#parts.clock.monotonic() + forMs })
    return value
  }
}
