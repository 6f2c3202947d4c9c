/** An API server over the memory store and the real model, driven through its door. */

import { systemClock } from '../../../../src/base/clock.ts'
import { silentLog } from '../../../../src/base/log.ts'
import { systemRandom } from '../../../../src/base/random.ts'
import type { KubeResponse } from '../../../../src/client/transport.ts'
import { readAsset } from '../../../../src/host/assets.ts'
import { parseModel } from '../../../../src/kube/model.ts'
import type { Model } from '../../../../src/kube/model-types.ts'
import type { KubeObject } from '../../../../src/kube/object.ts'
import { type ApiServer, createApiServer } from '../../../../src/runtime/apiserver/apiserver.ts'
import type { ApiServerParts } from '../../../../src/runtime/apiserver/apiserver-parts.ts'
import { strategies } from '../../../../src/runtime/apiserver/registry/registry.ts'
import type { UserInfo } from '../../../../src/runtime/apiserver/user.ts'
import { createMemoryStore, type MemoryStore } from '../../../../src/runtime/store/memory-store.ts'

export const admin: UserInfo = { username: 'admin', groups: ['system:masters'] }

let model: Model | undefined
export const realModel = (): Model => {
  model ??= parseModel(readAsset('model.json'))
  return model
}

export interface Reply {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  // biome-ignore lint/suspicious/noExplicitAny: replies are looked into freely
  readonly body: any
}

export interface Server {
  readonly api: ApiServer
  readonly store: MemoryStore
  call(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<Reply>
  /** The reply's raw form, for watches. */
  raw(method: string, path: string, options?: RawOptions): Promise<KubeResponse>
}

export interface RawOptions {
  readonly headers?: Record<string, string>
  readonly body?: Uint8Array
  readonly signal?: AbortSignal
  readonly user?: UserInfo
}

export function makeServer(over: Partial<ApiServerParts> = {}): Server {
  const store = createMemoryStore({ clock: systemClock })
  const api = createApiServer({
    store,
    model: realModel(),
    descriptions: () => JSON.parse(readAsset('descriptions.json')),
    protobuf: () => JSON.parse(readAsset('protobuf.json')),
    strategies,
    authorizer: { authorize: () => ({ allowed: true, reason: '' }) },
    admission: [],
    virtualHandlers: [],
    settings: {
      clusterDomain: 'cluster.local',
      serviceCidr: '10.152.183.0/24',
      podCidr: '10.1.0.0/16',
      nodePorts: { first: 30000, last: 32767 },
    },
    kubelets: {
      connect: () => ({ request: async () => ({ status: 200, headers: {}, body: new Uint8Array() }) }),
    },
    version: { major: '1', minor: '36', gitVersion: 'v1.36.0+mk8s.test', platform: 'linux/amd64' },
    clock: systemClock,
    random: systemRandom,
    log: silentLog,
    isReady: () => [],
    onFatal: error => {
      throw error
    },
    ...over,
  })
  const raw: Server['raw'] = (method, path, options = {}) => {
    const url = new URL(path, 'https://api')
    return api.handle({
      method,
      path: url.pathname,
      query: url.searchParams,
      user: options.user ?? admin,
      headers: options.headers ?? {},
      ...(options.body === undefined ? {} : { body: options.body }),
      ...(options.signal === undefined ? {} : { signal: options.signal }),
    })
  }
  return {
    api,
    store,
    raw,
    async call(method, path, body, headers = {}) {
      const bytes =
        body === undefined ? undefined : Buffer.from(typeof body === 'string' ? body : JSON.stringify(body))
      const reply = await raw(method, path, { headers, ...(bytes === undefined ? {} : { body: bytes }) })
      const text = await textOf(reply)
      const isJson = (reply.headers['content-type'] ?? '').startsWith('application/json')
      return {
        status: reply.status,
        headers: reply.headers,
        body: isJson && text !== '' ? JSON.parse(text) : text,
      }
    },
  }
}

export async function textOf(reply: KubeResponse): Promise<string> {
  if (reply.body instanceof Uint8Array) return Buffer.from(reply.body).toString('utf8')
  const pieces: Uint8Array[] = []
  for await (const piece of reply.body) pieces.push(piece)
  return Buffer.concat(pieces).toString('utf8')
}

export interface Seen {
  readonly type: string
  // biome-ignore lint/suspicious/noExplicitAny: events are looked into freely
  readonly object: any
}

/** Reads watch events one at a time. */
export function watchReader(reply: KubeResponse): { next(): Promise<Seen | null>; close(): Promise<void> } {
  const chunks = (reply.body as AsyncIterable<Uint8Array>)[Symbol.asyncIterator]()
  let rest = ''
  return {
    async next() {
      for (;;) {
        const end = rest.indexOf('\n')
        if (end >= 0) {
          const line = rest.slice(0, end)
          rest = rest.slice(end + 1)
          return JSON.parse(line) as Seen
        }
        const chunk = await chunks.next()
        if (chunk.done) return null
        rest += Buffer.from(chunk.value).toString('utf8')
      }
    },
    async close() {
      await chunks.return?.()
    },
  }
}

export const configMap = (name: string, over: Partial<KubeObject> = {}): Record<string, unknown> => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name },
  data: { key: 'value' },
  ...over,
})

export const pod = (name: string, labels: Record<string, string> = {}): Record<string, unknown> => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, labels },
  spec: { containers: [{ name: 'main', image: 'sample/web:1' }] },
})

export const deployment = (name: string): Record<string, unknown> => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name },
  spec: {
    replicas: 2,
    selector: { matchLabels: { app: name } },
    template: {
      metadata: { labels: { app: name } },
      spec: { containers: [{ name: 'main', image: 'sample/web:1' }] },
    },
  },
})
