/** Builds the admin socket of a node: what it tells and does while the node waits for its cluster, and after. */
import type { Clock } from '../base/clock.ts'
import type { Component } from '../base/component.ts'
import { Mk8sError } from '../base/errors.ts'
import type { Log } from '../base/log.ts'
import type { AddNodeAnswer, AddNodeRequest } from '../client/add-node.ts'
import type { ImageHandlers } from '../client/node-images.ts'
import type { RemovalOutcome, RemovalRequest } from '../client/node-removal.ts'
import type { NodeStatus, Problem } from '../client/node-status.ts'
import type { SecretsEncryptionHandlers } from '../client/secrets-encryption.ts'
import type { NodeConfig } from '../config/node-config.ts'
import { ADMIN_GROUP, groupId } from '../host/groups.ts'
import { nodePaths } from '../host/node-files.ts'
import type { ConfigMap, Node, Pod } from '../kube/types.ts'
import { addonProblems, addonStates } from './addon-states.ts'
import { createAdminServer, type DatastoreHandlers } from './admin/admin.ts'
import { scheduleProblems } from './backup/schedule/describe-schedules.ts'
import { findProblems } from './cluster-problems.ts'
import type { MemberStatus } from './members/member-status.ts'
import { reportNodeStatus } from './node-status-report.ts'
import type { Api } from './server-api.ts'
import type { Backups } from './server-backups.ts'
import type { ServerCertificates } from './server-certificates.ts'
import type { SharedKeys } from './server-keys.ts'
import type { Rotation } from './server-rotation.ts'
import { upgradeProblems } from './server-upgrades.ts'
import type { RaftStore } from './store/raft-store.ts'
import type { Supervisor } from './supervisor/supervisor.ts'

/** What there is once the node knows its cluster. */
export interface RunningParts {
  readonly supervisor: Supervisor
  readonly api: Api
  readonly certificates: ServerCertificates
  readonly rotation: Rotation
  readonly keys: SharedKeys
  readonly backups: Backups
  readonly secretsEncryption: SecretsEncryptionHandlers
  readonly stopWorkloads: () => Promise<void>
  readonly shutDown: () => Promise<void>
  readonly images: ImageHandlers
  /** Of this node alone. */
  readonly problems: () => readonly Problem[]
  readonly addNode: (request: AddNodeRequest) => Promise<AddNodeAnswer>
  readonly removeNode: (request: RemovalRequest) => Promise<RemovalOutcome>
}

export interface AdminNeeds {
  readonly config: NodeConfig
  readonly status: StatusReporter
  readonly datastore: DatastoreHandlers
  /** Null while the node waits for its cluster. */
  readonly running: () => RunningParts | null
  readonly onStopRequested: () => void
  readonly clock: Clock
  readonly log: Log
}

/** What `mk8s status` and `/mk8s/status` show; brief: without what has to be asked of others. */
export type StatusReporter = (options?: { readonly brief?: boolean }) => Promise<NodeStatus>

export interface StatusNeeds {
  readonly config: NodeConfig
  readonly members: Pick<MemberStatus, 'brief' | 'collect'>
  /** Knows where the other servers are, and whether this one is known. */
  readonly peers: Pick<Component, 'name' | 'health'>
  readonly store: Pick<RaftStore, 'get' | 'range'>
  /** Null while the node waits for its cluster. */
  readonly running: () => RunningParts | null
  readonly clock: Clock
}

export function createStatusReporter(needs: StatusNeeds): StatusReporter {
  const { config, members, peers, running, clock } = needs
  const startedAtMs = clock.now()
  return async ({ brief = false } = {}) => {
    const parts = running()
    return reportNodeStatus({
      config,
      processId: process.pid,
      startedAtMs,
      nowMs: clock.now(),
      datastore: brief ? members.brief() : await members.collect(),
      components: [{ name: peers.name, ...peers.health() }, ...(parts?.supervisor.health() ?? [WAITING])],
      node: parts?.api.server.objects.get('', 'nodes', '', config.nodeName) ?? null,
      problems:
        brief || parts === null
          ? []
          : [...(await problemsOf(parts, clock)), ...addonProblems(needs.store, clock.now())],
      backups: brief ? [] : (parts?.backups.status() ?? []),
      addons: brief || parts === null ? [] : addonsOf(parts, needs.store),
    })
  }
}

export function buildAdmin(needs: AdminNeeds): Component {
  const { config, running, clock } = needs
  const log = needs.log.child({ component: 'admin' })
  const ready = (): RunningParts => {
    const parts = running()
    if (parts === null) throw waiting()
    return parts
  }
  const adminGroup = groupId(ADMIN_GROUP)
  return createAdminServer({
    socketPath: nodePaths(config.dataDir).adminSocket,
    ...(adminGroup === undefined ? {} : { groupId: adminGroup }),
    clock,
    log,
    handlers: {
      status: needs.status,
      async stop({ workloads, isShutdown }) {
        if (isShutdown) await running()?.shutDown()
        // Whoever asks ends what is left behind, without the runtime where it must be.
        if (workloads) {
          const ended = running()?.stopWorkloads() ?? Promise.resolve()
          await ended.catch(error => log.warn('the pods could not be ended', { error }))
        }
        needs.onStopRequested()
      },
      datastore: needs.datastore,
      images: () => ready().images,
      backups: () => ready().backups.handlers,
      secretsEncryption: () => ready().secretsEncryption,
      keys: ring => ready().keys.handlers(ring),
      certificates: {
        renew: async names => ready().certificates.renewal.renewNow(names),
        rotation: async () => ready().rotation.status(),
        replaceAuthority: async () => ready().rotation.begin(),
        dropEarlierAuthority: async () => ready().rotation.dropEarlier(),
      },
      addNode: async request => ready().addNode(request),
      removeNode: async request => ready().removeNode(request),
    },
  })
}

const addonsOf = ({ api }: RunningParts, store: StatusNeeds['store']) =>
  addonStates(store, api.server.objects.list('', 'configmaps', 'kube-system') as ConfigMap[])

const WAITING = {
  name: 'datastore',
  ok: false,
  reason: 'it waits for a leader, and to catch up with it',
}

const waiting = (): Mk8sError =>
  new Mk8sError('store/no-leader', 'the datastore has no leader, so the cluster cannot be changed now', {
    hint: 'start the other servers; or, when too many are lost for good: mk8s recover',
  })

async function problemsOf(
  { api, certificates, rotation, keys, backups, problems }: RunningParts,
  clock: Clock,
): Promise<Problem[]> {
  const { objects } = api.server
  const [nodes, pods] = [objects.list('', 'nodes') as Node[], objects.list('', 'pods') as Pod[]]
  return [
    ...findProblems({ nodes, pods, nowMs: clock.now() }),
    ...(await certificates.problems()),
    ...rotation.problems(),
    ...keys.problems(),
    ...api.problems(),
    ...problems(),
    ...upgradeProblems(objects),
    ...scheduleProblems(backups.status(), clock.now()),
  ]
}
