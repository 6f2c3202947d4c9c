/**
 * Which servers ought to vote: an odd number, those that live before those that are silent, spread over failure
 * domains, and as few changes as possible. Pure.
 */
import type { MemberRecord } from './member-record.ts'

/** `unknown`: this leader has not waited long enough to tell. */
export type Liveness = 'alive' | 'unknown' | 'silent'

export interface Candidate {
  readonly record: MemberRecord
  readonly liveness: Liveness
  /** It votes now. */
  readonly votes: boolean
  /** It lives and has nearly all of the log. */
  readonly ready: boolean
  /** Entries that it lacks. */
  readonly lag: number
}

/** One voter up to two servers, three from three on; five from five on where that is asked for. */
export function votersFor(servers: number, wanted: number): number {
  if (servers < 3) return 1
  return servers < 5 ? Math.min(3, wanted) : wanted
}

/** The ids of the voters to have, in order; those of now when nothing better is to be had. */
export function chooseVoters(
  candidates: readonly Candidate[],
  { leader, wanted }: { readonly leader: number; readonly wanted: number },
): readonly number[] {
  const live = candidates.filter(({ votes, ready, liveness }) => ready || (votes && liveness !== 'silent'))
  const silent = candidates.filter(each => each.votes && !live.includes(each))
  const size = sizeOf(votersFor(candidates.length, wanted), live.length, silent.length)
  const keeps = live.filter(({ votes, record }) => votes || record.id === leader)
  let chosen = shrink(keeps, size, leader)
  chosen = fill(chosen, live, size)
  chosen = fill(chosen, silent, size)
  return spread(chosen, live, leader)
    .map(({ record }) => record.id)
    .toSorted((a, b) => a - b)
}

/**
 * Odd, and no more than there are. Two that are silent are worth less than nothing: without both of them as few
 * as before may be lost, and the majority is smaller.
 */
function sizeOf(wanted: number, live: number, silent: number): number {
  const odd = (count: number) => (count % 2 === 0 ? count - 1 : count)
  let size = Math.min(wanted, odd(live + silent))
  while (size > 3 && live <= size - 2) size -= 2
  return Math.max(size, 0)
}

/** Without the ones that are needed least; never without the leader. */
function shrink(voters: readonly Candidate[], size: number, leader: number): readonly Candidate[] {
  let kept = voters
  while (kept.length > size) {
    const others = kept.filter(({ record }) => record.id !== leader)
    const least = others.toSorted(
      (a, b) => crowding(without(kept, a)) - crowding(without(kept, b)) || worse(a, b),
    )
    const [dropped] = least
    if (dropped === undefined) return kept
    kept = without(kept, dropped)
  }
  return kept
}

function fill(voters: readonly Candidate[], pool: readonly Candidate[], size: number): readonly Candidate[] {
  let filled = voters
  while (filled.length < size) {
    const left = pool.filter(each => !filled.includes(each))
    const [best] = left.toSorted((a, b) => crowding([...filled, a]) - crowding([...filled, b]) || worse(b, a))
    if (best === undefined) return filled
    filled = [...filled, best]
  }
  return filled
}

/** Swaps a voter for another server only where that spreads the voters over more failure domains. */
function spread(
  voters: readonly Candidate[],
  live: readonly Candidate[],
  leader: number,
): readonly Candidate[] {
  let best = voters
  for (;;) {
    const swaps = best
      .filter(({ record }) => record.id !== leader)
      .flatMap(old =>
        live
          .filter(each => !best.includes(each))
          .map(fresh => ({ old, fresh, set: [...without(best, old), fresh] })),
      )
      .filter(({ set }) => crowding(set) < crowding(best))
      .toSorted((a, b) => crowding(a.set) - crowding(b.set) || worse(b.fresh, a.fresh) || worse(a.old, b.old))
    const [swap] = swaps
    if (swap === undefined) return best
    best = swap.set
  }
}

const without = (all: readonly Candidate[], one: Candidate): readonly Candidate[] =>
  all.filter(each => each !== one)

/** How many share a failure domain; the less the better. A server without one is a domain by itself. */
function crowding(candidates: readonly Candidate[]): number {
  const counts = new Map<string, number>()
  for (const { record } of candidates) {
    const domain = record.failureDomain === '' ? `#${record.id}` : record.failureDomain
    counts.set(domain, (counts.get(domain) ?? 0) + 1)
  }
  return [...counts.values()].reduce((sum, count) => sum + count * count, 0)
}

/** Sorts the one that is better to do without first. */
function worse(a: Candidate, b: Candidate): number {
  const rank = ({ ready, votes, record }: Candidate) =>
    (ready ? 4 : 0) + (votes ? 8 : 0) + (record.role === 'spare' ? 0 : 2)
  return rank(a) - rank(b) || lagStep(b) - lagStep(a) || byAge(b, a)
}

/** Whoever lags by a few entries is as good as anybody: what is under way says nothing. */
const LAG_STEP = 1_000
const lagStep = ({ lag }: Candidate): number => Math.floor(lag / LAG_STEP)

/** The oldest first. */
function byAge(a: Candidate, b: Candidate): number {
  return Date.parse(a.record.joinedAt) - Date.parse(b.record.joinedAt) || a.record.id - b.record.id
}
