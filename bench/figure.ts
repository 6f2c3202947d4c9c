/** One measured figure against its goal, and how it is printed. */

export interface Figure {
  readonly figure: string
  readonly us: number
  /** The same figure of a peer in the same run; null where none can run. */
  readonly peer: number | null
  readonly unit: string
  readonly goal: number
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  const upper = sorted[middle] ?? Number.NaN
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2
}

/** Prints the figures, one line each, and returns whether all of them hold. */
export function report(figures: readonly Figure[], json: boolean): boolean {
  let all = true
  for (const { figure, us, peer, unit, goal } of figures) {
    const holds = us <= goal
    const ratio = peer === null ? null : us / peer
    all &&= holds
    const against = `${beside(peer, unit, ratio)}${wanted(goal, unit)}`
    const line = json
      ? JSON.stringify({ figure, us, peer, unit, ratio, goal, holds })
      : `${holds ? 'holds' : 'MISSED'}  ${figure}: ${amount(us, unit)}${against}`
    process.stdout.write(`${line}\n`)
  }
  return all
}

const amount = (value: number, unit: string): string => `${value.toFixed(2)} ${unit}`.trimEnd()

function beside(peer: number | null, unit: string, ratio: number | null): string {
  return peer === null || ratio === null ? '' : `, peer ${amount(peer, unit)}, ratio ${ratio.toFixed(2)}`
}

function wanted(goal: number, unit: string): string {
  return Number.isFinite(goal) ? ` (goal ${amount(goal, unit)})` : ''
}
