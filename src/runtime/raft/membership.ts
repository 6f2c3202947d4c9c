/**
 * Changing who belongs to the cluster, always through joint consensus when voters change; and the payload of a
 * membership entry: three lists of member ids, each a count and so many u64.
 */

import { readNumber, writeNumber } from './entry.ts'
import type { Configuration, MemberId } from './messages.ts'
import { sameMembers } from './quorum.ts'

/** Who votes and who only learns, after a change. */
export interface Membership {
  readonly voters: readonly MemberId[]
  readonly learners: readonly MemberId[]
}

/** Why nobody can be asked to become this; null when it is fine. */
export function membershipProblem({ voters, learners }: Membership): string | null {
  const all = [...voters, ...learners]
  if (voters.length === 0) return 'a cluster needs a voter'
  if (new Set(all).size < all.length) return 'a member is named twice'
  return all.every(id => Number.isSafeInteger(id) && id > 0) ? null : 'a member id is a positive number'
}

/** The first step towards `target`: joint when the voters change, otherwise it is the only one. */
export function firstStep(current: Configuration, { voters, learners }: Membership): Configuration {
  return { voters, outgoing: sameMembers(current.voters, voters) ? [] : current.voters, learners }
}

/** The second step: out of joint consensus. */
export function lastStep({ voters, learners }: Configuration): Configuration {
  return { voters, outgoing: [], learners }
}

export function encodeConfiguration({ voters, outgoing, learners }: Configuration): Buffer {
  const lists = [voters, outgoing, learners]
  const bytes = Buffer.alloc(lists.reduce((total, list) => total + 4 + 8 * list.length, 0))
  let offset = 0
  for (const list of lists) {
    offset = bytes.writeUInt32LE(list.length, offset)
    for (const id of list) {
      writeNumber(bytes, offset, id)
      offset += 8
    }
  }
  return bytes
}

export function decodeConfiguration(bytes: Buffer): Configuration {
  let offset = 0
  const list = (): MemberId[] => {
    const count = bytes.readUInt32LE(offset)
    offset += 4
    return Array.from({ length: count }, () => {
      offset += 8
      return readNumber(bytes, offset - 8)
    })
  }
  return { voters: list(), outgoing: list(), learners: list() }
}
