/**
 * The control plane with hollow nodes in a faulty world: the real API server, controllers, scheduler and kubelets on a
 * clock that runs faster. Leaders change, watches break, requests and answers are lost, nodes fall silent, lose power
 * or are deleted, specs change. Then the faults end, and what the specs ask for has to come about.
 */
import { type Clock, sleep } from '../../../src/base/clock.ts'
import { type Random, seededRandom } from '../../../src/base/random.ts'
import { isNotFound, type KubeClient } from '../../../src/client/kube-client.ts'
import {
  DAEMON_SETS,
  DEPLOYMENTS,
  JOBS,
  NAMESPACES,
  NODES,
  PODS,
  type ResourceRef,
  SERVICE_ACCOUNTS,
  STATEFUL_SETS,
} from '../../../src/client/resources.ts'
import type { Pod } from '../../../src/kube/types.ts'
import { fastClock } from '../../support/fast-clock.ts'
import { type InProcessCluster, startInProcessCluster } from '../../support/in-process-cluster.ts'
import { until } from '../../support/until.ts'
import { type Faults, FaultyTransport } from './faulty-transport.ts'
import { createHollowPki, HollowNode } from './hollow-node.ts'
import { daemonSet, deployment, job, NAMESPACE, statefulSet } from './workloads.ts'

/** The clock's minutes are three seconds long. */
const TIMES = 20
const NODE_COUNT = 4
const STEP_MS = 3_000
const NONE: Faults = { lostRequests: 0, lostAnswers: 0, brokenWatches: 0 }
const SOME: Faults = { lostRequests: 0.03, lostAnswers: 0.03, brokenWatches: 0.01 }

export interface Wanted {
  replicas: number
  members: number
  /** Of the templates. */
  version: number
}

export class World {
  readonly wanted: Wanted = { replicas: 4, members: 3, version: 1 }
  readonly trace: string[] = []
  readonly client: KubeClient
  readonly #cluster: InProcessCluster
  readonly #clock: Clock
  readonly #random: Random
  readonly #faults: Faults
  readonly #nodes: HollowNode[] = []

  static async create(seed: number): Promise<World> {
    const random = seededRandom(seed)
    const clock = fastClock(TIMES)
    const faults = { ...NONE }
    const between = (inner: ConstructorParameters<typeof FaultyTransport>[0]) =>
      new FaultyTransport(inner, faults, random)
    const cluster = await startInProcessCluster({ between, logLevel: 'error' }, clock)
    const world = new World(cluster, clock, random, faults)
    const pki = await createHollowPki()
    for (let index = 0; index < NODE_COUNT; index++) {
      const name = `node-${index}`
      const user = { username: `system:node:${name}`, groups: ['system:nodes', 'system:authenticated'] }
      const transport = between(cluster.transportFor(user))
      world.#nodes.push(await HollowNode.create({ name, transport, clock, random, pki }))
    }
    await Promise.all(world.#nodes.map(node => node.start()))
    await world.#makeWorkloads()
    return world
  }

  private constructor(cluster: InProcessCluster, clock: Clock, random: Random, faults: Faults) {
    this.#cluster = cluster
    this.client = cluster.client
    this.#clock = clock
    this.#random = random
    this.#faults = faults
  }

  /** Some things go wrong or are changed, one after the other. */
  async suffer(steps: number): Promise<void> {
    Object.assign(this.#faults, SOME)
    for (let step = 0; step < steps; step++) {
      const deeds = Object.entries(this.#deeds())
      const [name, deed] = deeds[Math.floor(this.#random.float() * deeds.length)] ?? ['nothing', () => {}]
      this.trace.push(name)
      await deed()
      await sleep(this.#clock, this.#random.float() * STEP_MS)
    }
  }

  /** The faults are over, all nodes are back. */
  async heal(): Promise<void> {
    Object.assign(this.#faults, NONE)
    await Promise.all(this.#nodes.map(node => node.start()))
  }

  nodeNames(): string[] {
    return this.#nodes.map(({ name }) => name)
  }

  async pods(): Promise<readonly Pod[]> {
    return (await this.client.list<Pod>(PODS, { namespace: NAMESPACE })).items
  }

  async close(): Promise<void> {
    await Promise.all(this.#nodes.map(node => node.remove()))
    await this.#cluster.stop()
  }

  async #makeWorkloads(): Promise<void> {
    const metadata = { name: NAMESPACE }
    await this.client.create(NAMESPACES, { apiVersion: 'v1', kind: 'Namespace', metadata })
    const account = { namespace: NAMESPACE, name: 'default' }
    await until('the default service account', () =>
      this.client.get(SERVICE_ACCOUNTS, account).then(
        () => true,
        () => false,
      ),
    )
    await this.client.create(DEPLOYMENTS, deployment(this.wanted))
    await this.client.create(STATEFUL_SETS, statefulSet(this.wanted))
    await this.client.create(DAEMON_SETS, daemonSet(this.wanted))
    await this.client.create(JOBS, job())
  }

  #deeds(): Record<string, () => Promise<void> | void> {
    const node = this.#nodes[Math.floor(this.#random.float() * this.#nodes.length)]
    return {
      'the leader changes': () => this.#cluster.changeLeader(),
      'the leader changes again': () => this.#cluster.changeLeader(),
      [`${node?.name} falls silent`]: () => node?.fallSilent(),
      [`${node?.name} loses its power`]: () => node?.losePower(),
      [`${node?.name} is there`]: () => node?.start(),
      [`${node?.name} is deleted`]: () => this.#delete(NODES, node?.name ?? ''),
      'the deployment is scaled': async () => {
        this.wanted.replicas = 1 + Math.floor(this.#random.float() * 8)
        await this.#patch(DEPLOYMENTS, deployment(this.wanted))
      },
      'the stateful set is scaled': async () => {
        this.wanted.members = 1 + Math.floor(this.#random.float() * 4)
        await this.#patch(STATEFUL_SETS, statefulSet(this.wanted))
      },
      'everything is rolled out anew': async () => {
        this.wanted.version++
        await this.#patch(DEPLOYMENTS, deployment(this.wanted))
        await this.#patch(STATEFUL_SETS, statefulSet(this.wanted))
        await this.#patch(DAEMON_SETS, daemonSet(this.wanted))
      },
      'a pod is deleted': async () => {
        const pods = await this.pods()
        const pod = pods[Math.floor(this.#random.float() * pods.length)]
        if (pod !== undefined) await this.#delete(PODS, pod.metadata.name ?? '')
      },
    }
  }

  async #patch(resource: ResourceRef, object: { metadata: { name: string }; spec: object }): Promise<void> {
    const { name } = object.metadata
    await this.client.patch(resource, {
      ...{ namespace: NAMESPACE, name, type: 'strategic' },
      patch: { spec: object.spec },
    })
  }

  async #delete(resource: ResourceRef, name: string): Promise<void> {
    const place = resource.namespaced ? { namespace: NAMESPACE, name } : { name }
    await this.client.delete(resource, place).catch((error: unknown) => {
      if (!isNotFound(error)) throw error
    })
  }
}
