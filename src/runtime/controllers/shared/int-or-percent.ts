/** Fields that are a number of pods or a share of all of them. */
import type { IntOrString } from '../../../kube/types.ts'

export function scaledValue(value: IntOrString, total: number, round: (value: number) => number): number {
  if (typeof value === 'number') return value
  return value.endsWith('%') ? round((Number(value.slice(0, -1)) * total) / 100) : Number(value)
}
