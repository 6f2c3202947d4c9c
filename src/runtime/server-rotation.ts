/** Builds what replaces the cluster authority while the cluster runs: each server's part, and the leader's. */
import type { Clock } from '../base/clock.ts'
import type { Component } from '../base/component.ts'
import { Mk8sError } from '../base/errors.ts'
import type { Log } from '../base/log.ts'
import type { Random } from '../base/random.ts'
import type { AuthorityRotationStatus } from '../client/authority-rotation.ts'
import { KubeClient } from '../client/kube-client.ts'
import type { Problem } from '../client/node-status.ts'
import { NODES } from '../client/resources.ts'
import type { NodeConfig } from '../config/node-config.ts'
import { nodePaths } from '../host/node-files.ts'
import type { Node } from '../kube/types.ts'
import type { ApiServer } from './apiserver/apiserver.ts'
import type { PeerRoute } from './join/peer-listener.ts'
import { readMembers } from './members/member-table.ts'
import type { LiveCertificates } from './pki/live-pki.ts'
import type { Pki } from './pki/pki.ts'
import { readAuthorities } from './pki/refresh-authority.ts'
import { certificatesIn } from './pki/validity.ts'
import { fetchNextKey, nextKeyRoute } from './rotation/next-key.ts'
import { AUTHORITY_KEPT, dropsAt, planRotation, type RotationFacts } from './rotation/plan-rotation.ts'
import { createRotationFollower, type RotationFollower } from './rotation/rotation-follower.ts'
import { createRotationKeeper } from './rotation/rotation-keeper.ts'
import {
  AUTHORITY_RECORDS,
  bundleNameOf,
  ROTATION_KEY,
  type Stages,
  TRUSTED_ANNOTATION,
  WANTED_ANNOTATION,
} from './rotation/rotation-record.ts'
import type { RaftStore } from './store/raft-store.ts'

export interface FollowerNeeds {
  readonly config: NodeConfig
  readonly store: RaftStore
  readonly live: LiveCertificates<Pki>
  readonly renewNow: (forced: readonly string[]) => Promise<unknown>
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
}

export function buildRotationFollower(needs: FollowerNeeds): RotationFollower {
  const { config, store, live, renewNow, clock, random } = needs
  return createRotationFollower({
    ...{ store, renewNow, clock, random },
    memberId: config.memberId,
    directory: nodePaths(config.dataDir).pki,
    inUse: () => live.current.authorities['cluster-ca'].certificate,
    fetchKey: (certificate, signal) => fetchNextKey(certificate, { ...othersOf(needs), signal }),
    log: needs.log.child({ component: 'authority' }),
  })
}

/** The other servers, and how this one asks them for a key. */
export function othersOf({ config, store, live }: Pick<FollowerNeeds, 'config' | 'store' | 'live'>) {
  const others = readMembers(store).filter(({ record }) => record.id !== config.memberId)
  const { authorities, leaves } = live.current
  const { certificate: certificatePem, key: keyPem } = leaves['apiserver-kubelet-client']
  const caPem = authorities['cluster-ca'].certificate
  return {
    servers: others.map(({ record }) => record.joinAddress),
    credentials: { caPem, certificatePem, keyPem },
  }
}

export interface RotationNeeds extends FollowerNeeds {
  readonly server: ApiServer
  readonly follower: RotationFollower
}

export interface Rotation {
  /** A duty of the leader of this term. */
  keeperOf(term: number): Component
  /** Null when no authority is being replaced. */
  status(): AuthorityRotationStatus | null
  /** For `mk8s status`. */
  problems(): readonly Problem[]
  /** Has the authority replaced; goes on by itself. */
  begin(): Promise<void>
  /** Has the earlier one dropped as soon as all nodes use the next one; false when there is none. */
  dropEarlier(): Promise<boolean>
}

/** Who tells workers of the authorities, on their Nodes. */
const ROTATION_USER = { username: 'mk8s:authority', groups: ['system:masters', 'system:authenticated'] }

export function buildRotation(needs: Omit<RotationNeeds, 'live' | 'renewNow'>): Rotation {
  const { store, server, follower, clock } = needs
  const log = needs.log.child({ component: 'authority' })
  const facts = () => factsOf(needs)
  const status = () => statusOf(facts())
  return {
    keeperOf(term) {
      const kube = new KubeClient(server.transportFor(ROTATION_USER), { userAgent: 'mk8s/authority', term })
      return createRotationKeeper({
        ...{ store, term, facts, clock, log },
        what: 'the cluster authority',
        records: AUTHORITY_RECORDS,
        ended: () => null,
        async tell(name, bundle) {
          const patch = { metadata: { annotations: { [WANTED_ANNOTATION]: bundle } } }
          await kube.patch(NODES, { name, type: 'merge', patch })
        },
      })
    },
    status,
    problems: () => problemsOf(status()),
    begin: () => follower.begin(),
    async dropEarlier() {
      await store.barrier()
      const stored = AUTHORITY_RECORDS.read(store)
      if (stored === null) return false
      const { rotation, modRevision } = stored
      if (rotation.stage === 'trust') throw tooEarly(status())
      if (rotation.dropAsked || rotation.stage === 'drop') return true
      const { succeeded } = await store.transact({
        compares: [{ key: ROTATION_KEY, target: 'mod-revision', equals: modRevision }],
        operations: [
          {
            type: 'put',
            key: ROTATION_KEY,
            value: AUTHORITY_RECORDS.encode({ ...rotation, dropAsked: true }),
          },
        ],
      })
      if (succeeded) return true
      throw new Mk8sError('refused', 'the replacement of the authority went on in the meantime', {
        hint: 'run the command again',
      })
    },
  }
}

/** Hands out what this server signs with, or is to sign with. */
export function buildNextKeyRoute({ config, live }: Pick<FollowerNeeds, 'config' | 'live'>): PeerRoute {
  return nextKeyRoute(async () => {
    const { certificate, key } = live.current.authorities['cluster-ca']
    const { coming } = await readAuthorities(nodePaths(config.dataDir).pki)
    const present = { certificate: certificatesIn(certificate)[0] ?? '', key }
    return coming === null ? [present] : [present, coming]
  })
}

function factsOf({ store, server, clock }: Pick<RotationNeeds, 'store' | 'server' | 'clock'>) {
  const stored = AUTHORITY_RECORDS.read(store)
  if (stored === null) return null
  const records = readMembers(store).map(({ record }) => record)
  const nodes = server.objects.list('', 'nodes') as Node[]
  const workers = nodes.filter(({ metadata }) => !records.some(({ nodeName }) => nodeName === metadata.name))
  return {
    rotation: stored.rotation,
    bundle: bundleNameOf(stored.rotation),
    kept: AUTHORITY_KEPT,
    servers: records.filter(({ leaving }) => !leaving),
    confirmed: AUTHORITY_RECORDS.confirmations(store),
    workers: workers.map(({ metadata: { name = '', annotations } }) => ({
      name,
      wanted: annotations?.[WANTED_ANNOTATION],
      trusted: annotations?.[TRUSTED_ANNOTATION],
    })),
    nowMs: clock.now(),
  }
}

export function statusOf<R extends Stages>(facts: RotationFacts<R> | null): AuthorityRotationStatus | null {
  if (facts === null) return null
  const { rotation } = facts
  const step = planRotation(facts)
  const dropMs = rotation.stage === 'drop' ? null : dropsAt(rotation, facts.kept)
  return {
    stage: rotation.stage,
    waitsFor: step.type === 'wait' ? step.for : step.type === 'tell' ? step.workers : [],
    inUse: rotation.usedMs !== null,
    beganAt: rotation.beganAt,
    dropsAt: dropMs === null ? null : new Date(dropMs).toISOString(),
  }
}

function problemsOf(status: AuthorityRotationStatus | null): readonly Problem[] {
  if (status === null || status.waitsFor.length === 0) return []
  const names = status.waitsFor.join(', ')
  return [
    {
      object: 'certificate/cluster-ca',
      reason: 'AuthorityRotation',
      message: `the next authority waits for ${names}`,
      next: `start ${names}; one that is gone for good: mk8s remove-node`,
    },
  ]
}

function tooEarly(status: AuthorityRotationStatus | null): Mk8sError {
  const names = status?.waitsFor.join(', ') || 'other nodes'
  return new Mk8sError('refused', 'the earlier authority still signs, so it cannot be dropped', {
    why: `the next one waits for ${names}`,
    hint: `start ${names}; one that is gone for good: mk8s remove-node`,
  })
}
