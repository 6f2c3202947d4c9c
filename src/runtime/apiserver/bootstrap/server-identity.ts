/**
 * The Lease in kube-system by which each API server is known to others, as kube-apiserver has it. It is renewed long
 * before it ends, and each server takes away those of the others that have ended.
 */
import { createHash } from 'node:crypto'
import type { Clock } from '../../../base/clock.ts'
import type { Component } from '../../../base/component.ts'
import type { Log } from '../../../base/log.ts'
import type { Random } from '../../../base/random.ts'
import { WakingLoop } from '../../../base/waking-loop.ts'
import { isAlreadyExists, isNotFound, KubeClient, unless } from '../../../client/kube-client.ts'
import { LEASES } from '../../../client/resources.ts'
import type { Transport } from '../../../client/transport.ts'
import type { KubeObject } from '../../../kube/object.ts'
import { formatMicroTime } from '../../../kube/time.ts'
import type { Lease } from '../../../kube/types.ts'
import type { ObjectReader } from '../ports.ts'

export interface ServerIdentityParts {
  /** Of the node. */
  readonly hostname: string
  readonly objects: ObjectReader
  /** In process, as a user in system:masters. */
  readonly transport: Transport
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
}

const NAMESPACE = 'kube-system'
const IDENTITY_LABEL = 'apiserver.kubernetes.io/identity'
const IDENTITY = 'kube-apiserver'
const LEASE_SECONDS = 3_600
/** kube-apiserver renews every 10 s; what is good for an hour need not write to the disk so often. */
const RENEW_MS = 600_000
const AGAIN_MS = 10_000
/** A Lease is missed this long at the most when somebody has deleted it. */
const LOOK_MS = 60_000

/** `apiserver-` and the first half of the hostname's SHA-256 in base32. */
export function identityOf(hostname: string): string {
  const alphabet = 'abcdefghijklmnopqrstuvwxyz234567'
  const bytes = createHash('sha256').update(hostname).digest().subarray(0, 16)
  const bits = Array.from(bytes, byte => byte.toString(2).padStart(8, '0')).join('')
  const letters = bits.match(/.{1,5}/g) ?? []
  return `apiserver-${letters.map(five => alphabet[Number.parseInt(five.padEnd(5, '0'), 2)]).join('')}`
}

export function createServerIdentity(parts: ServerIdentityParts): Component {
  const client = new KubeClient(parts.transport)
  const name = identityOf(parts.hostname)
  const holder = `${name}_${parts.random.uuid()}`
  const loop = new WakingLoop({
    clock: parts.clock,
    look: async () => {
      try {
        await hold(parts, client, { name, holder })
        await collectEnded(parts, client, name)
        return LOOK_MS
      } catch (error) {
        parts.log.debug('the Lease of this API server could not be renewed yet', { error })
        return AGAIN_MS
      }
    },
  })
  return {
    name: 'api-server-identity',
    async prepare() {},
    async start() {
      loop.wake()
    },
    stop: () => loop.stop(),
    health: () => ({ ok: true, reason: '' }),
  }
}

async function hold(
  { hostname, objects, clock }: ServerIdentityParts,
  client: KubeClient,
  { name, holder }: { readonly name: string; readonly holder: string },
): Promise<void> {
  const found = objects.get('coordination.k8s.io', 'leases', NAMESPACE, name) as unknown as Lease | null
  const nowMs = clock.now()
  const sinceMs = nowMs - renewedAt(found)
  if (found?.spec?.holderIdentity === holder && sinceMs >= 0 && sinceMs < RENEW_MS) return
  const renewTime = formatMicroTime(nowMs)
  const spec = { holderIdentity: holder, leaseDurationSeconds: LEASE_SECONDS, renewTime }
  const labels = { [IDENTITY_LABEL]: IDENTITY, 'kubernetes.io/hostname': hostname }
  if (found === null) {
    const metadata = { name, namespace: NAMESPACE, labels }
    const lease = { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata, spec }
    await client.create(LEASES, lease).catch(unless(isAlreadyExists))
    return
  }
  const patch = { metadata: { labels }, spec }
  await client.patch(LEASES, { namespace: NAMESPACE, name, type: 'merge', patch }).catch(unless(isNotFound))
}

const renewedAt = (lease: Lease | null): number => Date.parse(String(lease?.spec?.renewTime ?? '')) || 0

/** Those of API servers that are no more, and those that say nothing of their end. */
async function collectEnded(
  { objects, clock }: ServerIdentityParts,
  client: KubeClient,
  own: string,
): Promise<void> {
  const nowMs = clock.now()
  const hasEnded = (lease: KubeObject) => {
    const { spec } = lease as unknown as Lease
    const durationMs = (spec?.leaseDurationSeconds ?? 0) * 1_000
    return durationMs === 0 || renewedAt(lease as unknown as Lease) + durationMs < nowMs
  }
  const ended = objects
    .list('coordination.k8s.io', 'leases', NAMESPACE)
    .filter(({ metadata }) => metadata.labels?.[IDENTITY_LABEL] === IDENTITY && metadata.name !== own)
    .filter(hasEnded)
  for (const { metadata } of ended) {
    const { name = '', uid, resourceVersion } = metadata
    const target = { namespace: NAMESPACE, name, uid, resourceVersion }
    await client.delete(LEASES, target).catch(unless(isNotFound))
  }
}
