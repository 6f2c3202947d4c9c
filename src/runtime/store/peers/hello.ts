/**
 * How two members begin to talk. The one that dials says `magic · lowest version u8 · highest version u8 · purpose
 * u8 · reserved u8 · member u64`; the other answers with the version that both speak from then on, one byte. What
 * else it sends on that connection, a byte now and then, says that it reads.
 */
import type { TLSSocket } from 'node:tls'
import type { MemberId } from '../../raft/messages.ts'
import { WIRE_VERSION, WIRE_VERSION_MIN } from './wire.ts'

const MAGIC = Buffer.from('MK8SPEER', 'latin1')
const HELLO_BYTES = 20

/** Snapshots have a connection of their own, so that no heartbeat waits behind a piece of one. */
export const purposes = ['messages', 'snapshots'] as const
export type Purpose = (typeof purposes)[number]

export interface Hello {
  readonly lowest: number
  readonly highest: number
  readonly purpose: Purpose
  readonly member: MemberId
}

export function encodeHello(member: MemberId, purpose: Purpose): Buffer {
  const hello = Buffer.alloc(HELLO_BYTES)
  MAGIC.copy(hello)
  hello.writeUInt8(WIRE_VERSION_MIN, 8)
  hello.writeUInt8(WIRE_VERSION, 9)
  hello.writeUInt8(purposes.indexOf(purpose), 10)
  hello.writeBigUInt64LE(BigInt(member), 12)
  return hello
}

/** The hello at the beginning of these bytes and what follows it; null when it is not whole. Throws when it is none. */
export function takeHello(bytes: Buffer): { readonly hello: Hello; readonly rest: Buffer } | null {
  if (bytes.length < HELLO_BYTES) return null
  if (!bytes.subarray(0, MAGIC.length).equals(MAGIC)) throw new Error('it is no member of any cluster')
  const purpose = purposes[bytes.readUInt8(10)]
  if (purpose === undefined) throw new Error('it connects for an unknown purpose')
  const member = Number(bytes.readBigUInt64LE(12))
  const hello = { lowest: bytes.readUInt8(8), highest: bytes.readUInt8(9), purpose, member }
  return { hello, rest: bytes.subarray(HELLO_BYTES) }
}

/** The latest version that both speak. Throws when there is none. */
export function commonVersion({ lowest, highest }: Pick<Hello, 'lowest' | 'highest'>): number {
  const version = Math.min(highest, WIRE_VERSION)
  if (version >= Math.max(lowest, WIRE_VERSION_MIN)) return version
  throw new Error(`it speaks versions ${lowest} to ${highest}`)
}

export function hasIdentity(socket: TLSSocket, identity: string): boolean {
  return namesIn(socket.getPeerCertificate().subjectaltname).includes(identity)
}

/** The URIs of a certificate; quoted ones, which could hide another behind a comma, are none of ours. */
export function namesIn(subjectaltname: string | undefined): string[] {
  const names = (subjectaltname ?? '').split(', ')
  return names.flatMap(name => (name.startsWith('URI:') ? [name.slice('URI:'.length)] : []))
}
