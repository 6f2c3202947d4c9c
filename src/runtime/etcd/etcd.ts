/** The etcd v3 endpoint: etcd's clients and tools on our store, over a unix socket or TCP with client certificates. */
import { chmodSync, rmSync } from 'node:fs'
import { bracketed } from '../../base/bracketed.ts'
import type { Clock } from '../../base/clock.ts'
import type { Component, Health } from '../../base/component.ts'
import { Mk8sError, messageOf, systemCodeOf } from '../../base/errors.ts'
import type { Log } from '../../base/log.ts'
import { system } from '../../host/system.ts'
import { TRANSACTION_BYTES_MAX } from '../store/local-store.ts'
import { type EtcdContext, type EtcdStore, identityOf, type Member, type MemberStatus } from './context.ts'
import { toGrpcError } from './errors.ts'
import { GrpcServer, type Page, type TlsSubject } from './grpc/grpc-server.ts'
import { clusterMethods } from './services/cluster.ts'
import { kvMethods } from './services/kv.ts'
import { leaseMethods } from './services/lease.ts'
import { maintenanceMethods, PROTOCOL_VERSION } from './services/maintenance.ts'
import { watchMethods } from './services/watch.ts'

/** What surrounds a transaction of the largest size, with plenty to spare. */
const OVERHEAD_BYTES = 512 * 1024
/** Clients on TCP have this organization in their certificate. */
const ADMIN_GROUP = 'system:masters'

export type EtcdListen =
  | { readonly type: 'unix'; readonly path: string }
  | {
      readonly type: 'tcp'
      readonly host: string
      readonly port: number
      readonly tls: { readonly cert: string; readonly key: string; readonly clientCa: string }
    }

export interface EtcdParts {
  readonly listen: EtcdListen
  readonly store: EtcdStore
  readonly status: () => MemberStatus
  readonly members: () => readonly Member[]
  /** In Prometheus' text format. */
  readonly metrics: () => string
  readonly clock: Clock
  readonly log: Log
}

export interface EtcdEndpoint extends Component {
  /** The TCP port in use: the one asked for, or the one the system chose for 0. */
  readonly port: number
  /** New connections get these from now on. */
  useCertificates(tls: { readonly cert: string; readonly key: string; readonly clientCa: string }): void
}

export function createEtcdEndpoint(parts: EtcdParts): EtcdEndpoint {
  const { listen, clock, log } = parts
  const context: EtcdContext = { ...parts, identity: identityOf(parts.status()) }
  const server = new GrpcServer({
    methods: new Map([
      ...kvMethods(context),
      ...watchMethods(context),
      ...leaseMethods(context),
      ...maintenanceMethods(context),
      ...clusterMethods(context),
    ]),
    pages: pagesOf(parts),
    messageBytesMax: TRANSACTION_BYTES_MAX + OVERHEAD_BYTES,
    clock,
    toGrpcError,
    ...(listen.type === 'tcp' && { tls: { ...listen.tls, admits: isAdmin } }),
  })
  let health: Health = { ok: false, reason: 'the etcd endpoint is not open' }
  return {
    name: 'etcd',
    async prepare() {},
    async start() {
      await open(server, listen)
      health = { ok: true, reason: '' }
      log.info('the etcd endpoint serves', { address: addressOf(listen) })
    },
    async stop() {
      health = { ok: false, reason: 'the etcd endpoint is closed' }
      await server.close()
      if (listen.type === 'unix') rmSync(listen.path, { force: true })
    },
    health: () => health,
    useCertificates: tls => server.useCertificates(tls),
    get port() {
      return server.port
    },
  }
}

/** What etcd serves beside gRPC on the same port. */
function pagesOf({ status, metrics }: EtcdParts): Map<string, Page> {
  const json = (body: object) => ({ type: 'application/json', body: JSON.stringify(body) })
  return new Map<string, Page>([
    ['/metrics', () => ({ type: 'text/plain; version=0.0.4; charset=utf-8', body: metrics() })],
    ['/health', () => json({ health: status().leaderMemberId === 0 ? 'false' : 'true' })],
    ['/version', () => json({ etcdserver: PROTOCOL_VERSION, etcdcluster: PROTOCOL_VERSION })],
  ])
}

export function addressOf(listen: EtcdListen): string {
  if (listen.type === 'unix') return `unix://${listen.path}`
  return `https://${bracketed(listen.host)}:${listen.port}`
}

function isAdmin({ O: organization }: TlsSubject): boolean {
  return Array.isArray(organization) ? organization.includes(ADMIN_GROUP) : organization === ADMIN_GROUP
}

async function open(server: GrpcServer, listen: EtcdListen): Promise<void> {
  try {
    if (listen.type === 'tcp') {
      await server.listen({ host: listen.host, port: listen.port })
      return
    }
    if (system !== 'windows') rmSync(listen.path, { force: true })
    // The directory is closed to others, so nobody gets in between these two.
    await server.listen({ path: listen.path })
    if (system !== 'windows') chmodSync(listen.path, 0o600)
  } catch (error) {
    throw listenError(error, listen)
  }
}

function listenError(error: unknown, listen: EtcdListen): Mk8sError {
  const address = addressOf(listen)
  const more = { why: messageOf(error), cause: error }
  if (systemCodeOf(error) === 'EADDRINUSE') {
    return new Mk8sError('host/port-taken', `the address of the etcd endpoint is in use: ${address}`, more)
  }
  return new Mk8sError('host/unsupported', `the etcd endpoint cannot be opened: ${address}`, more)
}
