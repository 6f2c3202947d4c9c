/** What a pod as a whole asks for: its containers together, or its largest init container. */
import { addQuantities, compareQuantities, formatQuantity, parseQuantity } from '../../../kube/quantity.ts'
import type { PodSpec } from '../../../kube/types.ts'

export interface Amounts {
  readonly requests: Readonly<Record<string, string>>
  readonly limits: Readonly<Record<string, string>>
}

export function podAmounts(spec: PodSpec): Amounts {
  return { requests: total(spec, 'requests'), limits: total(spec, 'limits') }
}

function total(spec: PodSpec, field: 'requests' | 'limits'): Record<string, string> {
  const sum: Record<string, string> = {}
  for (const { resources } of spec.containers) {
    for (const [name, amount] of Object.entries(resources?.[field] ?? {})) sum[name] = plus(sum[name], amount)
  }
  for (const { resources } of spec.initContainers ?? []) {
    for (const [name, amount] of Object.entries(resources?.[field] ?? {}))
      sum[name] = larger(sum[name], amount)
  }
  return sum
}

const plus = (a: string | undefined, b: string): string =>
  a === undefined ? b : formatQuantity(addQuantities(parseQuantity(a), parseQuantity(b)))

const larger = (a: string | undefined, b: string): string =>
  a === undefined || compareQuantities(parseQuantity(a), parseQuantity(b)) < 0 ? b : a
