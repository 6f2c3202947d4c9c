/** Builds what surrounds a node's datastore: the etcd endpoint, and what the admin socket tells and does. */
import { statSync } from 'node:fs'
import { join } from 'node:path'
import { must } from '../base/assert.ts'
import { bracketed } from '../base/bracketed.ts'
import type { Component } from '../base/component.ts'
import type { DatastoreDetails } from '../client/datastore-details.ts'
import { parseHostPort } from '../config/values.ts'
import { nodePaths } from '../host/node-files.ts'
import type { DatastoreHandlers } from './admin/admin.ts'
import { addressOf, createEtcdEndpoint, type EtcdListen } from './etcd/etcd.ts'
import { datastoreMetrics, renderMetrics } from './metrics/metrics.ts'
import type { Shared } from './server-api.ts'
import type { RaftStore } from './store/raft-store.ts'

export interface Datastore {
  readonly components: readonly Component[]
  readonly handlers: DatastoreHandlers
}

type Needs = Pick<Shared, 'config' | 'pki' | 'clock' | 'log'> & { readonly store: RaftStore }

export function buildDatastore(needs: Needs): Datastore {
  const listen = etcdListenOf(needs)
  return {
    components: listen === null ? [] : [etcdComponent(needs, listen)],
    handlers: {
      details: async () => detailsOf(needs, listen),
      async check() {
        const startedAt = needs.clock.monotonic()
        const { log, databaseFindings } = await needs.store.check()
        return {
          segments: log.segments,
          logBytes: log.bytes,
          databaseBytes: databaseBytes(needs),
          durationMs: Math.round(needs.clock.monotonic() - startedAt),
          findings: [...log.findings, ...databaseFindings],
        }
      },
      async compact() {
        const { store } = needs
        await store.barrier()
        if (store.revision > store.compactedRevision) await store.compact(store.revision)
        return { revision: store.compactedRevision }
      },
    },
  }
}

function etcdListenOf({ config, pki }: Needs): EtcdListen | null {
  if (config.etcdListen === 'off') return null
  if (config.etcdListen === 'unix') return { type: 'unix', path: nodePaths(config.dataDir).etcdSocket }
  const { certificate: cert, key } = pki.leaves.apiserver
  const clientCa = pki.authorities['cluster-ca'].certificate
  const where = must(parseHostPort(config.etcdListen), 'an address and a port')
  return { type: 'tcp', ...where, tls: { cert, key, clientCa } }
}

function etcdComponent(needs: Needs, listen: EtcdListen): Component {
  const { config, store, clock, log } = needs
  const leaders = { seen: store.leadership.leader ? 1 : 0 }
  store.onLeadership(({ leader }) => {
    if (leader) leaders.seen++
  })
  return createEtcdEndpoint({
    listen,
    store,
    status: () => ({ ...store.status(), databaseBytes: databaseBytes(needs) }),
    members: () => [
      {
        id: store.status().memberId,
        name: config.nodeName,
        peerAddresses: [`https://${raftAddress(needs)}`],
        clientAddresses: [addressOf(listen)],
        learner: false,
      },
    ],
    metrics: () =>
      renderMetrics(
        datastoreMetrics({
          ...store.status(),
          leaderChanges: leaders.seen,
          leases: store.leases().length,
          databaseBytes: databaseBytes(needs),
          residentBytes: process.memoryUsage.rss(),
        }),
      ),
    clock,
    log: log.child({ component: 'etcd' }),
  })
}

function detailsOf(needs: Needs, listen: EtcdListen | null): DatastoreDetails {
  const { store, config } = needs
  const status = store.status()
  const hex = (id: number) => id.toString(16)
  return {
    clusterId: status.clusterId,
    memberId: hex(status.memberId),
    leader: status.leaderMemberId === 0 ? null : hex(status.leaderMemberId),
    term: status.term,
    lastIndex: status.lastIndex,
    commitIndex: status.commit,
    appliedIndex: status.applied,
    revision: status.revision,
    compactedRevision: status.compactedRevision,
    keys: status.keys,
    leases: store.leases().length,
    logBytes: status.logBytes,
    databaseBytes: databaseBytes(needs),
    etcdEndpoint: listen === null ? null : addressOf(listen),
    members: [
      {
        id: hex(status.memberId),
        name: config.nodeName,
        address: raftAddress(needs),
        role: 'voter',
        leader: status.leader,
      },
    ],
  }
}

const raftAddress = ({ config: { bindAddress, ports } }: Needs): string =>
  `${bracketed(bindAddress)}:${ports.raft}`

/** SQLite's file and its own log, which a checkpoint empties. */
function databaseBytes({ config }: Needs): number {
  const path = join(config.dataDir, 'datastore', 'state.sqlite')
  return [path, `${path}-wal`].reduce(
    (sum, file) => sum + (statSync(file, { throwIfNoEntry: false })?.size ?? 0),
    0,
  )
}
