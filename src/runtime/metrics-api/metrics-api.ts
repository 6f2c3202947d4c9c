/**
 * The door of the resource metrics API: `metrics.k8s.io/v1beta1` out of the kubelets' summaries, for `kubectl top` and
 * autoscalers. Kubelets are asked when somebody asks, at most every 15 s; nothing is kept while nobody does.
 */

import type { Clock } from '../../base/clock.ts'
import { eachAtOnce } from '../../base/each-at-once.ts'
import type { KubeRequest, KubeResponse, Transport } from '../../client/transport.ts'
import type { KubeObject } from '../../kube/object.ts'
import { methodNotAllowed, noSuchPath, notFound } from '../../kube/status.ts'
import { nodeMetrics, podMetrics, type ResourceMetrics } from './render-metrics.ts'
import { parseSelectors } from './selectors.ts'
import { parseSummary, type Summary } from './summary.ts'

export interface MetricsApiParts {
  readonly list: (resource: 'nodes' | 'pods') => readonly KubeObject[]
  readonly connect: (nodeName: string) => Transport
  /** Whether it is to be served. */
  readonly isOn: () => boolean
  readonly clock: Clock
}

export interface MetricsApi {
  readonly group: string
  readonly version: string
  /** The APIResourceList. */
  readonly resources: object
  isOn(): boolean
  handle(request: KubeRequest): Promise<KubeResponse>
}

const GROUP = 'metrics.k8s.io'
const VERSION = 'v1beta1'
const FRESH_MS = 15_000
const NODE_TIMEOUT_MS = 10_000
const NODES_AT_ONCE = 16
const READ_ONLY = ['get', 'list']

const RESOURCES = {
  kind: 'APIResourceList',
  apiVersion: 'v1',
  groupVersion: `${GROUP}/${VERSION}`,
  resources: [
    { name: 'nodes', singularName: '', namespaced: false, kind: 'NodeMetrics', verbs: READ_ONLY },
    { name: 'pods', singularName: '', namespaced: true, kind: 'PodMetrics', verbs: READ_ONLY },
  ],
}

export function createMetricsApi(parts: MetricsApiParts): MetricsApi {
  return new KubeletMetrics(parts)
}

interface Target {
  readonly resource: 'nodes' | 'pods'
  readonly namespace: string
  readonly name: string
}

class KubeletMetrics implements MetricsApi {
  readonly group = GROUP
  readonly version = VERSION
  readonly resources = RESOURCES
  readonly #parts: MetricsApiParts
  #scraped: { readonly atMs: number; readonly byNode: ReadonlyMap<string, Summary> } | null = null
  #running: Promise<ReadonlyMap<string, Summary>> | null = null

  constructor(parts: MetricsApiParts) {
    this.#parts = parts
  }

  isOn(): boolean {
    return this.#parts.isOn()
  }

  /** Throws StatusError. */
  async handle(request: KubeRequest): Promise<KubeResponse> {
    if (request.path === `/apis/${GROUP}/${VERSION}`) return respond(RESOURCES)
    const target = parseTarget(request.path)
    if (target === null) throw noSuchPath()
    const { resource, namespace, name } = target
    if (request.method !== 'GET') throw methodNotAllowed()
    const selects = parseSelectors(request.query ?? new URLSearchParams())
    const all = this.#metricsOf(target, await this.#summaries())
    if (name === '') {
      const kind = resource === 'nodes' ? 'NodeMetricsList' : 'PodMetricsList'
      return respond({ kind, apiVersion: `${GROUP}/${VERSION}`, metadata: {}, items: all.filter(selects) })
    }
    const found = all.find(({ metadata }) => metadata.name === name)
    if (found !== undefined) return respond(found)
    const [kind, full] = resource === 'nodes' ? ['nodemetrics', name] : ['podmetrics', `${namespace}/${name}`]
    throw notFound({ group: GROUP, resource: kind }, full)
  }

  #metricsOf({ resource, namespace }: Target, summaries: ReadonlyMap<string, Summary>): ResourceMetrics[] {
    const objects = this.#parts.list(resource)
    if (resource === 'nodes') return objects.flatMap(node => nodeMetrics(node, summaries))
    const inScope = objects.filter(({ metadata }) => namespace === '' || metadata.namespace === namespace)
    return inScope.flatMap(pod => podMetrics(pod, summaries))
  }

  #summaries(): Promise<ReadonlyMap<string, Summary>> {
    const nowMs = this.#parts.clock.monotonic()
    if (this.#scraped !== null && nowMs - this.#scraped.atMs < FRESH_MS) {
      return Promise.resolve(this.#scraped.byNode)
    }
    this.#running ??= this.#scrape().finally(() => {
      this.#running = null
    })
    return this.#running
  }

  /** A node that does not answer has no metrics. */
  async #scrape(): Promise<ReadonlyMap<string, Summary>> {
    const names = this.#parts.list('nodes').map(({ metadata }) => metadata.name ?? '')
    const byNode = new Map<string, Summary>()
    await eachAtOnce(names, NODES_AT_ONCE, async name => {
      const summary = await this.#ask(name).catch(() => null)
      if (summary !== null) byNode.set(name, summary)
    })
    this.#scraped = { atMs: this.#parts.clock.monotonic(), byNode }
    return byNode
  }

  async #ask(nodeName: string): Promise<Summary | null> {
    const answer = await this.#parts.connect(nodeName).request({
      method: 'GET',
      path: '/stats/summary',
      query: new URLSearchParams({ only_cpu_and_memory: 'true' }),
      signal: AbortSignal.timeout(NODE_TIMEOUT_MS),
    })
    const chunks: Uint8Array[] = []
    for await (const chunk of answer.body instanceof Uint8Array ? [answer.body] : answer.body)
      chunks.push(chunk)
    return answer.status === 200 ? parseSummary(Buffer.concat(chunks).toString('utf8')) : null
  }
}

function parseTarget(path: string): Target | null {
  const [resource, name = '', ...rest] = path.split('/').slice(4).map(decodeURIComponent)
  if ((resource === 'nodes' || resource === 'pods') && rest.length === 0) {
    return resource === 'pods' && name !== '' ? null : { resource, namespace: '', name }
  }
  const [pods, pod = '', ...more] = rest
  if (resource !== 'namespaces' || pods !== 'pods' || more.length > 0) return null
  return { resource: 'pods', namespace: name, name: pod }
}

function respond(value: object): KubeResponse {
  return {
    status: 200,
    headers: { 'content-type': 'application/json', 'cache-control': 'no-cache, private' },
    body: Buffer.from(`${JSON.stringify(value)}\n`),
  }
}
