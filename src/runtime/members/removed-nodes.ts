/**
 * The workers that were taken out of the cluster. Their certificates stay valid for as long as they were issued for;
 * what counts is that their names are here, until a node of the name joins again.
 */
import type { Store } from '../store/store.ts'

const PREFIX = '/mk8s/removed-nodes/'
/** Plain JSON, see ARCHITECTURE, "Values". */
const FORMAT_PLAIN = 1

export const removedNodeKey = (nodeName: string): string => `${PREFIX}${nodeName}`

/** Whether a node of this name was taken out. */
export const removedNodes =
  (store: Pick<Store, 'get'>) =>
  (nodeName: string): boolean =>
    store.get(removedNodeKey(nodeName)) !== null

export async function banNode(
  store: Pick<Store, 'transact'>,
  nodeName: string,
  nowMs: number,
): Promise<void> {
  const body = Buffer.from(JSON.stringify({ removedAt: new Date(nowMs).toISOString() }))
  const value = Buffer.concat([Buffer.of(FORMAT_PLAIN), body])
  await store.transact({ compares: [], operations: [{ type: 'put', key: removedNodeKey(nodeName), value }] })
}
