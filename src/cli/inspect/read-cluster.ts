/** Reads the main kinds from the API server for the bundle, and the Secrets only to know what must not be in it. */
import { bracketed } from '../../base/bracketed.ts'
import { messageOf } from '../../base/errors.ts'
import { HttpsTransport } from '../../client/https-transport.ts'
import { KubeClient } from '../../client/kube-client.ts'
import {
  CONFIG_MAPS,
  CRON_JOBS,
  DAEMON_SETS,
  DEPLOYMENTS,
  ENDPOINT_SLICES,
  ENDPOINTS,
  EVENTS,
  JOBS,
  LEASES,
  NAMESPACES,
  NODES,
  PERSISTENT_VOLUME_CLAIMS,
  PERSISTENT_VOLUMES,
  PODS,
  REPLICA_SETS,
  type ResourceRef,
  SECRETS,
  SERVICE_ACCOUNTS,
  SERVICES,
  STATEFUL_SETS,
} from '../../client/resources.ts'
import type { NodeConfig } from '../../config/node-config.ts'
import type { KubeObject } from '../../kube/object.ts'
import { loadPki } from '../../runtime/pki/pki.ts'

const DUMPED: readonly ResourceRef[] = [
  NODES,
  NAMESPACES,
  PODS,
  SERVICES,
  ENDPOINTS,
  ENDPOINT_SLICES,
  DEPLOYMENTS,
  REPLICA_SETS,
  STATEFUL_SETS,
  DAEMON_SETS,
  JOBS,
  CRON_JOBS,
  CONFIG_MAPS,
  SECRETS,
  SERVICE_ACCOUNTS,
  PERSISTENT_VOLUMES,
  PERSISTENT_VOLUME_CLAIMS,
  LEASES,
  EVENTS,
]
/** Of each kind; a support bundle is no backup. */
const OBJECTS_MAX = 2_000
const PAGE_ITEMS = 500
/** For everything together. */
const ANSWER_MS_MAX = 30_000

export interface ClusterDump {
  /** By resource; whole objects, which still hold secrets. */
  readonly objects: ReadonlyMap<string, readonly KubeObject[]>
  /** Resources of which there are more than were read. */
  readonly truncated: readonly string[]
  /** Why the reading ended early. */
  readonly problem: string | undefined
}

export async function readCluster(config: NodeConfig, pkiDirectory: string): Promise<ClusterDump> {
  const objects = new Map<string, readonly KubeObject[]>()
  const truncated: string[] = []
  const signal = AbortSignal.timeout(ANSWER_MS_MAX)
  let transport: HttpsTransport | undefined
  try {
    transport = await connect(config, pkiDirectory)
    const client = new KubeClient(transport, { userAgent: 'mk8s/inspect' })
    for (const resource of DUMPED) {
      const { items, more } = await readAll(client, resource, signal)
      objects.set(resource.resource, items)
      if (more) truncated.push(resource.resource)
    }
    return { objects, truncated, problem: undefined }
  } catch (error) {
    return { objects, truncated, problem: `the API server could not be read: ${messageOf(error)}` }
  } finally {
    transport?.close()
  }
}

async function connect({ bindAddress, ports }: NodeConfig, pkiDirectory: string): Promise<HttpsTransport> {
  const { authorities, leaves } = await loadPki(pkiDirectory)
  return new HttpsTransport({
    server: `https://${bracketed(bindAddress)}:${ports.api}`,
    caPem: authorities['cluster-ca'].certificate,
    certificatePem: leaves.admin.certificate,
    keyPem: leaves.admin.key,
  })
}

async function readAll(
  client: KubeClient,
  resource: ResourceRef,
  signal: AbortSignal,
): Promise<{ items: KubeObject[]; more: boolean }> {
  const items: KubeObject[] = []
  let token: string | undefined
  do {
    const page = await client.list<KubeObject>(resource, { limit: PAGE_ITEMS, continue: token, signal })
    items.push(...page.items)
    token = page.continue
    // Every Secret is read, so that each value is known.
  } while (token && (items.length < OBJECTS_MAX || resource === SECRETS))
  return { items, more: token !== undefined }
}
