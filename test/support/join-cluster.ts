/** A cluster that can be joined, without daemons: the real listener, tokens and certificates over the memory store. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createServer, type Server, type TLSSocket } from 'node:tls'
import { type Clock, systemClock } from '../../src/base/clock.ts'
import { silentLog } from '../../src/base/log.ts'
import { systemRandom } from '../../src/base/random.ts'
import type { AddNodeAnswer, AddNodeRequest } from '../../src/client/add-node.ts'
import { addNode } from '../../src/runtime/join/add-node.ts'
import type { NodePresence } from '../../src/runtime/join/checks.ts'
import { createJoinClient, type JoinClient } from '../../src/runtime/join/join-client.ts'
import { createJoinServer, type JoinServer } from '../../src/runtime/join/join-server.ts'
import type { PeerRoute } from '../../src/runtime/join/peer-listener.ts'
import { JOIN_PROTOCOL, type JoinRequest } from '../../src/runtime/join/protocol.ts'
import { encodeMember, type MemberRecord, memberKey } from '../../src/runtime/members/member-record.ts'
import { readMembers } from '../../src/runtime/members/member-table.ts'
import { peerIdentity } from '../../src/runtime/pki/authorities.ts'
import { ensurePki, loadPki, type Pki } from '../../src/runtime/pki/pki.ts'
import { createMemoryStore, type MemoryStore } from '../../src/runtime/store/memory-store.ts'

export const CLUSTER_ID = '11111111-2222-4333-8444-555555555555'
const FOUNDER = 0xf00d
const KUBERNETES = 'v1.36.0+mk8s.0.1.0'
export const CLUSTER = {
  serviceCidr: '10.152.183.0/24',
  podCidr: '10.1.0.0/16',
  clusterDomain: 'cluster.local',
  nodePortRange: { first: 30_000, last: 32_767 },
  voters: 3,
  failover: 'normal',
} as const

export interface JoinCluster {
  readonly store: MemoryStore
  readonly pki: Pki
  readonly server: JoinServer
  readonly port: number
  readonly nodes: Map<string, NodePresence>
  /** Lines that were logged. */
  readonly logged: string[]
  addNode(request?: Partial<AddNodeRequest>): Promise<AddNodeAnswer>
  client(over?: { fingerprint?: string | null }): JoinClient
  request(token: string, over?: Partial<JoinRequest['node']>): JoinRequest
  members(): readonly MemberRecord[]
  /** Somebody listens where the joiner says, with the certificate of this member. */
  listenAs(memberId: string, options?: { pki?: Pki }): Promise<{ port: number; close(): void }>
  close(): Promise<void>
}

export async function makePki(memberId: string, clusterId = CLUSTER_ID): Promise<Pki> {
  const directory = mkdtempSync(join(tmpdir(), 'mk8s-pki-'))
  try {
    await ensurePki({
      directory,
      nodeName: 'node-1',
      addresses: ['127.0.0.1'],
      serviceIp: '10.152.183.1',
      extraSans: [],
      clusterDomain: 'cluster.local',
      clusterId,
      memberId,
      clock: systemClock,
      random: systemRandom,
    })
    return await loadPki(directory)
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

export async function startJoinCluster(
  options: { peerRoutes?: readonly PeerRoute[]; clock?: Clock } = {},
): Promise<JoinCluster> {
  const clock = options.clock ?? systemClock
  const store = createMemoryStore({ clock })
  const pki = await makePki(FOUNDER.toString(16))
  const nodes = new Map<string, NodePresence>([['node-1', 'ready']])
  const logged: string[] = []
  const write = (message: string, fields?: object) => void logged.push(`${message} ${JSON.stringify(fields)}`)
  const log = { ...silentLog, info: write, warn: write, error: write, debug: write, child: () => log }
  const put = (record: MemberRecord) =>
    store.transact({
      compares: [],
      operations: [{ type: 'put', key: memberKey(record.id), value: encodeMember(record) }],
    })
  await put(founder())
  const ledgerParts = { store, clock, random: systemRandom, log }
  const server = createJoinServer({
    ...ledgerParts,
    listen: { host: '127.0.0.1', port: 0 },
    credentials: { ...pki.leaves.apiserver, authority: pki.authorities['cluster-ca'].certificate },
    peerRoutes: options.peerRoutes ?? [],
    nodeAddresses: { isNode: () => true, ownerOf: () => undefined },
    removeNode: async () => assert.fail('nobody leaves'),
    membership: () => ({ voters: [FOUNDER], outgoing: [], learners: [] }),
    clusterId: CLUSTER_ID,
    cluster: CLUSTER,
    bindAddress: '127.0.0.1',
    kubernetes: KUBERNETES,
    entryVersion: 1,
    keys: () => ({ authorities: pki.authorities, serviceAccount: pki.serviceAccount }),
    peerCredentials: () => ({ ...pki.leaves.peer, authority: pki.authorities['peer-ca'].certificate }),
    nodes: {
      presence: name => nodes.get(name) ?? 'absent',
      remove: async name => void nodes.delete(name),
    },
  })
  await server.start(new AbortController().signal)
  const { port } = server
  const clients: JoinClient[] = []
  const listeners: Server[] = []
  // What the role keeper would do with a member that leaves.
  const forget = setInterval(() => {
    for (const { record } of readMembers(store))
      if (record.leaving)
        void store.transact({ compares: [], operations: [{ type: 'delete', key: memberKey(record.id) }] })
  }, 10)
  return {
    store,
    pki,
    server,
    port,
    nodes,
    logged,
    addNode: (request = {}) =>
      addNode(
        {
          ...ledgerParts,
          nodeName: 'node-1',
          bindAddress: '127.0.0.1',
          joinPort: port,
          authority: () => pki.authorities['cluster-ca'].certificate,
        },
        { worker: false, uses: 1, ttlSeconds: 600, ...request },
      ),
    client({ fingerprint = null } = {}) {
      const client = createJoinClient({ servers: [{ host: '127.0.0.1', port }], fingerprint, clock })
      clients.push(client)
      return client
    },
    request: (token, over = {}) => ({
      protocol: JOIN_PROTOCOL,
      token,
      tokenWasShown: true,
      versions: { mk8s: '0.1.0', kubernetes: KUBERNETES, entry: 1 },
      timeMs: clock.now(),
      node: {
        name: 'node-2',
        role: 'server',
        address: '127.0.0.1',
        ports: { api: 16_443, join: 25_000, raft: 19_001, kubelet: 10_250 },
        failureDomain: '',
        ...over,
      },
    }),
    members: () => readMembers(store).map(({ record }) => record),
    async listenAs(memberId, { pki: own } = {}) {
      const { leaves, authorities } = own ?? (await peerPki(pki, memberId))
      const listener = createServer(
        {
          ...{ key: leaves.peer.key, cert: leaves.peer.certificate, ca: authorities['peer-ca'].certificate },
          requestCert: true,
          rejectUnauthorized: true,
        },
        (socket: TLSSocket) => socket.on('error', () => socket.destroy()),
      )
      listeners.push(listener)
      await new Promise<void>(resolve => listener.listen(0, '127.0.0.1', resolve))
      const address = listener.address()
      return {
        port: typeof address === 'object' && address !== null ? address.port : 0,
        close: () => void listener.close(),
      }
    },
    async close() {
      clearInterval(forget)
      for (const client of clients) client.close()
      for (const listener of listeners) listener.close()
      await server.stop()
      await store.close()
    },
  }

  function founder(): MemberRecord {
    return {
      id: FOUNDER,
      nodeName: 'node-1',
      peerAddresses: [{ host: '127.0.0.1', port: 19_999 }],
      apiAddress: { host: '127.0.0.1', port: 16_443 },
      joinAddress: { host: '127.0.0.1', port: 25_000 },
      failureDomain: '',
      role: 'voter',
      entryVersion: 1,
      joinedAt: '2026-01-01T00:00:00.000Z',
      leaving: false,
    }
  }
}

/** A peer certificate of the cluster for this member, as the joiner makes it with the authorities it was sent. */
async function peerPki(pki: Pki, memberId: string): Promise<Pki> {
  const { issueLeaf, generateKey } = await import('../../src/runtime/pki/issue.ts')
  const key = generateKey()
  const now = Date.now()
  const certificate = await issueLeaf(
    {
      name: 'peer',
      authority: 'peer-ca',
      commonName: 'node-2',
      usages: ['server', 'client'],
      dnsNames: [],
      ipAddresses: ['127.0.0.1'],
      uris: [peerIdentity(CLUSTER_ID, memberId)],
    },
    {
      authority: pki.authorities['peer-ca'],
      key,
      validity: { notBefore: new Date(now - 60_000), notAfter: new Date(now + 600_000) },
      random: systemRandom,
    },
  )
  return { ...pki, leaves: { ...pki.leaves, peer: { key, certificate } } }
}
