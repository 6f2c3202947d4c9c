/** Decides what becomes of an upgrade: whether it may begin, and how one that was cut off goes on. Pure. */
import { type Formats, formatProblems } from './formats.ts'
import type { UpgradeRecord } from './upgrade-journal.ts'
import { compareVersions, mayMeet } from './versions.ts'

export interface UpgradeFacts {
  readonly present: { readonly version: string; readonly formats: Formats }
  readonly next: { readonly version: string; readonly formats: Formats | null }
  /** Of the other nodes of the cluster. */
  readonly others: readonly { readonly name: string; readonly version: string }[]
  readonly isRollback: boolean
}

/** What speaks against it; nothing when it may begin. */
export function upgradeProblems({ present, next, others, isRollback }: UpgradeFacts): readonly string[] {
  const isOlder = compareVersions(next.version, present.version) < 0
  const tooFar = others.filter(({ version }) => !mayMeet(version, next.version))
  return [
    ...(isOlder && !isRollback
      ? [`it is older than the version in use (${present.version}); --rollback goes back to the one before`]
      : []),
    ...(next.formats === null
      ? ['it does not say which formats it reads and writes']
      : formatProblems(present.formats, next.formats)),
    ...(mayMeet(present.version, next.version)
      ? []
      : [`it is more than one minor version away from ${present.version}; take those in between first`]),
    ...tooFar.map(({ name, version }) => `the node ${name} has ${version}, more than one minor version away`),
  ]
}

export type Resumption =
  /** Nothing is under way, or somebody looks after it. */
  | { readonly kind: 'none' }
  /** The executable was not switched: what was staged goes. */
  | { readonly kind: 'discard' }
  /** The daemon is to become healthy with the next executable. */
  | { readonly kind: 'finish' }
  /** The executable before is put back, if it is not there already. */
  | { readonly kind: 'go-back' }

export interface Present {
  readonly ownerAlive: boolean
  /** The executable in place is the next one. */
  readonly isSwitched: boolean
}

/** Daemons that ended before they served; after that many the executable before is put back. */
export const STARTS_MAX = 3

export function planResumption(
  record: UpgradeRecord | null,
  { ownerAlive, isSwitched }: Present,
): Resumption {
  if (record === null || ownerAlive) return { kind: 'none' }
  switch (record.stage) {
    case 'staged':
    case 'switching':
    case 'restarting':
      if (!isSwitched) return { kind: 'discard' }
      return { kind: record.starts > STARTS_MAX ? 'go-back' : 'finish' }
    case 'going-back':
      return { kind: 'go-back' }
    case 'done':
    case 'failed':
      return { kind: 'none' }
  }
}
