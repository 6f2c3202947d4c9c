/**
 * A server that has moved is not found by the others, so it cannot have its own record changed through the log: it
 * tells any of them where it is, and that one changes the record.
 */
import { isIP } from 'node:net'
import { Mk8sError } from '../../base/errors.ts'
import { isMap } from '../../kube/json-map.ts'
import type { Store } from '../store/store.ts'
import { encodeMember, type MemberAddress, type MemberRecord, memberKey } from './member-record.ts'
import { readMembers } from './member-table.ts'

export const MOVED_PATH = '/v1/member/moved'

/** `POST` by the server that has moved, with the certificate of a server. */
export type Move = Pick<MemberRecord, 'id' | 'peerAddresses' | 'apiAddress' | 'joinAddress'>

export const moveOf = ({ id, peerAddresses, apiAddress, joinAddress }: Move): Move => ({
  id,
  peerAddresses,
  apiAddress,
  joinAddress,
})

export const hasMoved = (record: Move, own: Move): boolean =>
  JSON.stringify(moveOf(record)) !== JSON.stringify(moveOf(own))

/** Another change of the record at the same time makes it fail, and the server tells again. */
export async function takeMove(
  store: Pick<Store, 'range' | 'transact' | 'barrier'>,
  body: unknown,
): Promise<{ readonly changed: boolean }> {
  const move = parseMove(body)
  await store.barrier()
  const present = readMembers(store).find(({ record }) => record.id === move.id)
  if (present === undefined) throw new Mk8sError('refused', 'this server is no member of the cluster')
  if (!hasMoved(present.record, move)) return { changed: false }
  const key = memberKey(move.id)
  const { succeeded } = await store.transact({
    compares: [{ key, target: 'mod-revision', equals: present.modRevision }],
    operations: [{ type: 'put', key, value: encodeMember({ ...present.record, ...move }) }],
  })
  return { changed: succeeded }
}

function parseMove(body: unknown): Move {
  const { id, peerAddresses, apiAddress, joinAddress } = isMap(body) ? body : {}
  const good =
    typeof id === 'number' &&
    Array.isArray(peerAddresses) &&
    peerAddresses.length > 0 &&
    [...peerAddresses, apiAddress, joinAddress].every(isAddress)
  if (!good) throw new Mk8sError('usage', 'the addresses of a server that has moved make no sense')
  return { id, peerAddresses, apiAddress, joinAddress } as unknown as Move
}

function isAddress(value: unknown): value is MemberAddress {
  const { host, port } = isMap(value) ? value : {}
  return typeof host === 'string' && isIP(host) !== 0 && Number.isInteger(port)
}
