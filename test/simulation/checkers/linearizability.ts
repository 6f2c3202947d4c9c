/**
 * Whether a register's history could have happened one operation at a time, each somewhere between its call and
 * its return (Wing & Gong, with Lowe's memory of places already tried). One key at a time: registers are
 * independent.
 */

export type RegisterOperation =
  | { readonly type: 'read'; readonly found: string }
  | { readonly type: 'write'; readonly value: string }
  | { readonly type: 'swap'; readonly expected: string; readonly value: string }
  /** The register held `found`, not `expected`. */
  | { readonly type: 'no-swap'; readonly expected: string; readonly found: string }

export interface HistoryEntry {
  operation: RegisterOperation
  readonly called: number
  /** Infinity while, and when, nobody knows whether it happened. */
  returned: number
}

export type LinearizabilityOutcome = 'linearizable' | 'not linearizable' | 'undecided'

const STEPS_MAX = 500_000

/** The register after an operation, or null when that is not possible now. */
function apply(operation: RegisterOperation, value: string, certain: boolean): string | null {
  switch (operation.type) {
    case 'read':
      return operation.found === value ? value : null
    case 'write':
      return operation.value
    case 'swap':
      if (operation.expected === value) return operation.value
      return certain ? null : value
    case 'no-swap':
      return operation.found === value && operation.expected !== value ? value : null
  }
}

/** A place in the search: what was placed last, and what the register held before. */
interface Step {
  readonly first: number
  readonly value: string
  readonly left: number
  /** Where to look for the next candidate. */
  at: number
  deadline: number
  /** The candidate that is placed now; -1 for none yet. */
  placed: number
}

export function checkLinearizable(history: readonly HistoryEntry[], initial: string): LinearizabilityOutcome {
  const operations = [...history].sort((a, b) => a.called - b.called)
  const done = new Uint8Array(operations.length)
  const tried = new Set<string>()
  const certain = operations.filter(({ returned }) => returned !== Number.POSITIVE_INFINITY).length
  const stack: Step[] = []
  /** Goes one deeper, unless that was tried. */
  const descend = (from: number, value: string, left: number): void => {
    let first = from
    while (done[first] === 1) first++
    const key = `${first} ${value} ${windowOf(done, first)}`
    if (tried.has(key)) return
    tried.add(key)
    stack.push({ first, value, left, at: first, deadline: Number.POSITIVE_INFINITY, placed: -1 })
  }
  if (certain === 0) return 'linearizable'
  descend(0, initial, certain)
  for (let steps = 0; steps < STEPS_MAX; steps++) {
    const step = stack.at(-1)
    if (step === undefined) return 'not linearizable'
    if (step.placed >= 0) done[step.placed] = 0
    step.placed = -1
    const next = nextCandidate(operations, done, step)
    if (next === null) {
      stack.pop()
      continue
    }
    done[step.placed] = 1
    const left = step.left - (isCertain(operations[step.placed] as HistoryEntry) ? 1 : 0)
    if (left === 0) return 'linearizable'
    descend(step.first, next, left)
  }
  return 'undecided'
}

/** Places the next operation that may come now; what the register holds then, or null when there is none left. */
function nextCandidate(operations: readonly HistoryEntry[], done: Uint8Array, step: Step): string | null {
  while (step.at < operations.length) {
    const at = step.at++
    const entry = operations[at] as HistoryEntry
    if (entry.called > step.deadline) return null
    if (done[at] === 1) continue
    step.deadline = Math.min(step.deadline, entry.returned)
    const next = apply(entry.operation, step.value, isCertain(entry))
    if (next === null || (!isCertain(entry) && next === step.value)) continue
    step.placed = at
    return next
  }
  return null
}

function isCertain({ returned }: HistoryEntry): boolean {
  return returned !== Number.POSITIVE_INFINITY
}

/** What is placed behind `first`, up to the last one that is. */
function windowOf(done: Uint8Array, first: number): string {
  let last = done.length - 1
  while (last > first && done[last] === 0) last--
  return Buffer.from(done.subarray(first, last + 1)).toString('latin1')
}

/** The shortest beginning of a history that is not linearizable, for people to read. */
export function explain(history: readonly HistoryEntry[], initial: string): string {
  const sorted = [...history].sort((a, b) => a.returned - b.returned)
  const certain = sorted.filter(({ returned }) => returned !== Number.POSITIVE_INFINITY)
  let [good, bad] = [0, certain.length]
  const upTo = (count: number) => {
    const end = certain[count - 1]?.returned ?? 0
    // What is still under way then may have happened, but is not known to have.
    return history.flatMap(entry => {
      if (entry.called > end) return []
      if (entry.returned <= end) return [entry]
      return entry.operation.type === 'read' || entry.operation.type === 'no-swap'
        ? []
        : [{ ...entry, returned: Number.POSITIVE_INFINITY }]
    })
  }
  while (bad - good > 1) {
    const middle = (good + bad) >> 1
    if (checkLinearizable(upTo(middle), initial) === 'linearizable') good = middle
    else bad = middle
  }
  const last = certain[bad - 1]
  const shown = upTo(bad).filter(({ called }) => called > (last?.called ?? 0) - 500)
  const lines = shown.map(({ operation, called, returned }) => {
    const { type, ...rest } = operation
    return `${called.toFixed(3)}..${returned.toFixed(3)} ${type} ${Object.values(rest).join(' → ')}`
  })
  return lines.slice(-25).join('\n')
}
