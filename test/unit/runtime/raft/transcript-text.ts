/** Messages, entries and memberships as transcripts show them. */

import { type Entry, entryTypes, payloadOf } from '../../../../src/runtime/raft/entry.ts'
import { decodeConfiguration } from '../../../../src/runtime/raft/membership.ts'
import type { Configuration, Message } from '../../../../src/runtime/raft/messages.ts'
import { ELECTION_TICKS } from '../../../../src/runtime/raft/timing.ts'

export function textOf(entry: Entry): string {
  const place = `${entry.index}/${entry.term}`
  if (entry.type === entryTypes.noOp) return `${place}:no-op`
  if (entry.type === entryTypes.membership)
    return `${place}:${membersText(decodeConfiguration(payloadOf(entry)))}`
  return `${place}:${payloadOf(entry)}`
}

/** "(1 2 3 + 4)": learners behind the plus; in the middle of a change "(new | outgoing + learners)". */
export function membersText({ voters, outgoing, learners }: Configuration): string {
  const halves = outgoing.length > 0 ? `${voters.join(' ')} | ${outgoing.join(' ')}` : voters.join(' ')
  return `(${halves}${learners.length > 0 ? ` + ${learners.join(' ')}` : ''})`
}

export function describe(message: Message): string {
  const { type, term } = message
  const head = `${type} term ${term}`
  switch (message.type) {
    case 'pre-vote':
    case 'vote': {
      const transfer = message.type === 'vote' && message.transfer ? ' by transfer' : ''
      return `${head} last ${message.lastIndex}/${message.lastTerm}${transfer}`
    }
    case 'pre-vote-reply':
    case 'vote-reply':
      return `${head} ${message.granted ? 'granted' : 'refused'}`
    case 'append': {
      const entries = message.entries.map(textOf).join(' ')
      return `${head} after ${message.previousIndex}/${message.previousTerm} commit ${message.commit} [${entries}]`
    }
    case 'append-reply':
      if (!message.rejected) return `${head} has ${message.index}`
      return `${head} rejected, try ${message.index}/${message.indexTerm}`
    case 'heartbeat':
      return `${head} commit ${message.commit} read ${message.read}${timeoutOf(message)}`
    case 'heartbeat-reply':
      return `${head} read ${message.read}`
    case 'read-index':
    case 'read-index-refusal':
      return `${head} context ${message.context}`
    case 'read-index-reply':
      return `${head} context ${message.context} at ${message.index}`
    case 'snapshot': {
      const { snapshot, offset, data, last } = message.chunk
      const place = `${snapshot.index}/${snapshot.term}`
      return `${head} ${snapshot.id} of ${place} bytes ${offset}..${offset + data.length}${last ? ' (last)' : ''}`
    }
    case 'snapshot-reply':
      return `${head} ${message.id} wants ${message.next}`
    case 'timeout-now':
      return head
  }
}

/** Only where it is not the usual one. */
function timeoutOf({ electionTicks }: { readonly electionTicks: number }): string {
  return electionTicks === ELECTION_TICKS ? '' : ` timeout ${electionTicks}`
}
