/** Builds what lets other machines join through this server: the listener, the tokens and the leader's care for them. */
import type { Component } from '../base/component.ts'
import type { AddNodeAnswer, AddNodeRequest } from '../client/add-node.ts'
import { isNotFound, KubeClient } from '../client/kube-client.ts'
import type { RemovalOutcome, RemovalRequest } from '../client/node-removal.ts'
import { NODES } from '../client/resources.ts'
import { GIT_VERSION } from '../config/version.ts'
import type { Node } from '../kube/types.ts'
import type { ApiServer } from './apiserver/apiserver.ts'
import { addNode } from './join/add-node.ts'
import type { NodeDirectory } from './join/attempts.ts'
import { createJoinServer, type JoinServer } from './join/join-server.ts'
import { PeerListener, type PeerRoute, type ServerCredentials } from './join/peer-listener.ts'
import type { NodeAddresses } from './join/renewals.ts'
import { createTokenKeeper } from './join/token-keeper.ts'
import { MEMBER_PATH } from './members/member-answer.ts'
import { readMembers } from './members/member-table.ts'
import { MOVED_PATH, takeMove } from './members/moved-member.ts'
import type { LiveCertificates } from './pki/live-pki.ts'
import type { Pki } from './pki/pki.ts'
import { ENTRY_FORMAT_VERSION } from './raft/entry.ts'
import { type Shared, serviceIpOf } from './server-api.ts'
import { type Members, peerCredentialsOf } from './server-members.ts'

export interface JoinNeeds extends Shared {
  readonly server: ApiServer
  readonly members: Members
  readonly live: LiveCertificates<Pki>
  /** Hand out the keys of an authority, or of a ring, to other servers while they are being replaced. */
  readonly keyRoutes: readonly PeerRoute[]
  /** By which another server restores the cluster. */
  readonly restoreRoutes: readonly PeerRoute[]
  readonly removeNode: (request: RemovalRequest) => Promise<RemovalOutcome>
}

export interface Join {
  readonly listener: Component
  /** A duty of the leader of this term. */
  keeperOf(term: number): Component
  addNode(request: AddNodeRequest): Promise<AddNodeAnswer>
}

/** Who removes the Nodes of machines that were to join and never came. */
const JOIN_USER = { username: 'mk8s:join', groups: ['system:masters', 'system:authenticated'] }

export function buildJoin(needs: JoinNeeds): Join {
  const { config, cluster, store, live, clock, random } = needs
  const log = needs.log.child({ component: 'join' })
  const nodes = nodeDirectory(needs)
  const listener = createJoinServer({
    listen: { host: config.bindAddress, port: config.ports.join },
    credentials: serverCredentials(live.current),
    peerRoutes: [
      { method: 'GET', path: MEMBER_PATH, handle: async () => needs.members.status.self() },
      { method: 'POST', path: MOVED_PATH, handle: ({ body }) => takeMove(store, body) },
      ...needs.keyRoutes,
      ...needs.restoreRoutes,
    ],
    nodeAddresses: nodeAddresses(needs),
    removeNode: needs.removeNode,
    store,
    membership: () => store.status().membership,
    clusterId: config.clusterId,
    cluster,
    bindAddress: config.bindAddress,
    kubernetes: GIT_VERSION,
    entryVersion: ENTRY_FORMAT_VERSION,
    keys: () => live.current,
    peerCredentials: () => peerCredentialsOf(live.current),
    nodes,
    clock,
    random,
    log,
  })
  return {
    listener: followCertificates(listener, live),
    keeperOf: term => createTokenKeeper({ store, term, nodes, clock, random, log }),
    addNode: request =>
      addNode(
        {
          store,
          nodeName: config.nodeName,
          bindAddress: config.bindAddress,
          joinPort: config.ports.join,
          authority: () => live.current.authorities['cluster-ca'].certificate,
          clock,
          random,
          log,
        },
        request,
      ),
  }
}

/**
 * Before a server knows its cluster's state, which it may get only from those that wait for its answer: what becomes
 * of a restore. Its place is taken by the listener of `buildJoin`.
 */
export function buildEarlyListener(
  { config, log }: Pick<Shared, 'config' | 'log'>,
  live: LiveCertificates<Pki>,
  routes: readonly PeerRoute[],
): PeerListener {
  return new PeerListener({
    listen: { host: config.bindAddress, port: config.ports.join },
    credentials: serverCredentials(live.current),
    peerRoutes: routes,
    log: log.child({ component: 'join' }),
  })
}

function followCertificates(listener: JoinServer, live: LiveCertificates<Pki>): Component {
  live.onChange(current => listener.useCredentials(serverCredentials(current)))
  return listener
}

function serverCredentials({ authorities, leaves }: Pki): ServerCredentials {
  const { certificate, key } = leaves.apiserver
  return { certificate, key, authority: authorities['cluster-ca'].certificate }
}

function nodeDirectory({ server }: JoinNeeds): NodeDirectory {
  const client = new KubeClient(server.transportFor(JOIN_USER), { userAgent: 'mk8s/join' })
  return {
    presence(name) {
      const node = server.objects.get('', 'nodes', '', name) as Node | null
      if (node === null) return 'absent'
      const ready = node.status?.conditions?.find(({ type }) => type === 'Ready')
      return ready?.status === 'True' ? 'ready' : 'not-ready'
    },
    async remove(name) {
      await client.delete(NODES, { name }).catch(error => {
        if (!isNotFound(error)) throw error
      })
    },
  }
}

function nodeAddresses({ server, store, cluster }: JoinNeeds): NodeAddresses {
  const nodes = () => server.objects.list('', 'nodes') as Node[]
  return {
    isNode: name => server.objects.get('', 'nodes', '', name) !== null,
    ownerOf(address) {
      if (address === serviceIpOf(cluster)) return 'the service kubernetes'
      const member = readMembers(store).find(({ record }) =>
        record.peerAddresses.some(({ host }) => host === address),
      )
      const node = nodes().find(({ status }) => status?.addresses?.some(each => each.address === address))
      return member?.record.nodeName ?? node?.metadata.name
    },
  }
}
