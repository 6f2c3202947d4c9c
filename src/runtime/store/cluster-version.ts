/**
 * The replicated cluster version: a key of the store, so that it survives whatever happens to the log. It is raised
 * when every member is known to understand what it allows, and never lowered.
 */
import { Mk8sError } from '../../base/errors.ts'
import { CLUSTER_VERSION_MAX, CLUSTER_VERSION_MIN } from '../raft/entry-gate.ts'
import type { KeyValue, Store } from './store.ts'

export const CLUSTER_VERSION_KEY = '/mk8s/cluster-version'

/** What this member has applied. Throws `store/version` when it is beyond this program. */
export function clusterVersionOf(store: Pick<Store, 'get'>): number {
  return read(store.get(CLUSTER_VERSION_KEY))
}

function read(kv: KeyValue | null): number {
  if (kv === null) return CLUSTER_VERSION_MIN
  const version = Number(kv.value.toString())
  if (!Number.isSafeInteger(version)) throw new Mk8sError('store/corrupt', 'the cluster version is no number')
  if (version <= CLUSTER_VERSION_MAX) return version
  throw new Mk8sError('store/version', `the cluster is at version ${version}`, {
    why: `this program knows versions up to ${CLUSTER_VERSION_MAX}`,
    hint: 'use a later version of mk8s',
  })
}

/**
 * Raises it; every member must know `version`. False when it is that already. Call it on the leader only, with what
 * all members say of themselves.
 */
export async function raiseClusterVersion(
  store: Pick<Store, 'get' | 'transact'>,
  version: number,
): Promise<boolean> {
  const kv = store.get(CLUSTER_VERSION_KEY)
  if (version <= read(kv) || version > CLUSTER_VERSION_MAX) return false
  const { succeeded } = await store.transact({
    compares: [{ key: CLUSTER_VERSION_KEY, target: 'mod-revision', equals: kv?.modRevision ?? 0 }],
    operations: [{ type: 'put', key: CLUSTER_VERSION_KEY, value: Buffer.from(String(version)) }],
  })
  return succeeded
}
