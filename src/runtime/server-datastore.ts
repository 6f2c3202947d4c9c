/** Builds what surrounds a node's datastore: the etcd endpoint, and what the admin socket tells and does. */
import { statSync } from 'node:fs'
import { join } from 'node:path'
import { must } from '../base/assert.ts'
import { bracketed } from '../base/bracketed.ts'
import type { Component } from '../base/component.ts'
import type { DatastoreDetails, DatastoreMemberDetails } from '../client/datastore-details.ts'
import { parseHostPort } from '../config/values.ts'
import { nodePaths } from '../host/node-files.ts'
import type { DatastoreHandlers } from './admin/admin.ts'
import type { Member } from './etcd/context.ts'
import { addressOf, createEtcdEndpoint, type EtcdEndpoint, type EtcdListen } from './etcd/etcd.ts'
import { type MemberAddress, type MemberRecord, memberName } from './members/member-record.ts'
import { readMembers } from './members/member-table.ts'
import { type DatastoreFigures, datastoreMetrics, renderMetrics } from './metrics/metrics.ts'
import type { Pki } from './pki/pki.ts'
import { membersOf } from './raft/quorum.ts'
import type { Shared } from './server-api.ts'
import { backupMetrics } from './server-backups.ts'
import { FLUSH_BUCKETS } from './store/log/flush-times.ts'
import type { RaftStore, StoreStatus } from './store/raft-store.ts'

export interface Datastore {
  readonly components: readonly Component[]
  readonly handlers: DatastoreHandlers
  /** The figures in Prometheus' text format. */
  readonly metrics: () => string
  /** New connections to the etcd endpoint get the renewed certificates. */
  useCertificates(pki: Pki): void
}

type Needs = Pick<Shared, 'config' | 'pki' | 'clock' | 'log'> & { readonly store: RaftStore }

export function buildDatastore(needs: Needs): Datastore {
  const listen = etcdListenOf(needs)
  const changes = countLeaders(needs.store)
  const metrics = () =>
    renderMetrics([
      ...datastoreMetrics(figuresOf(needs, changes.seen)),
      ...backupMetrics(needs.store, needs.clock.now()),
    ])
  const endpoint = listen === null ? null : etcdEndpoint(needs, listen, metrics)
  return {
    components: endpoint === null ? [] : [endpoint],
    handlers: datastoreHandlers(needs, listen),
    metrics,
    useCertificates: pki => endpoint?.useCertificates(etcdCertificates(pki)),
  }
}

function datastoreHandlers(needs: Needs, listen: EtcdListen | null): DatastoreHandlers {
  const { store, clock } = needs
  return {
    details: async () => detailsOf(needs, listen),
    async check() {
      const startedAt = clock.monotonic()
      const { log, databaseFindings } = await store.check()
      return {
        segments: log.segments,
        logBytes: log.bytes,
        databaseBytes: databaseBytes(needs),
        durationMs: Math.round(clock.monotonic() - startedAt),
        findings: [...log.findings, ...databaseFindings],
      }
    },
    async compact() {
      await store.barrier()
      if (store.revision > store.compactedRevision) await store.compact(store.revision)
      return { revision: store.compactedRevision }
    },
    async defragment() {
      const startedAt = clock.monotonic()
      const { before, after } = await store.defragment()
      return {
        beforeBytes: before,
        afterBytes: after,
        durationMs: Math.round(clock.monotonic() - startedAt),
      }
    },
    async copy() {
      return { ...(await store.writtenOut()), nodeName: needs.config.nodeName }
    },
  }
}

function etcdListenOf({ config, pki }: Needs): EtcdListen | null {
  if (config.etcdListen === 'off') return null
  if (config.etcdListen === 'unix') return { type: 'unix', path: nodePaths(config.dataDir).etcdSocket }
  const where = must(parseHostPort(config.etcdListen), 'an address and a port')
  return { type: 'tcp', ...where, tls: etcdCertificates(pki) }
}

function etcdCertificates({ leaves, authorities }: Pki) {
  const { certificate: cert, key } = leaves.apiserver
  return { cert, key, clientCa: authorities['cluster-ca'].certificate }
}

function etcdEndpoint(needs: Needs, listen: EtcdListen, metrics: () => string): EtcdEndpoint {
  const { store, clock, log } = needs
  return createEtcdEndpoint({
    listen,
    store,
    status: () => ({ ...store.status(), databaseBytes: databaseBytes(needs) }),
    members: () => etcdMembers(needs, listen),
    metrics,
    clock,
    log: log.child({ component: 'etcd' }),
  })
}

function figuresOf(needs: Needs, leaderChanges: number): DatastoreFigures {
  const status = needs.store.status()
  return {
    ...status,
    flushes: { bounds: FLUSH_BUCKETS, counts: status.flushes.counts, sum: status.flushes.sumSeconds },
    leaderChanges,
    leases: needs.store.leases().length,
    databaseBytes: databaseBytes(needs),
    residentBytes: process.memoryUsage.rss(),
  }
}

/** Each leader that becomes known counts, whoever it is. */
function countLeaders(store: RaftStore): { readonly seen: number } {
  let known = store.status().leaderMemberId
  const changes = { seen: known === 0 ? 0 : 1 }
  store.onMembership(() => {
    const { leaderMemberId } = store.status()
    if (leaderMemberId !== 0 && leaderMemberId !== known) changes.seen++
    known = leaderMemberId
  })
  return changes
}

/** Where a member's own endpoint is, only that member knows. */
function etcdMembers(needs: Needs, listen: EtcdListen): readonly Member[] {
  const { memberId, membership } = needs.store.status()
  return tellMembers(needs).map(({ id, name, addresses }) => ({
    id,
    name,
    peerAddresses: addresses.map(address => `https://${address}`),
    clientAddresses: id === memberId ? [addressOf(listen)] : [],
    learner: !membership.voters.includes(id),
  }))
}

function detailsOf(needs: Needs, listen: EtcdListen | null): DatastoreDetails {
  const { store } = needs
  const status = store.status()
  return {
    clusterId: status.clusterId,
    memberId: memberName(status.memberId),
    leader: status.leaderMemberId === 0 ? null : memberName(status.leaderMemberId),
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
    timing: status.timing,
    etcdEndpoint: listen === null ? null : addressOf(listen),
    members: tellMembers(needs).map(member => memberDetails(member, status)),
  }
}

interface ToldMember {
  readonly id: number
  readonly name: string
  readonly addresses: readonly string[]
  readonly record: MemberRecord | null
}

/** All that have a record or a part in Raft, in order of their ids. */
function tellMembers({ store, config }: Needs): readonly ToldMember[] {
  const { membership, memberId } = store.status()
  const records = new Map(readMembers(store).map(({ record }) => [record.id, record]))
  const ids = new Set([memberId, ...membersOf(membership), ...records.keys()])
  return [...ids]
    .toSorted((a, b) => a - b)
    .map(id => {
      const record = records.get(id) ?? null
      const name = record?.nodeName ?? (id === memberId ? config.nodeName : '')
      return { id, name, addresses: (record?.peerAddresses ?? []).map(textOf), record }
    })
}

const textOf = ({ host, port }: MemberAddress): string => `${bracketed(host)}:${port}`

function memberDetails(
  { id, name, addresses, record }: ToldMember,
  status: StoreStatus,
): DatastoreMemberDetails {
  const { membership, memberId, leaderMemberId, lastIndex, progress } = status
  const known = progress.find(({ member }) => member === id)
  const learns = membership.learners.includes(id) ? 'learner' : 'none'
  const votes = membership.voters.includes(id) || membership.outgoing.includes(id)
  return {
    id: memberName(id),
    name,
    address: addresses.join(', '),
    role: record?.leaving ? 'leaving' : (record?.role ?? null),
    leader: id === leaderMemberId,
    raft: votes ? 'voter' : learns,
    lag:
      known === undefined ? ownLag(id === memberId && status.leader) : Math.max(0, lastIndex - known.match),
    silentMs: known?.silentMs ?? null,
  }
}

/** A leader has all there is. */
const ownLag = (leads: boolean): number | null => (leads ? 0 : null)

/** SQLite's file and its own log, which a checkpoint empties. */
function databaseBytes({ config }: Needs): number {
  const path = join(config.dataDir, 'datastore', 'state.sqlite')
  return [path, `${path}-wal`].reduce(
    (sum, file) => sum + (statSync(file, { throwIfNoEntry: false })?.size ?? 0),
    0,
  )
}
