/**
 * A kubeconfig with every API server of the cluster: kubectl knows no list of addresses for one cluster, so each
 * server is a cluster and a context of its own, for the same user. `kubectl --context` chooses.
 */
import { Mk8sError } from '../base/errors.ts'
import { KubeClient } from '../client/kube-client.ts'
import { ENDPOINT_SLICES } from '../client/resources.ts'
import type { EndpointSlice } from '../kube/types.ts'
import { parseYamlDocuments, renderYaml } from '../kube/yaml.ts'
import { type ClusterEntry, type ContextEntry, decodePem, transportTo } from './kubeconfig.ts'

interface UserEntry {
  readonly name: string
  readonly user: { readonly 'client-certificate-data': string; readonly 'client-key-data': string }
}

interface Kubeconfig {
  readonly clusters: readonly ClusterEntry[]
  readonly contexts: readonly ContextEntry[]
  readonly users: readonly UserEntry[]
  readonly 'current-context': string
}

const ANSWER_MS_MAX = 10_000

/** Adds the others to the administrator's kubeconfig; the current context stays. */
export async function withAllServers(text: string): Promise<string> {
  const config = parseYamlDocuments(text)[0] as unknown as Kubeconfig
  return renderYaml(addServers(config, await readServers(config)))
}

/** Pure. `servers`: as `https://10.0.0.2:16443`. */
export function addServers(config: Kubeconfig, servers: readonly string[]): Kubeconfig {
  const { context, cluster } = currentOf(config)
  const known = new Set(config.clusters.map(each => each.cluster.server))
  const added = servers
    .filter(server => !known.has(server))
    .map(server => ({ server, name: nameOf(context, server) }))
  return {
    ...config,
    clusters: [
      ...config.clusters,
      ...added.map(({ name, server }) => ({ name, cluster: { ...cluster.cluster, server } })),
    ],
    contexts: [
      ...config.contexts,
      ...added.map(({ name }) => ({ name, context: { ...context.context, cluster: name } })),
    ],
  }
}

const nameOf = ({ name }: ContextEntry, server: string): string => `${name}-${new URL(server).hostname}`

function currentOf(config: Kubeconfig): { context: ContextEntry; cluster: ClusterEntry; user: UserEntry } {
  const context = config.contexts.find(({ name }) => name === config['current-context'])
  const cluster = config.clusters.find(({ name }) => name === context?.context.cluster)
  const user = config.users.find(({ name }) => name === context?.context.user)
  if (context !== undefined && cluster !== undefined && user !== undefined) return { context, cluster, user }
  throw new Mk8sError('config/unreadable', "the administrator's kubeconfig has no current context")
}

async function readServers(config: Kubeconfig): Promise<string[]> {
  const { cluster, user } = currentOf(config)
  const transport = transportTo(cluster, {
    certificate: decodePem(user.user['client-certificate-data']),
    key: decodePem(user.user['client-key-data']),
  })
  try {
    const { items } = await new KubeClient(transport).list<EndpointSlice>(ENDPOINT_SLICES, {
      namespace: 'default',
      labelSelector: 'kubernetes.io/service-name=kubernetes',
      signal: AbortSignal.timeout(ANSWER_MS_MAX),
    })
    return items.flatMap(serversOf).sort()
  } finally {
    transport.close()
  }
}

const serversOf = ({ endpoints, ports, addressType }: EndpointSlice): string[] =>
  (endpoints ?? []).flatMap(({ addresses }) =>
    addresses.map(
      address => `https://${addressType === 'IPv6' ? `[${address}]` : address}:${ports?.[0]?.port}`,
    ),
  )
