/** Builds what replaces the keys that all servers share, while the cluster runs: each server's part, and the leader's. */
import type { Component } from '../base/component.ts'
import { Mk8sError } from '../base/errors.ts'
import type { KeyRotationHandlers, RingName } from '../client/key-rotation.ts'
import type { Problem } from '../client/node-status.ts'
import { nodePaths } from '../host/node-files.ts'
import type { PeerRoute } from './join/peer-listener.ts'
import { readMembers } from './members/member-table.ts'
import type { LiveCertificates } from './pki/live-pki.ts'
import type { Pki } from './pki/pki.ts'
import { createKeyFollower, type KeyFollower } from './rotation/key-follower.ts'
import { bundleOf, KEY_RINGS, type KeyRing, type KeyRotation, keysAt } from './rotation/key-rings.ts'
import { fetchRingKey, ringKeyRoute } from './rotation/next-key.ts'
import type { RotationFacts } from './rotation/plan-rotation.ts'
import { createRotationKeeper } from './rotation/rotation-keeper.ts'
import { rewrapDataKeys, wrappingKeysIn } from './secrets-encryption/secrets-encryption.ts'
import { type FollowerNeeds, othersOf, statusOf } from './server-rotation.ts'

export interface SharedKeys {
  /** One for each ring. */
  readonly followers: readonly KeyFollower[]
  /** Brings the files to the stage of their records; the names of those that are to be put to use. */
  apply(): Promise<readonly string[]>
  /** Hands keys to other servers. */
  readonly route: PeerRoute
  /** Duties of the leader of this term. */
  keepersOf(term: number): readonly Component[]
  handlers(ring: RingName): KeyRotationHandlers
  /** For `mk8s status`. */
  problems(): readonly Problem[]
}

export function buildSharedKeys(needs: FollowerNeeds): SharedKeys {
  const parts = KEY_RINGS.map(ring => ({ ring, follower: followerOf(ring, needs) }))
  const { live, store, clock } = needs
  const log = needs.log.child({ component: 'keys' })
  const factsOf = (ring: KeyRing) => () => keyFacts(ring, needs)
  return {
    followers: parts.map(({ follower }) => follower),
    async apply() {
      const changed: string[] = []
      for (const { ring, follower } of parts) if (await follower.apply()) changed.push(ring.file)
      return changed
    },
    route: ringKeyRoute(name => {
      const ring = KEY_RINGS.find(one => one.name === name)
      const keys = ring === undefined ? [] : ring.split(inUseOf(ring, live) ?? '')
      return new Map(keys.map(key => [ring?.nameOf(key) ?? '', key]))
    }),
    keepersOf: term =>
      KEY_RINGS.map(ring =>
        createRotationKeeper({
          ...{ store, term, clock, log, what: ring.what, records: ring.records, facts: factsOf(ring) },
          tell: async () => {},
          ended: (rotation, done) => ({
            ...rotation,
            isOver: true,
            next: done ? rotation.next : rotation.earlier,
          }),
        }),
      ),
    handlers(name) {
      const found = parts.find(({ ring }) => ring.name === name)
      if (found === undefined) throw new TypeError(`there is no ring ${name}`)
      return {
        status: () => statusOf(keyFacts(found.ring, needs)),
        begin: () => found.follower.begin(),
        dropEarlier: () => dropEarlier(found.ring, needs),
      }
    },
    problems: () => KEY_RINGS.flatMap(ring => problemsOf(ring, needs)),
  }
}

const inUseOf = ({ name }: KeyRing, { current }: LiveCertificates<Pki>): string | null =>
  name === 'service-account' ? current.serviceAccount.privateKey : current.secretsKey

function followerOf(ring: KeyRing, needs: FollowerNeeds): KeyFollower {
  const { config, store, live, renewNow, clock, random } = needs
  const isWrapping = ring.name === 'secrets-encryption'
  return createKeyFollower({
    ...{ ring, store, clock, random },
    memberId: config.memberId,
    directory: nodePaths(config.dataDir).pki,
    inUse: () => inUseOf(ring, live),
    renewNow: () => renewNow([]),
    fetchKey: (name, signal) => fetchRingKey(ring.name, name, { ...othersOf(needs), signal }),
    needed: () => (isWrapping ? wrappingKeysIn(store) : new Set()),
    async free() {
      const fileKey = () => live.current.secretsKey
      if (isWrapping) await rewrapDataKeys({ store, fileKey, random })
    },
    log: needs.log.child({ component: 'keys' }),
  })
}

function keyFacts(ring: KeyRing, { store, clock }: Pick<FollowerNeeds, 'store' | 'clock'>) {
  const rotation = ring.records.read(store)?.rotation
  if (rotation === undefined || rotation.isOver) return null
  const facts: RotationFacts<KeyRotation> = {
    rotation,
    bundle: bundleOf(keysAt(rotation, rotation.stage)),
    kept: ring.kept,
    servers: readMembers(store).flatMap(({ record }) => (record.leaving ? [] : [record])),
    confirmed: ring.records.confirmations(store),
    workers: [],
    nowMs: clock.now(),
  }
  return facts
}

async function dropEarlier(ring: KeyRing, needs: Pick<FollowerNeeds, 'store' | 'clock'>): Promise<boolean> {
  const { store } = needs
  const { records, what } = ring
  await store.barrier()
  const stored = records.read(store)
  if (stored === null || stored.rotation.isOver) return false
  const { rotation, modRevision } = stored
  if (rotation.stage === 'trust') {
    const names = statusOf(keyFacts(ring, needs))?.waitsFor.join(', ') || 'other servers'
    throw new Mk8sError('refused', 'the earlier key is still in use, so it cannot be dropped', {
      why: `the next one waits for ${names}`,
      hint: `start ${names}; one that is gone for good: mk8s remove-node`,
    })
  }
  if (rotation.dropAsked || rotation.stage === 'drop') return true
  const { succeeded } = await store.transact({
    compares: [{ key: records.key, target: 'mod-revision', equals: modRevision }],
    operations: [{ type: 'put', key: records.key, value: records.encode({ ...rotation, dropAsked: true }) }],
  })
  if (succeeded) return true
  throw new Mk8sError('refused', `the replacement of ${what} went on in the meantime`, {
    hint: 'run the command again',
  })
}

function problemsOf(ring: KeyRing, needs: Pick<FollowerNeeds, 'store' | 'clock'>): readonly Problem[] {
  const names = (statusOf(keyFacts(ring, needs))?.waitsFor ?? []).join(', ')
  if (names === '') return []
  return [
    {
      object: `key/${ring.name}`,
      reason: 'KeyRotation',
      message: `the next key waits for ${names}`,
      next: `start ${names}; one that is gone for good: mk8s remove-node`,
    },
  ]
}
