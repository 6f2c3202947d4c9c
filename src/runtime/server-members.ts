/**
 * Builds what makes a server one of several: the directory of its peers, what it knows of them, and the duty that
 * gives each its role. Works from the first moment on, before the datastore has a leader.
 */

import { existsSync } from 'node:fs'
import type { Clock } from '../base/clock.ts'
import type { Component } from '../base/component.ts'
import type { Log } from '../base/log.ts'
import { isNotFound, KubeClient } from '../client/kube-client.ts'
import type { RemovalOutcome, RemovalRequest } from '../client/node-removal.ts'
import { NODES } from '../client/resources.ts'
import { clusterInitPath } from '../config/config-files.ts'
import { recordKnownMembers } from '../config/known-members.ts'
import type { ClusterConfig, NodeConfig } from '../config/node-config.ts'
import { movedTo, readPeerAddresses } from '../config/peer-addresses.ts'
import { MK8S_VERSION } from '../config/version.ts'
import type { ApiServer } from './apiserver/apiserver.ts'
import { createMemberClient } from './members/member-client.ts'
import { createMemberStatus, type MemberStatus } from './members/member-status.ts'
import { moveOf } from './members/moved-member.ts'
import { createPeerDirectory, type OwnMember, type PeerDirectory } from './members/peer-directory.ts'
import { removeNode } from './members/removal.ts'
import { createRoleKeeper, type RoleKeeper } from './members/role-keeper.ts'
import { stepDown } from './members/step-down.ts'
import type { Pki } from './pki/pki.ts'
import { CLUSTER_VERSION_MAX } from './raft/entry-gate.ts'
import type { PeerCredentials } from './store/peers/peer-network.ts'
import type { RaftStore } from './store/raft-store.ts'

export interface MembersNeeds {
  readonly config: NodeConfig
  readonly store: RaftStore
  readonly pki: () => Pki
  readonly clock: Clock
  readonly log: Log
  /** This server was taken out of the cluster; the daemon says so and stays down. */
  readonly onRemoved: (error: Error) => void
}

export interface Members {
  /** Started before the node waits for its cluster. */
  readonly directory: PeerDirectory
  readonly status: MemberStatus
  /** The leader's first duty of a term. */
  keeperOf(term: number, needs: ApiNeeds): Component
  /** Before a stop in order: somebody else takes this server's role, if anybody can. */
  stepDown(): Promise<void>
  /** `mk8s remove-node` and `mk8s leave`. */
  removeNode(request: RemovalRequest, needs: RemovalNeeds): Promise<RemovalOutcome>
}

interface ApiNeeds {
  readonly cluster: ClusterConfig
  readonly server: ApiServer
}

interface RemovalNeeds extends ApiNeeds {
  readonly stopWorkloads: () => Promise<void>
}

/** How long another server may take to write down where this one is. */
const TELL_MS_MAX = 2_000

/** Who drains nodes and removes those that have left. */
const MEMBERS_USER = { username: 'mk8s:members', groups: ['system:masters', 'system:authenticated'] }

export function buildMembers(needs: MembersNeeds): Members {
  const { config, store, pki, clock } = needs
  const log = needs.log.child({ component: 'members' })
  const own = ownMember(config)
  const moved = readPeerAddresses(config.dataDir)
  let keeper: RoleKeeper | null = null
  const client = createMemberClient(() => {
    const { certificate, key } = pki().leaves['apiserver-kubelet-client']
    const caPem = pki().authorities['cluster-ca'].certificate
    return { caPem, certificatePem: certificate, keyPem: key }
  })
  const status = createMemberStatus({
    store,
    own,
    version: MK8S_VERSION,
    client,
    settled: () => keeper?.settled ?? null,
    clock,
  })
  const directory = createPeerDirectory({
    store,
    own,
    founding: existsSync(clusterInitPath(config.dataDir)),
    movedTo: record => movedTo(moved, record),
    async tellMove(records, signal) {
      const others = records.filter(({ id }) => id !== own.id)
      const limit = AbortSignal.any([signal, AbortSignal.timeout(TELL_MS_MAX)])
      await Promise.allSettled(others.map(other => client.tellMove(other, moveOf(own), limit)))
    },
    isForgotten: (records, signal) => status.isForgotten(records, signal),
    isCutOff: (records, signal) => status.isCutOff(records, signal),
    onRemoved: needs.onRemoved,
    clock,
    log,
  })
  // Should it not be written, commands know no more than before.
  directory.onChange(() => rememberMembers(config, directory, log))
  return {
    directory,
    status,
    stepDown: () => stepDown({ store, directory, ask: status.ask, clock, log }),
    keeperOf(term, { cluster, server }) {
      const kube = new KubeClient(server.transportFor(MEMBERS_USER), { userAgent: 'mk8s/members', term })
      const deleteNode = (name: string) =>
        kube.delete(NODES, { name }).catch(error => {
          if (!isNotFound(error)) throw error
        })
      keeper = createRoleKeeper({ store, term, votersWanted: cluster.voters, deleteNode, clock, log })
      return keeper
    },
    removeNode(request, { cluster, server, stopWorkloads }) {
      const kube = new KubeClient(server.transportFor(MEMBERS_USER), { userAgent: 'mk8s/members' })
      const { nodeName } = config
      const parts = {
        store,
        status,
        client: kube,
        nodeName,
        votersWanted: cluster.voters,
        stopWorkloads,
        clock,
        log,
      }
      return removeNode(parts, request)
    },
  }
}

export function peerCredentialsOf({ authorities, leaves }: Pki): PeerCredentials {
  const { certificate, key } = leaves.peer
  return { certificate, key, authority: authorities['peer-ca'].certificate }
}

function rememberMembers({ dataDir }: NodeConfig, directory: PeerDirectory, log: Log): void {
  try {
    recordKnownMembers(
      dataDir,
      directory
        .members()
        .map(({ nodeName }) => nodeName)
        .sort(),
    )
  } catch (error) {
    log.warn('the names of the servers could not be written down', { error })
  }
}

function ownMember({ memberId, nodeName, bindAddress, ports, failureDomain }: NodeConfig): OwnMember {
  const at = (port: number) => ({ host: bindAddress, port })
  return {
    id: memberId,
    nodeName,
    peerAddresses: [at(ports.raft)],
    apiAddress: at(ports.api),
    joinAddress: at(ports.join),
    failureDomain,
    entryVersion: CLUSTER_VERSION_MAX,
  }
}
