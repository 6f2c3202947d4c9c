/**
 * The other process of the `scheduling` benchmark: 1,000 simulated nodes that renew their leases, kubelets that only
 * write what a pod's status would be, and clients that create pods and tell how long each waited for its node.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { HttpsTransport } from '../src/client/https-transport.ts'
import { KubeClient } from '../src/client/kube-client.ts'
import { DEPLOYMENTS, LEASES, NODES, PODS } from '../src/client/resources.ts'
import type { Deployment, Node, Pod } from '../src/kube/types.ts'
import { type Answer, type Connection, type Endpoint, openConnection } from './api-connection.ts'

export type SchedulingOrder =
  | { readonly kind: 'nodes'; readonly count: number }
  /** As one client after the other can, or so many per second. */
  | { readonly kind: 'pods'; readonly count: number; readonly perSecond: number; readonly prefix: string }
  /** Until all replicas of the image are available. */
  | { readonly kind: 'deployment'; readonly replicas: number; readonly image: string }
  /** Every node renews its lease, and from now on none does by itself. */
  | { readonly kind: 'beat' }

/** Kubelets have a priority of their own, as the administrator has; whoever creates pods is an ordinary user. */
export interface SchedulingUsers {
  readonly kubelets: Endpoint
  readonly user: Endpoint
}

export interface SchedulingOutcome {
  readonly seconds: number
  readonly p50Ms: number
  readonly p99Ms: number
}

const NAMESPACE = 'default'
const CREATORS = 32
const KUBELETS = 32
const RENEWERS = 8
const RENEWALS_MS = 10_000
const TICK_MS = 20
const LEASE_NAMESPACE = 'kube-node-lease'
const CREATED = 201
const NOT_FOUND = 404
const CONFLICT = 409

const time = (): string => `${new Date().toISOString().slice(0, 19)}Z`
const microTime = (): string => new Date().toISOString().replace('Z', '000Z')
const nodeName = (index: number): string => `hollow-${index}`

const MERGE = 'content-type: application/merge-patch+json\r\n'
const STRATEGIC = 'content-type: application/strategic-merge-patch+json\r\n'
const podPath = ({ namespace, name }: Pod['metadata']): string =>
  `/api/v1/namespaces/${namespace}/pods/${name}`

/** Connections that are kept open, as those of kubelets are: a handshake costs more than what they say. */
class Pool {
  readonly #endpoint: Endpoint
  readonly #free: Connection[] = []
  readonly #waiting: ((connection: Connection) => void)[] = []

  constructor(endpoint: Endpoint) {
    this.#endpoint = endpoint
  }

  async open(count: number): Promise<void> {
    for (let n = 0; n < count; n++) this.#release(await openConnection(this.#endpoint))
  }

  async request(...request: Parameters<Connection['request']>): Promise<Answer> {
    const connection = this.#free.pop() ?? (await new Promise<Connection>(take => this.#waiting.push(take)))
    try {
      const answer = await connection.request(...request)
      // What is gone, or another one by now, is no concern of its kubelet any more.
      const isOk = answer.status < 300 || answer.status === NOT_FOUND || answer.status === CONFLICT
      if (!isOk) throw new Error(`${answer.status}: ${answer.body.toString('utf8', 0, 300)}`)
      return answer
    } finally {
      this.#release(connection)
    }
  }

  #release(connection: Connection): void {
    const next = this.#waiting.shift()
    if (next === undefined) this.#free.push(connection)
    else next(connection)
  }
}

class Load {
  readonly #endpoint: Endpoint
  readonly #client: KubeClient
  readonly #kubelets: Pool
  readonly #renewers: Pool
  readonly #createdMs = new Map<string, number>()
  readonly #waitedMs = new Map<string, number>()
  /** What kubelets have to do. */
  readonly #work: (() => Promise<unknown>)[] = []
  readonly #written = new Set<string>()
  #busy = 0
  #nodes = 0
  #renews = false
  #bound: (() => void) | null = null

  constructor({ kubelets, user }: SchedulingUsers) {
    this.#endpoint = user
    const server = `https://${kubelets.host}:${kubelets.port}`
    const { ca: caPem, cert: certificatePem, key: keyPem } = kubelets
    const transport = new HttpsTransport({ server, caPem, certificatePem, keyPem })
    this.#client = new KubeClient(transport, { userAgent: 'bench' })
    this.#kubelets = new Pool(kubelets)
    this.#renewers = new Pool(kubelets)
  }

  async carryOut(order: SchedulingOrder): Promise<SchedulingOutcome> {
    const begunMs = performance.now()
    this.#waitedMs.clear()
    if (order.kind === 'nodes') await this.#addNodes(order.count)
    if (order.kind === 'beat') await this.#beat()
    if (order.kind === 'pods') await this.#addPods(order)
    if (order.kind === 'deployment') await this.#rollOut(order.replicas, order.image)
    const waited = [...this.#waitedMs.values()].sort((a, b) => a - b)
    const at = (share: number) => waited[Math.min(waited.length - 1, Math.floor(waited.length * share))] ?? 0
    return { seconds: (performance.now() - begunMs) / 1_000, p50Ms: at(0.5), p99Ms: at(0.99) }
  }

  async #addNodes(count: number): Promise<void> {
    await Promise.all([this.#kubelets.open(KUBELETS), this.#renewers.open(RENEWERS)])
    this.#renews = true
    void this.#keepRenewing(count)
    await inParallel(count, CREATORS, async index => {
      await this.#addNode(index)
      this.#nodes++
    })
    void this.#keepReady()
    const { resourceVersion } = await this.#client.list<Pod>(PODS, { limit: 1 })
    void this.#follow(resourceVersion)
  }

  async #addNode(index: number): Promise<void> {
    const name = nodeName(index)
    const zone = `zone-${index % 3}`
    const labels = { 'kubernetes.io/hostname': name, 'topology.kubernetes.io/zone': zone }
    await this.#client.create(NODES, { apiVersion: 'v1', kind: 'Node', metadata: { name, labels } })
    const metadata = { name, namespace: LEASE_NAMESPACE }
    const lease = { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata, spec: leaseSpec(name) }
    await this.#client.create(LEASES, lease)
    await this.#postStatus(name)
  }

  async #postStatus(name: string): Promise<void> {
    const amounts = { cpu: '32', memory: '64Gi', pods: '110' }
    const times = { lastHeartbeatTime: time(), lastTransitionTime: time() }
    const ready = { type: 'Ready', status: 'True', reason: 'KubeletReady', message: '', ...times }
    const patch = { status: { capacity: amounts, allocatable: amounts, conditions: [ready] } }
    await this.#client.patch(NODES, { name, subresource: 'status', type: 'strategic', patch })
  }

  /** Spread over the interval, as those of real nodes are. */
  async #keepRenewing(count: number): Promise<void> {
    for (let next = 0; ; ) {
      const due = Math.floor((performance.now() * count) / RENEWALS_MS)
      next = Math.max(next, due - count)
      for (; this.#renews && next < due; next++) {
        if (next % count < this.#nodes) void this.#renew(next % count)
      }
      await sleep(TICK_MS)
    }
  }

  /** A node that was late is not lost: a kubelet says so again. */
  async #keepReady(): Promise<void> {
    for (;;) {
      await sleep(RENEWALS_MS)
      if (!this.#renews) continue
      const { items } = await this.#client.list<Node>(NODES)
      const late = items.filter(
        ({ metadata, status }) =>
          metadata.name?.startsWith('hollow-') &&
          status?.conditions?.some(({ type, status: state }) => type === 'Ready' && state !== 'True'),
      )
      for (const { metadata } of late) await this.#postStatus(metadata.name ?? '')
    }
  }

  #beat(): Promise<void> {
    this.#renews = false
    return inParallel(this.#nodes, RENEWERS, index => this.#renew(index))
  }

  async #renew(index: number): Promise<void> {
    const name = nodeName(index)
    const path = `/apis/coordination.k8s.io/v1/namespaces/${LEASE_NAMESPACE}/leases/${name}`
    await this.#renewers.request('PATCH', path, JSON.stringify({ spec: leaseSpec(name) }), MERGE)
  }

  async #follow(resourceVersion: string): Promise<void> {
    const { signal } = new AbortController()
    for await (const { type, object } of this.#client.watch<Pod>(PODS, { resourceVersion, signal })) {
      const { name = '' } = object.metadata
      if (type === 'DELETED' || !object.spec?.nodeName?.startsWith('hollow-')) continue
      const createdMs = this.#createdMs.get(name)
      if (createdMs !== undefined && !this.#waitedMs.has(name)) {
        this.#waitedMs.set(name, performance.now() - createdMs)
        if (this.#waitedMs.size === this.#createdMs.size) this.#bound?.()
      }
      if (object.metadata.deletionTimestamp !== undefined) this.#queue('end', object)
      else if (createdMs === undefined && object.status?.phase === 'Pending') this.#queue('run', object)
      else if (isCalledUnready(object)) this.#mend(object)
    }
  }

  /** Its node was late: a kubelet says again that the pod is ready. */
  #mend(pod: Pod): void {
    this.#written.delete(`run ${pod.metadata.uid}`)
    this.#queue('run', pod)
  }

  /** Once per pod. */
  #queue(what: 'run' | 'end', { metadata }: Pod): void {
    const { uid } = metadata
    if (this.#written.has(`${what} ${uid}`)) return
    this.#written.add(`${what} ${uid}`)
    const conditions = ['Ready', 'ContainersReady', 'Initialized'].map(type => ({
      ...{ type, status: 'True', lastTransitionTime: time() },
    }))
    const patch = { status: { phase: 'Running', startTime: time(), conditions } }
    const end = { gracePeriodSeconds: 0, preconditions: { uid } }
    this.#work.push(() =>
      what === 'end'
        ? this.#kubelets.request('DELETE', podPath(metadata), JSON.stringify(end))
        : this.#kubelets.request('PATCH', `${podPath(metadata)}/status`, JSON.stringify(patch), STRATEGIC),
    )
    while (this.#busy < KUBELETS && this.#work.length > 0) void this.#toil()
  }

  async #toil(): Promise<void> {
    this.#busy++
    for (let next = this.#work.shift(); next !== undefined; next = this.#work.shift()) await next()
    this.#busy--
  }

  async #addPods(order: SchedulingOrder & { kind: 'pods' }): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#bound = resolve
    this.#createdMs.clear()
    const names = Array.from({ length: order.count }, (_none, index) => `${order.prefix}-${index}`)
    // All of them are awaited from the start, so that an early one is not the last.
    for (const name of names) this.#createdMs.set(name, Number.NaN)
    const connections = await Promise.all(
      Array.from({ length: CREATORS }, () => openConnection(this.#endpoint)),
    )
    const begunMs = performance.now()
    let next = 0
    const due = () =>
      order.perSecond === 0
        ? order.count
        : Math.min(order.count, Math.floor(((performance.now() - begunMs) * order.perSecond) / 1_000))
    const create = async (connection: (typeof connections)[number]) => {
      while (next < order.count) {
        if (next >= due()) {
          await sleep(TICK_MS)
          continue
        }
        const name = names[next++] ?? ''
        this.#createdMs.set(name, performance.now())
        const path = `/api/v1/namespaces/${NAMESPACE}/pods`
        const { status, body } = await connection.request('POST', path, podBody(name))
        if (status !== CREATED) throw new Error(`${status}: ${body.toString('utf8', 0, 300)}`)
      }
    }
    await Promise.all(connections.map(create))
    await promise
    for (const connection of connections) connection.close()
  }

  async #rollOut(replicas: number, image: string): Promise<void> {
    this.#createdMs.clear()
    const name = 'rollout'
    const labels = { app: name }
    const strategy = { rollingUpdate: { maxSurge: '25%', maxUnavailable: '25%' } }
    const template = { metadata: { labels }, spec: { containers: [{ name: 'main', image, resources }] } }
    const spec = { replicas, strategy, selector: { matchLabels: labels }, template }
    const metadata = { name, namespace: NAMESPACE }
    const type = 'strategic'
    const object = { apiVersion: 'apps/v1', kind: 'Deployment', metadata, spec }
    await this.#client
      .create(DEPLOYMENTS, object)
      .catch(() => this.#client.patch(DEPLOYMENTS, { ...metadata, type, patch: { spec } }))
    for (;;) {
      const { items } = await this.#client.list<Deployment>(DEPLOYMENTS, { namespace: NAMESPACE })
      const { metadata: found, status } = items[0] ?? {}
      const isSeen = status?.observedGeneration === found?.generation
      const isDone = [status?.updatedReplicas, status?.availableReplicas, status?.replicas].every(
        count => count === replicas,
      )
      if (isSeen && isDone) return
      await sleep(TICK_MS)
    }
  }
}

const isCalledUnready = ({ status }: Pod): boolean =>
  status?.phase === 'Running' &&
  status.conditions?.some(({ type, status: state }) => type === 'Ready' && state === 'False') === true

const resources = { requests: { cpu: '100m', memory: '100Mi' } }

const leaseSpec = (holderIdentity: string) => ({
  holderIdentity,
  leaseDurationSeconds: 40,
  renewTime: microTime(),
})

const podBody = (name: string): string =>
  JSON.stringify({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, labels: { app: 'load' } },
    spec: { containers: [{ name: 'main', image: 'registry.example/pause:1', resources }] },
  })

async function inParallel(
  count: number,
  workers: number,
  work: (index: number) => Promise<void>,
): Promise<void> {
  let next = 0
  const toil = async () => {
    while (next < count) await work(next++)
  }
  await Promise.all(Array.from({ length: workers }, toil))
}

let load: Load | null = null
process.on('message', (message: SchedulingUsers | SchedulingOrder) => {
  if (!('kind' in message)) {
    load = new Load(message)
    return
  }
  load?.carryOut(message).then(
    outcome => process.send?.(outcome),
    error => {
      process.stderr.write(`${error}\n`)
      process.exit(1)
    },
  )
})
