/** What the engine tells those whom it cannot serve. */
import { Mk8sError } from '../../base/errors.ts'
import type { EntryHeader } from '../raft/entry.ts'

export function closedError(): Mk8sError {
  return new Mk8sError('store/no-leader', 'the store is closed')
}

export function unknownEntryError({ type, version, index }: EntryHeader): Mk8sError {
  return new Mk8sError(
    'store/version',
    `log entry ${index} has the unknown type ${type}, version ${version}`,
    {
      why: 'a later version of mk8s wrote it',
      hint: 'use the version of mk8s that wrote it, or a later one',
    },
  )
}

/** A snapshot of another member takes the place of the state that was to be copied. */
export const replacedError = (): Mk8sError =>
  new Mk8sError('store/overloaded', 'the database cannot be copied just now', {
    why: 'this member takes over the state of another one',
    hint: 'try again in a moment, or on another server',
  })
