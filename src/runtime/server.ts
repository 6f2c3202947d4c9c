/**
 * The composition of a node: builds the parts, hands each what it needs, starts them in order. Decides nothing.
 * Order: store → API server → the objects a cluster begins with → node → controllers and scheduler.
 */

import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { abortable } from '../base/abortable.ts'
import type { Clock } from '../base/clock.ts'
import type { Component } from '../base/component.ts'
import { Mk8sError } from '../base/errors.ts'
import type { Log } from '../base/log.ts'
import type { Random } from '../base/random.ts'
import type { RemovalRequest } from '../client/node-removal.ts'
import { type ClusterInit, clusterInitPath } from '../config/config-files.ts'
import type { NodeConfig } from '../config/node-config.ts'
import { readAsset } from '../host/assets.ts'
import { parseModel } from '../kube/model.ts'
import type { Node } from '../kube/types.ts'
import { hasClusterConfig, isFirstStart, recordFirstStart, settleClusterConfig } from './cluster-config.ts'
import { createFirstManifests } from './first-manifests.ts'
import { knownPeers, readJoinFile } from './join/join-file.ts'
import { createLeaderDuties } from './leader-duties.ts'
import { refuseMissingDatastore } from './missing-datastore.ts'
import { peerIdentity } from './pki/authorities.ts'
import type { LiveCertificates } from './pki/live-pki.ts'
import type { Pki } from './pki/pki.ts'
import { readJournal } from './recovery/switch-over.ts'
import { restoreRoutes } from './restore/restore-routes.ts'
import { createRestoreWatch } from './restore/restore-watch.ts'
import { createServerCalls } from './restore/server-calls.ts'
import { createSecretsEncryption } from './secrets-encryption/secrets-encryption.ts'
import { buildAdmin, createStatusReporter, type RunningParts, type StatusReporter } from './server-admin.ts'
import { type Api, buildApi, type Shared } from './server-api.ts'
import { buildBackups } from './server-backups.ts'
import { buildCertificates, loadCertificates } from './server-certificates.ts'
import { buildDatastore, type Datastore } from './server-datastore.ts'
import { buildEarlyListener, buildJoin } from './server-join.ts'
import { buildSharedKeys } from './server-keys.ts'
import { leaderDutiesOf, readSchedulerConfig } from './server-leader.ts'
import { buildMembers, type Members, peerCredentialsOf } from './server-members.ts'
import { buildNode, kubeletCertificates, serverNodeParts } from './server-node.ts'
import { buildNextKeyRoute, buildRotation, buildRotationFollower } from './server-rotation.ts'
import { imagesOfCluster } from './spread-images.ts'
import { hostpathClass } from './storage-class.ts'
import { openRaftStore } from './store/open-raft-store.ts'
import type { PeerOptions, RaftStore } from './store/raft-store.ts'
import { createSupervisor } from './supervisor/supervisor.ts'

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
  /** The daemon is to end, and to begin again as another generation of its cluster. */
  readonly onRestart: () => void
}

export interface Server {
  /** Stops everything in order; the containers go on running. */
  stop(): Promise<void>
}

/** Resolves once the API server serves and the node's components run; the node may become Ready a moment later. */
export async function startServer(parts: ServerParts): Promise<Server> {
  const { config, clock, random, log } = parts
  refuseMissingDatastore(config.dataDir)
  const live = await loadCertificates(parts)
  const joined = readJoinFile(config.dataDir)
  const store = await openRaftStore({
    directory: join(config.dataDir, 'datastore'),
    clock,
    random,
    log: log.child({ component: 'store' }),
    clusterId: config.clusterId,
    memberId: config.memberId,
    peers: { ...peersOf(config, live.current), known: knownPeers(joined) },
    joins: joined !== undefined,
    onFatal: parts.onFatal,
  })
  live.onChange(current => store.useCredentials(peerCredentialsOf(current)))
  try {
    return await startOn(store, live, parts)
  } catch (error) {
    await store.close()
    throw error
  }
}

function peersOf({ bindAddress, ports, clusterId }: NodeConfig, pki: Pki): Omit<PeerOptions, 'known'> {
  return {
    credentials: peerCredentialsOf(pki),
    listen: { host: bindAddress, port: ports.raft },
    identityOf: member => peerIdentity(clusterId, member.toString(16)),
  }
}

/** The admin socket answers from the first moment on, so that a node which waits for its cluster can say so. */
async function startOn(store: RaftStore, live: LiveCertificates<Pki>, parts: ServerParts): Promise<Server> {
  const { config, clock, log } = parts
  const datastore = buildDatastore({ config, store, pki: live.current, clock, log })
  const members = buildMembers({
    config,
    store,
    pki: () => live.current,
    clock,
    log,
    onRemoved: parts.onFatal,
  })
  let running: RunningParts | null = null
  const status = createStatusReporter({
    ...{ config, clock, store },
    members: members.status,
    peers: members.directory,
    running: () => running,
  })
  const admin = buildAdmin({
    ...parts,
    status,
    datastore: datastore.handlers,
    running: () => running,
  })
  const { dataDir } = config
  const restoreWatch = createRestoreWatch({ ...parts, dataDir, calls: createServerCalls(dataDir) })
  await admin.start(parts.signal)
  await members.directory.start(parts.signal)
  await restoreWatch.start(parts.signal)
  let listener: Component | null = null
  try {
    if (!hasClusterConfig(store)) await waitForFirstState(store, live, parts)
    const built = await buildNodeParts(store, live, { datastore, members, status }, parts)
    // What other servers ask is answered without a leader too.
    listener = built.listener
    await listener.start(parts.signal)
    await waitUntilCaughtUp(store, parts)
    running = built
    await built.supervisor.start(parts.signal)
  } catch (error) {
    await restoreWatch.stop()
    await listener?.stop()
    await members.directory.stop()
    await admin.stop()
    throw error
  }
  const { supervisor } = running
  log.info('serving', { address: config.bindAddress, port: config.ports.api })
  return {
    async stop() {
      await restoreWatch.stop()
      // To a generation that ends, nothing is handed over.
      if (readJournal(dataDir) === undefined) await members.stepDown()
      await supervisor.stop()
      await listener?.stop()
      await members.directory.stop()
      await admin.stop()
      await store.close()
    },
  }
}

/** Whoever is to send it may wait until this server has said that it has left an earlier generation. */
async function waitForFirstState(
  store: RaftStore,
  live: LiveCertificates<Pki>,
  parts: ServerParts,
): Promise<void> {
  const listener = buildEarlyListener(parts, live, restoreRoutes(parts))
  await listener.start()
  try {
    await waitUntilCaughtUp(store, parts)
  } finally {
    await listener.stop()
  }
}

/** Waits for a leader for as long as it takes: after a power cut the other machines may come later. */
async function waitUntilCaughtUp(store: RaftStore, { signal, log }: ServerParts): Promise<void> {
  for (;;) {
    try {
      return await abortable(store.barrier(signal), signal)
    } catch (error) {
      if (!(error instanceof Mk8sError) || error.code !== 'store/no-leader') throw error
      log.warn('the datastore has no leader yet; waiting for the other members')
    }
  }
}

interface NodeSurroundings {
  readonly datastore: Datastore
  readonly members: Members
  readonly status: StatusReporter
}

async function buildNodeParts(
  store: RaftStore,
  live: LiveCertificates<Pki>,
  { datastore, members, status }: NodeSurroundings,
  parts: ServerParts,
): Promise<RunningParts & { readonly listener: Component }> {
  const { config, clock, random, log } = parts
  const model = parseModel(readAsset('model.json'))
  const cluster = await settleClusterConfig(store, () => parts.clusterInit().cluster)
  const renewNow = (forced: readonly string[]) => certificates.renewal.renewNow(forced)
  const follower = buildRotationFollower({ ...parts, store, live, renewNow })
  const keys = buildSharedKeys({ ...parts, store, live, renewNow })
  const applyRotation = async () => [
    ...((await follower.apply()) ? ['cluster-ca'] : []),
    ...(await keys.apply()),
  ]
  const certificates = await buildCertificates({ ...parts, cluster, live, applyRotation })
  const shared = { config, cluster, store, model, pki: live.current, live, clock, random, log }
  const metrics = () => datastore.metrics() + node.metrics()
  const api = buildApi(shared, parts.onFatal, { metrics, status: () => status() })
  const { server } = api
  const node = buildNode(serverNodeParts(shared, server))
  datastore.useCertificates(live.current)
  live.onChange(current => {
    api.useCertificates(current)
    datastore.useCertificates(current)
    node.useCertificates(kubeletCertificates(current))
  })
  const { stopWorkloads, shutDown, problems } = node
  const images = imagesOfCluster({
    ...{ nodeName: config.nodeName, images: node.images, pki: () => live.current },
    nodes: () => server.objects.list('', 'nodes') as Node[],
  })
  const removeNode = (request: RemovalRequest) =>
    members.removeNode(request, { cluster, server, stopWorkloads })
  const rotation = buildRotation({ ...shared, server, follower })
  const backups = buildBackups({ ...shared, server })
  const secretsEncryption = createSecretsEncryption({ ...shared, fileKey: () => live.current.secretsKey })
  const keyRoutes = [buildNextKeyRoute({ config, live }), keys.route]
  const joining = buildJoin({
    ...{ ...shared, server, members, live, removeNode, keyRoutes },
    restoreRoutes: restoreRoutes(parts),
  })
  const schedulerConfig = readSchedulerConfig(config)
  const duties = createLeaderDuties({
    store,
    clock,
    dutiesOf: term => [
      members.keeperOf(term, { cluster, server }),
      joining.keeperOf(term),
      rotation.keeperOf(term),
      ...keys.keepersOf(term),
      backups.keeperOf(term),
      ...leaderDutiesOf({ ...shared, live, schedulerConfig }, server, term),
    ],
    log: log.child({ component: 'leader' }),
  })
  const isFounding = existsSync(clusterInitPath(config.dataDir))
  const manifests = isFounding && isFirstStart(store) ? [firstManifests(parts, store, api, shared)] : []
  const components = [
    ...[...api.components, ...datastore.components, ...node.components, duties, ...manifests],
    ...[certificates.renewal, follower, ...keys.followers],
  ]
  const supervisor = createSupervisor({ components, clock, log: log.child({ component: 'supervisor' }) })
  return {
    ...{ supervisor, api, certificates, stopWorkloads, shutDown },
    ...{ listener: joining.listener, addNode: joining.addNode },
    ...{ removeNode, rotation, keys, backups, secretsEncryption, images, problems },
  }
}

function firstManifests(parts: ServerParts, store: RaftStore, api: Api, shared: Shared): Component {
  const { manifests: given } = parts.clusterInit()
  return createFirstManifests({
    manifests: [...given, hostpathClass(given)],
    transport: api.server.transportFor({ username: 'mk8s:installer', groups: ['system:masters'] }),
    model: shared.model,
    clock: parts.clock,
    log: parts.log.child({ component: 'manifests' }),
    onDone: () => recordFirstStart(store),
  })
}
