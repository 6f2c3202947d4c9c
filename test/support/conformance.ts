/** What the conformance tests share: one cluster, requests that must succeed or be refused, namespaces, watches. */
import assert from 'node:assert/strict'
import { type Api, type ApiAnswer, type ApiBody, apiFor } from './api.ts'
import { type ClusterOptions, installCluster, type TestCluster } from './cluster.ts'
import type { Kubectl } from './kubectl.ts'
import { until } from './until.ts'
import { openWatch, type WatchStream } from './watch-stream.ts'

export interface Suite {
  readonly cluster: TestCluster
  readonly kubectl: Kubectl
  readonly api: Api
  /** The answer's body; fails when the answer is an error. */
  ok(method: string, path: string, body?: unknown, type?: PatchType): Promise<ApiBody>
  /** The answer; fails when the request succeeds. */
  refused(method: string, path: string, body?: unknown, type?: PatchType): Promise<ApiAnswer>
  /** True while the object is there. */
  exists(path: string): Promise<boolean>
  watch(path: string): Promise<WatchStream>
  /** A namespace with its service account; the path of its core resources. */
  namespace(base: string): Promise<Namespace>
}

export interface Namespace {
  readonly name: string
  /** `/api/v1/namespaces/<name>/<resource>` */
  core(resource: string): string
  /** `/apis/<group version>/namespaces/<name>/<resource>` */
  of(groupVersion: string, resource: string): string
}

export type PatchType = 'merge' | 'json' | 'strategic' | 'apply'

const MEDIA_TYPES: Readonly<Record<PatchType, string>> = {
  merge: 'application/merge-patch+json',
  json: 'application/json-patch+json',
  strategic: 'application/strategic-merge-patch+json',
  apply: 'application/apply-patch+yaml',
}

export async function startSuite(options: ClusterOptions = {}): Promise<Suite> {
  const cluster = await installCluster(options)
  const { kubeconfig, kubectl } = cluster
  const api = apiFor(kubeconfig)
  const send = (method: string, path: string, body?: unknown, type?: PatchType) =>
    api(path, {
      method,
      ...(body === undefined ? {} : { body: body as string | object }),
      ...(type === undefined ? {} : { headers: { 'content-type': MEDIA_TYPES[type] } }),
    })
  let namespaces = 0
  return {
    cluster,
    kubectl,
    api,
    async ok(method, path, body, type) {
      const answer = await send(method, path, body, type)
      assert.ok(answer.status < 300, `${method} ${path} is ${answer.status}: ${answer.text}`)
      return answer.body
    },
    async refused(method, path, body, type) {
      const answer = await send(method, path, body, type)
      assert.ok(answer.status >= 400, `${method} ${path} succeeded: ${answer.text.slice(0, 500)}`)
      return answer
    },
    exists: async path => (await api(path)).status === 200,
    watch: path => openWatch(kubeconfig, path),
    async namespace(base) {
      namespaces++
      const name = `${base}-${namespaces}`
      const created = await send('POST', '/api/v1/namespaces', named('v1', 'Namespace', name))
      assert.equal(created.status, 201, created.text)
      const account = `/api/v1/namespaces/${name}/serviceaccounts/default`
      await until(`the service account of ${name}`, async () => (await api(account)).status === 200)
      return {
        name,
        core: resource => `/api/v1/namespaces/${name}/${resource}`,
        of: (groupVersion, resource) => `/apis/${groupVersion}/namespaces/${name}/${resource}`,
      }
    },
  }
}

/** An object with nothing but a name, and what is given. */
export const named = (apiVersion: string, kind: string, name: string, rest: object = {}) => ({
  apiVersion,
  kind,
  metadata: { name },
  ...rest,
})

/** A pod template whose only container waits, as a process. */
export const waiting = (labels: Readonly<Record<string, string>>) => ({
  metadata: { labels },
  spec: {
    terminationGracePeriodSeconds: 0,
    containers: [{ name: 'c', image: 'localhost/sleep', command: ['/bin/sleep', '3600'] }],
  },
})

/** The value at a path of dots; undefined when there is none. */
export function at(object: unknown, path: string): unknown {
  let value = object
  for (const part of path.split('.')) {
    if (value === null || typeof value !== 'object') return undefined
    value = (value as Record<string, unknown>)[part]
  }
  return value
}

/** The items of a list. */
export const itemsOf = (list: unknown): ApiBody[] => (at(list, 'items') ?? []) as ApiBody[]

export const nameOf = (object: unknown): string => String(at(object, 'metadata.name'))
export const versionOf = (object: unknown): string => String(at(object, 'metadata.resourceVersion'))
