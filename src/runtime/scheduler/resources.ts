/** What a pod asks for and what a node has, in plain numbers: CPU in millicores, all else in whole units. */

import { integerValue, milliValue, parseQuantity } from '../../kube/quantity.ts'
import type { Container, Pod } from '../../kube/types.ts'

export type Amounts = ReadonlyMap<string, number>
type Quantities = Readonly<Record<string, string>> | undefined

/** Pods that ask for nothing still count for something when nodes are compared. */
const DEFAULT_CPU_MILLI = 100
const DEFAULT_MEMORY_BYTES = 200 * 1024 * 1024

export function parseAmounts(quantities: Quantities): Map<string, number> {
  const amounts = new Map<string, number>()
  for (const [name, text] of Object.entries(quantities ?? {})) {
    const quantity = parseQuantity(text)
    amounts.set(name, name === 'cpu' ? milliValue(quantity) : integerValue(quantity))
  }
  return amounts
}

function addInto(target: Map<string, number>, amounts: Amounts): void {
  for (const [name, amount] of amounts) target.set(name, (target.get(name) ?? 0) + amount)
}

function raiseTo(target: Map<string, number>, amounts: Amounts): void {
  for (const [name, amount] of amounts) target.set(name, Math.max(target.get(name) ?? 0, amount))
}

/**
 * Containers and sidecars run together; an init container runs with the sidecars before it. The pod needs the
 * larger of the two, and its overhead. What it asks for as a whole overrides the sum.
 */
export function podRequests(pod: Pod): Map<string, number> {
  const running = new Map<string, number>()
  for (const container of pod.spec?.containers ?? []) addInto(running, requestsOf(container))
  const sidecars = new Map<string, number>()
  const starting = new Map<string, number>()
  for (const container of pod.spec?.initContainers ?? []) {
    const own = requestsOf(container)
    if (container.restartPolicy === 'Always') {
      addInto(running, own)
      addInto(sidecars, own)
      raiseTo(starting, sidecars)
    } else {
      const together = new Map(sidecars)
      addInto(together, own)
      raiseTo(starting, together)
    }
  }
  raiseTo(running, starting)
  for (const [name, amount] of parseAmounts(pod.spec?.resources?.requests)) running.set(name, amount)
  addInto(running, parseAmounts(pod.spec?.overhead))
  return running
}

const requestsOf = (container: Container): Amounts => parseAmounts(container.resources?.requests)

/** The same for comparing nodes: nothing asked for is not nothing used. */
export function scoredRequests(requests: Amounts): { readonly cpu: number; readonly memory: number } {
  return {
    cpu: requests.get('cpu') ?? DEFAULT_CPU_MILLI,
    memory: requests.get('memory') ?? DEFAULT_MEMORY_BYTES,
  }
}
