/** A node's rules over a pod network of namespaces, with the real API server and controllers in this process. */
import { systemClock } from '../../src/base/clock.ts'
import { createLog } from '../../src/base/log.ts'
import { systemRandom } from '../../src/base/random.ts'
import type { KubeClient } from '../../src/client/kube-client.ts'
import { NAMESPACES, NODES, PODS, SERVICE_ACCOUNTS } from '../../src/client/resources.ts'
import { findProgram } from '../../src/host/container-programs.ts'
import type { ContainerPort, Node, Pod } from '../../src/kube/types.ts'
import { createNftablesProxy } from '../../src/runtime/network/nftables-proxy.ts'
import { whyNoNamespace } from './containerd.ts'
import { startInProcessCluster } from './in-process-cluster.ts'
import { PodNetwork } from './pod-network.ts'
import { until } from './until.ts'

export const NODE = 'n1'
export const IPV6 = { serviceCidr: 'fd00:2::/112', podCidr: 'fd00:1::/48' } as const

/** Why packets cannot be judged here; undefined when they can. */
export function whyNoRules(): string | undefined {
  const missing = ['nft', 'conntrack'].filter(name => findProgram(name) === undefined)
  return whyNoNamespace() ?? (missing.length > 0 ? `not installed: ${missing.join(', ')}` : undefined)
}

export interface PodOptions {
  readonly name: string
  readonly namespace?: string
  readonly address: string
  /** Of IPv6. */
  readonly address6?: string
  readonly labels?: Readonly<Record<string, string>>
  readonly ports?: readonly ContainerPort[]
  readonly node?: string
  /** Listens there, TCP and UDP. */
  readonly serves?: readonly number[]
}

export interface NetworkNode {
  readonly network: PodNetwork
  readonly client: KubeClient
  addNamespace(name: string, labels?: Readonly<Record<string, string>>): Promise<void>
  /** Running and ready; on this node it is there, elsewhere only its object is. */
  addPod(options: PodOptions): Promise<void>
  /** As a daemon does that comes after another one. */
  startProxy(): Promise<void>
  stop(): Promise<void>
}

export interface NetworkNodeOptions {
  readonly serviceCidr?: string
  /** Both families. */
  readonly isDualStack?: boolean
  /** Called with what nft has just taken. */
  readonly onRules?: (text: string) => void
}

export async function startNetworkNode(options: NetworkNodeOptions = {}): Promise<NetworkNode> {
  const { serviceCidr, isDualStack = false, onRules } = options
  const network = new PodNetwork(isDualStack)
  const cluster = await startInProcessCluster({
    ...(serviceCidr !== undefined && { serviceCidr }),
    ...(isDualStack && { ipv6: IPV6 }),
  })
  const { client } = cluster
  for (const [name, zone] of [
    [NODE, 'here'],
    ['n2', 'there'],
  ] as const) {
    const metadata = { name, labels: { 'topology.kubernetes.io/zone': zone } }
    await client.create<Node>(NODES, { apiVersion: 'v1', kind: 'Node', metadata } as Node)
  }
  const level = process.env['MK8S_TEST_LOG'] === 'debug' ? 'debug' : 'error'
  const open = () =>
    createNftablesProxy({
      transport: cluster.transportFor({ username: 'system:kube-proxy', groups: ['system:authenticated'] }),
      nodeName: NODE,
      table: 'mk8s-test',
      podCidrs: ['10.1.0.0/16', ...(isDualStack ? [IPV6.podCidr] : [])],
      async run(program, args, options) {
        const ran = await network.run(program, args, options)
        if (program === 'nft' && typeof options?.input === 'string') onRules?.(options.input)
        return ran
      },
      clock: systemClock,
      random: systemRandom,
      log: createLog({ level, now: Date.now, write: line => void process.stderr.write(line) }),
    })
  let proxy = open()
  const startProxy = async () => {
    await proxy.stop()
    proxy = open()
    await proxy.start(new AbortController().signal)
  }
  await startProxy()
  const hasAccount = async (namespace: string) => {
    const accounts = await client.list(SERVICE_ACCOUNTS, { namespace })
    return accounts.items.some(({ metadata }) => metadata.name === 'default')
  }
  return {
    network,
    client,
    async addNamespace(name, labels = {}) {
      await client.create(NAMESPACES, { apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels } })
      await until(`the service account of ${name}`, () => hasAccount(name))
    },
    async addPod(options) {
      const {
        name,
        namespace = 'default',
        address,
        address6,
        labels = {},
        ports = [],
        node = NODE,
        serves = [],
      } = options
      if (node === NODE) network.addPod(name, address, address6)
      if (serves.length > 0) await network.serve(name, serves)
      await until(`the service account of ${namespace}`, () => hasAccount(namespace))
      await client.create<Pod>(PODS, {
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { name, namespace, labels },
        spec: { nodeName: node, containers: [{ name: 'c', image: 'none', ports }] },
      } as Pod)
      const conditions = [{ type: 'Ready', status: 'True' }]
      const podIPs = [address, ...(address6 === undefined ? [] : [address6])].map(ip => ({ ip }))
      const status = { phase: 'Running', podIP: address, podIPs, conditions }
      await client.patch(PODS, { namespace, name, subresource: 'status', type: 'merge', patch: { status } })
    },
    startProxy,
    async stop() {
      await proxy.stop()
      await cluster.stop()
      network.remove()
    },
  }
}
