/** The composition of a worker: no datastore and no API server, only what runs pods and finds the servers. */
import { existsSync } from 'node:fs'
import type { Component } from '../base/component.ts'
import { Mk8sError } from '../base/errors.ts'
import { isNotFound, KubeClient } from '../client/kube-client.ts'
import { NODES } from '../client/resources.ts'
import type { NodeConfig } from '../config/node-config.ts'
import { ADMIN_GROUP, groupId } from '../host/groups.ts'
import { nodePaths } from '../host/node-files.ts'
import { StatusError } from '../kube/status.ts'
import type { Node } from '../kube/types.ts'
import { createAdminServer, type DatastoreHandlers } from './admin/admin.ts'
import { type JoinFile, readJoinFile } from './join/join-file.ts'
import { writeServers } from './network/api-servers.ts'
import { reportNodeStatus } from './node-status-report.ts'
import { WORKER_LEAVES } from './pki/authorities.ts'
import type { LiveCertificates } from './pki/live-pki.ts'
import { type CertificateRenewal, certificateProblems } from './pki/renewal.ts'
import type { WorkerPki } from './pki/worker-certificates.ts'
import { createWorkerAuthority } from './rotation/worker-authority.ts'
import type { Server, ServerParts } from './server.ts'
import { createSupervisor, type Supervisor } from './supervisor/supervisor.ts'
import { buildWorkerCertificates } from './worker-certificates.ts'
import { leaveAsWorker, type WorkerLeaveParts } from './worker-leave.ts'
import { buildWorkerNode, serversPath, type WorkerNode } from './worker-node.ts'
import { createRemovalLook } from './worker-removed.ts'

type WorkerParts = Omit<ServerParts, 'clusterInit'>

/** The longest that a status waits for what a server says of this node. */
const ASK_MS_MAX = 1_000

/** Resolves once everything runs; the node becomes Ready as soon as a server answers. */
export async function startWorkerNode(parts: WorkerParts): Promise<Server> {
  const { config, clock, random, log, signal } = parts
  const joined = mustReadJoinFile(config)
  const { live, renewal } = await buildWorkerCertificates({
    config,
    servers: () => leaveParts(config, node).servers,
    clock,
    log,
  })
  rememberServers(config, joined)
  const node = buildWorkerNode({ config, cluster: joined.cluster, live, clock, random, log })
  const authority = createWorkerAuthority({
    ...{ clock, random },
    nodeName: config.nodeName,
    transport: node.kubeletTransport,
    trusted: () => live.current.clusterAuthority,
    renew: () => renewal.renewNow(WORKER_LEAVES),
    log: log.child({ component: 'authority' }),
  })
  const removal = createRemovalLook({
    client: new KubeClient(node.kubeletTransport, { userAgent: 'mk8s/membership' }),
    nodeName: config.nodeName,
    isWell: () => supervisor.health().every(({ ok }) => ok),
    onRemoved: parts.onFatal,
    clock,
  })
  const supervisor = createSupervisor({
    // A kubelet that is refused never gets to the end of its start.
    components: [removal, ...node.components, renewal, authority],
    clock,
    log: log.child({ component: 'supervisor' }),
  })
  const admin = buildWorkerAdmin(parts, { node, supervisor, live, renewal })
  await admin.start(signal)
  try {
    await supervisor.start(signal)
  } catch (error) {
    await admin.stop()
    throw error
  }
  log.info('working', { address: config.bindAddress, servers: node.servers.current.length })
  return {
    async stop() {
      await supervisor.stop()
      await admin.stop()
    },
  }
}

/** The list from the join is where a worker begins; from then on it keeps its own. */
function rememberServers({ dataDir }: NodeConfig, { members }: JoinFile): void {
  const path = serversPath(dataDir)
  if (existsSync(path)) return
  const servers = members.map(({ apiAddress: { host, port } }) => ({ address: host, port }))
  writeServers(path, servers)
}

function mustReadJoinFile({ dataDir }: NodeConfig): JoinFile {
  const joined = readJoinFile(dataDir)
  if (joined !== undefined) return joined
  throw new Mk8sError('config/unreadable', `${dataDir}/join.json is missing`, {
    why: 'a worker knows its cluster from it',
    hint: 'restore it, or: mk8s uninstall, then mk8s join again',
  })
}

interface Running {
  readonly node: WorkerNode
  readonly supervisor: Supervisor
  readonly live: LiveCertificates<WorkerPki>
  readonly renewal: CertificateRenewal
}

function buildWorkerAdmin(parts: WorkerParts, { node, supervisor, live, renewal }: Running): Component {
  const { config, clock } = parts
  const log = parts.log.child({ component: 'admin' })
  const startedAtMs = clock.now()
  const adminGroup = groupId(ADMIN_GROUP)
  const client = new KubeClient(node.kubeletTransport, { userAgent: 'mk8s/status' })
  return createAdminServer({
    socketPath: nodePaths(config.dataDir).adminSocket,
    ...(adminGroup === undefined ? {} : { groupId: adminGroup }),
    clock,
    log,
    handlers: {
      status: async () =>
        reportNodeStatus({
          config,
          processId: process.pid,
          startedAtMs,
          nowMs: clock.now(),
          datastore: null,
          components: supervisor.health(),
          ...(await askForNode(client, config.nodeName)),
          problems: [
            ...node.problems(),
            ...(await certificateProblems(nodePaths(config.dataDir).pki, clock.now())),
          ],
        }),
      async stop({ workloads, isShutdown }) {
        if (isShutdown) await node.shutDown()
        if (workloads)
          await node.stopWorkloads().catch(error => log.warn('the pods could not be ended', { error }))
        parts.onStopRequested()
      },
      datastore: noDatastore,
      images: () => node.images,
      certificates: { renew: names => renewal.renewNow(names) },
      removeNode: request => leaveAsWorker({ ...leaveParts(config, node), pki: live.current }, request),
    },
  })
}

/** Those of the join, and where API servers are by now: all servers of a cluster tend to use the same port. */
function leaveParts(config: NodeConfig, { servers }: WorkerNode): Omit<WorkerLeaveParts, 'pki'> {
  const known = mustReadJoinFile(config).members.map(({ joinAddress }) => joinAddress)
  const port = known[0]?.port ?? config.ports.join
  const others = servers.current.map(({ address }) => ({ host: address, port }))
  const news = others.filter(other => !known.some(({ host }) => host === other.host))
  return { servers: [...known, ...news], nodeName: config.nodeName }
}

/** What the servers think of this node, which is what counts. */
async function askForNode(
  client: KubeClient,
  name: string,
): Promise<{ readonly node: Node | null; readonly unknown?: string }> {
  try {
    return { node: await client.get<Node>(NODES, { name, signal: AbortSignal.timeout(ASK_MS_MAX) }) }
  } catch (error) {
    if (isNotFound(error)) return { node: null }
    const unknown = error instanceof StatusError ? error.message : 'no server of the cluster answers'
    return { node: null, unknown }
  }
}

const refuse = async (): Promise<never> => {
  throw new Mk8sError('refused', 'a worker has no datastore', { hint: 'run this on a server of the cluster' })
}

const noDatastore: DatastoreHandlers = {
  details: refuse,
  check: refuse,
  compact: refuse,
  defragment: refuse,
  copy: refuse,
}
