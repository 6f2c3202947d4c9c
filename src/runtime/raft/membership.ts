/** The payload of a membership entry: three lists of member ids, each a count and so many u64. */
import { readNumber, writeNumber } from './entry.ts'
import type { MemberId } from './messages.ts'
import type { Configuration } from './quorum.ts'

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
