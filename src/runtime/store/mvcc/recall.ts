/**
 * The answer to a request that turns out to have been applied before, so that its result got lost: the change of a
 * leader, or a snapshot that held it already. What is remembered and what the history still has often suffice.
 */
import type { AppliedEvent, Command, CommandResult, RememberedResult } from './command.ts'
import { revisionOf } from './history.ts'
import type { StateMachine } from './state-machine.ts'

/** Null when nobody can say any more: a decision's reads, a refused transaction's findings, what is compacted. */
export function recallResult(
  command: Command,
  remembered: RememberedResult,
  state: StateMachine,
): CommandResult | null {
  const { succeeded, revision, index } = remembered
  switch (command.type) {
    case 'transaction': {
      if (!succeeded) return null
      const writes = command.transaction.operations.some(({ type }) => type === 'put')
      const put = writes ? putsAt(revision, state) : []
      return put && { kind: 'transaction', result: { succeeded, revision, put } }
    }
    case 'lease-grant': {
      const lease = command.lease ?? index
      return succeeded && state.lease(lease) !== null ? { kind: 'leased', lease } : null
    }
    case 'lease-revocation':
      return succeeded ? { kind: 'revoked' } : { kind: 'no-lease', lease: command.lease }
    case 'compaction':
      return { kind: 'compacted' }
    case 'decision':
      return null
  }
}

function putsAt(revision: number, state: StateMachine) {
  if (revision <= state.compactedRevision) return null
  const events = state.eventsAfter(revision - 1).filter(event => revisionOf(event) === revision)
  const kvOf = (event: AppliedEvent) => (event.type === 'put' ? [event.kv] : [])
  return events.flatMap(kvOf)
}
