/**
 * The composition of a node: builds the parts, hands each what it needs, starts them in order. Decides nothing.
 * Order: store → API server → the objects a cluster begins with → node → controllers and scheduler.
 */
import { join } from 'node:path'
import type { Clock } from '../base/clock.ts'
import type { Component } from '../base/component.ts'
import type { Log } from '../base/log.ts'
import type { Random } from '../base/random.ts'
import type { Problem } from '../client/node-status.ts'
import type { ClusterInit } from '../config/config-files.ts'
import type { NodeConfig } from '../config/node-config.ts'
import { readAsset } from '../host/assets.ts'
import { ADMIN_GROUP, groupId } from '../host/groups.ts'
import { nodePaths } from '../host/node-files.ts'
import { parseModel } from '../kube/model.ts'
import type { Node, Pod } from '../kube/types.ts'
import { createAdminServer } from './admin/admin.ts'
import { isFirstStart, recordFirstStart, settleClusterConfig } from './cluster-config.ts'
import { findProblems } from './cluster-problems.ts'
import { createFirstManifests } from './first-manifests.ts'
import { createLeaderDuties } from './leader-duties.ts'
import { refuseMissingDatastore } from './missing-datastore.ts'
import { reportNodeStatus } from './node-status-report.ts'
import { loadPki } from './pki/pki.ts'
import { type Api, buildApi, type Shared } from './server-api.ts'
import { buildDatastore, type Datastore } from './server-datastore.ts'
import { leaderDutiesOf } from './server-leader.ts'
import { buildNode } from './server-node.ts'
import { openRaftStore, type RaftStore } from './store/raft-store.ts'
import { createSupervisor, type Supervisor } from './supervisor/supervisor.ts'

export interface ServerParts {
  readonly config: NodeConfig
  /** What a new cluster begins with; read only when the store is empty. */
  readonly clusterInit: () => ClusterInit
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  /** Aborted when the daemon is told to stop while it starts. */
  readonly signal: AbortSignal
  /** Something broke that the process cannot go on after. */
  readonly onFatal: (error: Error) => void
  /** `mk8s stop` asked for it. */
  readonly onStopRequested: () => void
}

export interface Server {
  /** Stops everything in order; the containers go on running. */
  stop(): Promise<void>
}

/** Resolves once the API server serves and the node's components run; the node may become Ready a moment later. */
export async function startServer(parts: ServerParts): Promise<Server> {
  const { config, clock, random, log } = parts
  refuseMissingDatastore(config.dataDir)
  const store = await openRaftStore({
    directory: join(config.dataDir, 'datastore'),
    clock,
    random,
    log: log.child({ component: 'store' }),
    clusterId: config.clusterId,
    memberId: config.memberId,
    onFatal: parts.onFatal,
  })
  try {
    return await startOn(store, parts)
  } catch (error) {
    await store.close()
    throw error
  }
}

async function startOn(store: RaftStore, parts: ServerParts): Promise<Server> {
  const { config, clock, random, log } = parts
  const model = parseModel(readAsset('model.json'))
  const pki = await loadPki(nodePaths(config.dataDir).pki)
  await store.barrier(parts.signal)
  const cluster = await settleClusterConfig(store, () => parts.clusterInit().cluster)
  const shared = { config, cluster, store, model, pki, clock, random, log }
  const api = buildApi(shared, parts.onFatal)
  const node = buildNode(shared, api.server)
  const duties = createLeaderDuties({
    store,
    dutiesOf: term => leaderDutiesOf(shared, api.server, term),
    log: log.child({ component: 'leader' }),
  })
  const manifests = isFirstStart(store) ? [firstManifests(parts, store, api, shared)] : []
  const datastore = buildDatastore({ ...shared, store })
  const components = [...api.components, ...datastore.components, ...node.components, duties, ...manifests]
  const supervisor = createSupervisor({ components, clock, log: log.child({ component: 'supervisor' }) })
  const admin = buildAdmin(parts, { store, supervisor, api, datastore, stopWorkloads: node.stopWorkloads })
  await admin.start(parts.signal)
  await supervisor.start(parts.signal)
  log.info('serving', { address: config.bindAddress, port: config.ports.api })
  return {
    async stop() {
      await supervisor.stop()
      await admin.stop()
      await store.close()
    },
  }
}

function firstManifests(parts: ServerParts, store: RaftStore, api: Api, shared: Shared): Component {
  return createFirstManifests({
    manifests: parts.clusterInit().manifests,
    transport: api.server.transportFor({ username: 'mk8s:installer', groups: ['system:masters'] }),
    model: shared.model,
    clock: parts.clock,
    log: parts.log.child({ component: 'manifests' }),
    onDone: () => recordFirstStart(store),
  })
}

function problemsOf(api: Api, clock: Clock): Problem[] {
  const { objects } = api.server
  const [nodes, pods] = [objects.list('', 'nodes') as Node[], objects.list('', 'pods') as Pod[]]
  return findProblems({ nodes, pods, nowMs: clock.now() })
}

interface AdminNeeds {
  readonly store: RaftStore
  readonly supervisor: Supervisor
  readonly api: Api
  readonly datastore: Datastore
  readonly stopWorkloads: () => Promise<void>
}

function buildAdmin(parts: ServerParts, needs: AdminNeeds): Component {
  const { store, supervisor, api, stopWorkloads } = needs
  const { config, clock } = parts
  const log = parts.log.child({ component: 'admin' })
  const startedAtMs = clock.now()
  const adminGroup = groupId(ADMIN_GROUP)
  return createAdminServer({
    socketPath: nodePaths(config.dataDir).adminSocket,
    ...(adminGroup === undefined ? {} : { groupId: adminGroup }),
    clock,
    log,
    handlers: {
      status: async ({ brief = false } = {}) =>
        reportNodeStatus({
          config,
          processId: process.pid,
          startedAtMs,
          nowMs: clock.now(),
          leadership: store.leadership,
          revision: store.revision,
          components: supervisor.health(),
          node: api.server.objects.get('', 'nodes', '', config.nodeName),
          problems: brief ? [] : problemsOf(api, clock),
        }),
      async stop({ workloads }) {
        // Whoever asks ends what is left behind, without the runtime where it must be.
        if (workloads)
          await stopWorkloads().catch(error => log.warn('the pods could not be ended', { error }))
        parts.onStopRequested()
      },
      datastore: needs.datastore.handlers,
    },
  })
}
