/** What a pod asks for and what a node has, in plain numbers: CPU in millicores, all else in whole units. */

import { integerValue, milliValue, parseQuantity } from './quantity.ts'
import type { Container, Pod } from './types.ts'

export type Amounts = ReadonlyMap<string, number>
type Quantities = Readonly<Record<string, string>> | undefined

/** Containers that ask for nothing still count for something when nodes are compared. */
const DEFAULTS: Amounts = new Map([
  ['cpu', 100],
  ['memory', 200 * 1024 * 1024],
])

/** Pods of one template share what they ask for, and nobody changes it: it is read once. */
const known = new WeakMap<object, Amounts>()
const NOTHING: Amounts = new Map()

export function parseAmounts(quantities: Quantities): Amounts {
  if (quantities === undefined) return NOTHING
  const read = known.get(quantities)
  if (read !== undefined) return read
  const amounts = new Map<string, number>()
  for (const [name, text] of Object.entries(quantities)) {
    const quantity = parseQuantity(text)
    amounts.set(name, name === 'cpu' ? milliValue(quantity) : integerValue(quantity))
  }
  known.set(quantities, amounts)
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
export const podRequests = (pod: Pod): Map<string, number> =>
  sumUp(pod, container => requestsOf(pod, container))

export interface CpuAndMemory {
  readonly cpu: number
  readonly memory: number
}

/** The same for comparing nodes: nothing asked for is not nothing used. */
export function scoredRequests(pod: Pod): CpuAndMemory {
  const amounts = sumUp(pod, container => new Map([...DEFAULTS, ...requestsOf(pod, container)]))
  return { cpu: amounts.get('cpu') ?? 0, memory: amounts.get('memory') ?? 0 }
}

function sumUp(pod: Pod, amountsOf: (container: Container) => Amounts): Map<string, number> {
  const running = new Map<string, number>()
  for (const container of pod.spec?.containers ?? []) addInto(running, amountsOf(container))
  const sidecars = new Map<string, number>()
  const starting = new Map<string, number>()
  for (const container of pod.spec?.initContainers ?? []) {
    const own = amountsOf(container)
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

function isInfeasible({ status }: Pod): boolean {
  const pending = status?.conditions?.find(({ type }) => type === 'PodResizePending')
  return pending?.status === 'True' && pending.reason === 'Infeasible'
}

/** While a container is being resized, the larger of what it has and what it is to get. */
function requestsOf(pod: Pod, { name, resources }: Container): Amounts {
  const asked = parseAmounts(resources?.requests)
  const all = pod.status?.containerStatuses
  if (all === undefined || all.length === 0) return asked
  const amounts = new Map(asked)
  const status = [...all, ...(pod.status?.initContainerStatuses ?? [])].find(each => each.name === name)
  // What the node can never give is not held for it.
  const held = isInfeasible(pod) ? new Map<string, number>() : amounts
  raiseTo(held, parseAmounts(status?.allocatedResources))
  raiseTo(held, parseAmounts(status?.resources?.requests))
  return held.size === 0 ? amounts : held
}
