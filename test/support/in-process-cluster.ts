/** The real API server over the memory store, with controllers and scheduler, all in this process. */
import assert from 'node:assert/strict'
import { type Clock, systemClock } from '../../src/base/clock.ts'
import type { Component } from '../../src/base/component.ts'
import { createLog, type LogLevel } from '../../src/base/log.ts'
import { systemRandom } from '../../src/base/random.ts'
import { InformerSet } from '../../src/client/informer-set.ts'
import { KubeClient } from '../../src/client/kube-client.ts'
import { NODES, PODS } from '../../src/client/resources.ts'
import type { Transport } from '../../src/client/transport.ts'
import { readAsset } from '../../src/host/assets.ts'
import { parseModel } from '../../src/kube/model.ts'
import type { Node, Pod } from '../../src/kube/types.ts'
import { createAdmission } from '../../src/runtime/apiserver/admission/admission.ts'
import { createApiServer } from '../../src/runtime/apiserver/apiserver.ts'
import { createAuthorizer } from '../../src/runtime/apiserver/authz/authz.ts'
import {
  bootstrapObjects,
  nodeRules,
  reconcileBootstrap,
} from '../../src/runtime/apiserver/bootstrap/bootstrap.ts'
import { strategies } from '../../src/runtime/apiserver/registry/registry.ts'
import { createObjectReader } from '../../src/runtime/apiserver/storage/object-reader.ts'
import type { UserInfo } from '../../src/runtime/apiserver/user.ts'
import {
  type ControllerSettings,
  createControllers,
  DEFAULT_SETTINGS,
} from '../../src/runtime/controllers/controllers.ts'
import { createScheduler } from '../../src/runtime/scheduler/scheduler.ts'
import { createMemoryStore } from '../../src/runtime/store/memory-store.ts'

export interface InProcessCluster {
  /** As a member of system:masters. */
  readonly client: KubeClient
  /** As anybody else. */
  transportFor(user: UserInfo): Transport
  /** Controllers and scheduler begin anew, in the next term; the former ones end meanwhile. */
  changeLeader(): Promise<void>
  stop(): Promise<void>
}

const SETTINGS = {
  clusterDomain: 'cluster.local',
  serviceCidr: '10.152.183.0/24',
  podCidr: '10.1.0.0/16',
  nodePorts: { first: 30_000, last: 32_767 },
} as const

const ADMIN = { username: 'kubernetes-admin', groups: ['system:masters', 'system:authenticated'] }

export interface ClusterOptions {
  readonly serviceCidr?: string
  /** For two families. */
  readonly ipv6?: { readonly serviceCidr: string; readonly podCidr: string }
  /** What lies between controllers and scheduler and the API server; nothing unless given. */
  readonly between?: (transport: Transport) => Transport
  /** From which on lines are shown; `warn` unless given. */
  readonly logLevel?: LogLevel
}

export async function startInProcessCluster(
  {
    serviceCidr = SETTINGS.serviceCidr,
    ipv6,
    between = same => same,
    logLevel = 'warn',
    ...over
  }: Partial<ControllerSettings> & ClusterOptions = {},
  clock: Clock = systemClock,
): Promise<InProcessCluster> {
  const podCidrs = [SETTINGS.podCidr, ...(ipv6 ? [ipv6.podCidr] : [])]
  const random = systemRandom
  const level = process.env['MK8S_TEST_LOG'] === 'debug' ? 'debug' : logLevel
  const log = createLog({ level, now: clock.now, write: line => void process.stderr.write(line) })
  const store = createMemoryStore({ clock })
  const model = parseModel(readAsset('model.json'))
  const objects = createObjectReader(store, model)
  const authorizer = createAuthorizer({ store, objects, nodeRules: nodeRules() })
  const server = createApiServer({
    store,
    model,
    descriptions: () => ({}),
    protobuf: () => ({}),
    strategies,
    authorizer,
    admission: createAdmission({ objects, authorizer, clock, random }),
    virtualHandlers: [],
    settings: { ...SETTINGS, serviceCidr, ...(ipv6 && { ipv6 }) },
    kubelets: {
      connect: () => {
        throw new Error('there are no kubelets here')
      },
    },
    version: { major: '1', minor: '36', gitVersion: 'v1.36.0+test', platform: 'linux/amd64' },
    clock,
    random,
    log,
    isReady: () => [],
    onFatal: error => {
      throw error
    },
  })
  const facts = {
    serviceIp: '10.152.183.1',
    serviceCidrs: [serviceCidr, ...(ipv6 ? [ipv6.serviceCidr] : [])],
    apiPort: 16_443,
  }
  const wanted = bootstrapObjects(facts)
  const report = await reconcileBootstrap({ transport: server.transportFor(ADMIN), objects, wanted })
  assert.deepEqual(report.problems, [])
  const transport = (identity: UserInfo) => between(server.transportFor(identity))
  const user = (username: string) => transport({ username, groups: ['system:authenticated'] })
  const dutiesOf = (term: number): Component[] => {
    const informers = new InformerSet({
      client: new KubeClient(user('system:kube-controller-manager')),
      ...{ clock, random, log },
    })
    const common = { informers, clock, random, log, term }
    const settings = { ...DEFAULT_SETTINGS, podCidrs, clusterCaPem: 'PEM of the test', ...over }
    return [
      createScheduler({ ...common, transport: user('system:kube-scheduler') }),
      createControllers({ ...common, transport, settings, model }),
    ]
  }
  const reign = await beginReign(dutiesOf(store.leadership.term))
  return {
    client: new KubeClient(server.transportFor(ADMIN)),
    transportFor: identity => server.transportFor(identity),
    async changeLeader() {
      const former = reign.duties
      const next = dutiesOf(store.nextTerm())
      const ended = endReign(former)
      reign.duties = (await beginReign(next)).duties
      await ended
    },
    async stop() {
      await endReign(reign.duties)
      authorizer.stop()
      await server.stop()
      await store.close()
    },
  }
}

async function beginReign(duties: Component[]): Promise<{ duties: Component[] }> {
  const { signal } = new AbortController()
  for (const duty of duties) {
    await duty.prepare(signal)
    await duty.start(signal)
  }
  return { duties }
}

async function endReign(duties: readonly Component[]): Promise<void> {
  for (const duty of duties.toReversed()) await duty.stop()
}

/** A node that has room and is ready, without a kubelet behind it. */
export async function addNode(client: KubeClient, name: string, allocatable = {}): Promise<void> {
  const node = await client.create<Node>(NODES, {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name, labels: { 'kubernetes.io/hostname': name } },
  })
  const amounts = { cpu: '4', memory: '8Gi', pods: '110', ...allocatable }
  const time = new Date().toISOString().replace(/\.\d+Z/, 'Z')
  const ready = {
    type: 'Ready',
    status: 'True',
    reason: 'KubeletReady',
    message: '',
    lastHeartbeatTime: time,
    lastTransitionTime: time,
  }
  const patch = { status: { capacity: amounts, allocatable: amounts, conditions: [ready] } }
  await client.patch(NODES, {
    name: node.metadata.name ?? '',
    subresource: 'status',
    type: 'strategic',
    patch,
  })
}

let address = 1

/** What a kubelet would report of a pod that runs and passes its probes. */
export async function markReady(client: KubeClient, pod: Pod): Promise<void> {
  const podIP = `10.1.0.${address++}`
  const time = new Date().toISOString().replace(/\.\d+Z/, 'Z')
  const conditions = ['Ready', 'ContainersReady', 'Initialized'].map(type => ({
    type,
    status: 'True',
    lastTransitionTime: time,
  }))
  const { namespace, name } = pod.metadata
  const patch = { status: { phase: 'Running', podIP, podIPs: [{ ip: podIP }], startTime: time, conditions } }
  await client.patch(PODS, { namespace, name: name ?? '', subresource: 'status', type: 'strategic', patch })
}

/** What a kubelet does with a pod that is being deleted, once its containers are gone. */
export async function finishDeletion(client: KubeClient, pod: Pod): Promise<void> {
  const { namespace, name, uid } = pod.metadata
  await client.delete(PODS, { namespace, name: name ?? '', uid, gracePeriodSeconds: 0 })
}
