/** What is next for a server while a shared key is being replaced. Pure. */
import { bundleOf, type KeyRotation, keysAt } from './key-rings.ts'
import { STAGES } from './rotation-record.ts'

export interface KeyFacts {
  /** Names of the keys in the file; the first one is in use. */
  readonly has: readonly string[]
  /** Those that another server gave, or that were made here, and that are not in the file yet. */
  readonly got: readonly string[]
  readonly rotation: KeyRotation | null
  /** One that was made here, and whose record is yet to be written. */
  readonly coming: string | null
  /** Keys that something in the store cannot be read without. */
  readonly needed: ReadonlySet<string>
}

export type KeyStep =
  | { readonly type: 'none' }
  /** These have to be got from another server first. */
  | { readonly type: 'fetch'; readonly names: readonly string[] }
  /** These are here from now on, in this order. */
  | { readonly type: 'set'; readonly names: readonly string[] }
  /** What is in the store has to do without the earlier key first. */
  | { readonly type: 'free' }

export function planKeys(facts: KeyFacts): KeyStep {
  const { has, got, rotation, coming, needed } = facts
  const isUnderWay = rotation !== null && !rotation.isOver
  if (coming !== null && !isUnderWay) return planComing(has, coming)
  if (rotation === null) return { type: 'none' }
  const wanted = keysAt(rotation, rotation.stage)
  const missing = wanted.filter(name => !has.includes(name) && !got.includes(name))
  if (missing.length > 0) return { type: 'fetch', names: missing }
  if (bundleOf(wanted) === bundleOf(has)) return { type: 'none' }
  // What is read of an earlier stage takes no server back.
  const later = STAGES.slice(STAGES.indexOf(rotation.stage) + 1)
  if (isUnderWay && later.some(stage => bundleOf(keysAt(rotation, stage)) === bundleOf(has)))
    return { type: 'none' }
  if (has.some(name => !wanted.includes(name) && needed.has(name))) {
    // Only under the next key can it be put by this server.
    const [first = ''] = wanted
    return has[0] === first ? { type: 'free' } : { type: 'set', names: [...wanted, ...rest(has, wanted)] }
  }
  return { type: 'set', names: wanted }
}

function planComing(has: readonly string[], coming: string): KeyStep {
  return has.includes(coming) ? { type: 'none' } : { type: 'set', names: [...has, coming] }
}

const rest = (has: readonly string[], wanted: readonly string[]): readonly string[] =>
  has.filter(name => !wanted.includes(name))
