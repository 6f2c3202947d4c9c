/** What nodes and pods use, from the metrics API, kept while the page is open: the API itself remembers nothing. */

import { quantity } from './format.ts'
import type { Sample } from './graph.ts'
import { type Polled, usePolled } from './polling.ts'

interface Amounts {
  readonly cpu?: string
  readonly memory?: string
}

interface NodeMetrics {
  readonly items: readonly { readonly metadata: { readonly name: string }; readonly usage: Amounts }[]
}

interface PodMetrics {
  readonly containers: readonly { readonly usage: Amounts }[]
}

export interface Usage {
  readonly cpu: readonly Sample[]
  readonly memory: readonly Sample[]
}

const EVERY_MS = 15_000
/** An hour of them. */
const SAMPLES_MAX = 240
const THINGS_MAX = 300
const remembered = new Map<string, { cpu: Sample[]; memory: Sample[] }>()

function remember(name: string, cpu: number, memory: number): void {
  const usage = remembered.get(name) ?? { cpu: [], memory: [] }
  remembered.delete(name)
  remembered.set(name, usage)
  const at = Date.now()
  if (at - (usage.cpu.at(-1)?.at ?? 0) < EVERY_MS / 3) return
  usage.cpu = [...usage.cpu, { at, value: cpu }].slice(-SAMPLES_MAX)
  usage.memory = [...usage.memory, { at, value: memory }].slice(-SAMPLES_MAX)
  const oldest = remembered.keys().next().value
  if (remembered.size > THINGS_MAX && oldest !== undefined) remembered.delete(oldest)
}

const NONE: Usage = { cpu: [], memory: [] }
export const usageOf = (name: string): Usage => remembered.get(name) ?? NONE

const total = (all: readonly Amounts[], of: keyof Amounts): number =>
  all.reduce((sum, each) => sum + quantity(each[of]), 0)

/** Of every node under its name, and of all of them under the empty one. */
export function useNodeUsage(): Polled<unknown> {
  return usePolled<NodeMetrics>('/apis/metrics.k8s.io/v1beta1/nodes', EVERY_MS, ({ items }) => {
    for (const { metadata, usage } of items)
      remember(`node/${metadata.name}`, quantity(usage.cpu), quantity(usage.memory))
    const all = items.map(({ usage }) => usage)
    if (all.length > 0) remember('nodes', total(all, 'cpu'), total(all, 'memory'))
  })
}

export function usePodUsage(namespace: string, name: string): Polled<unknown> {
  const path = `/apis/metrics.k8s.io/v1beta1/namespaces/${namespace}/pods/${name}`
  return usePolled<PodMetrics>(path, EVERY_MS, ({ containers }) => {
    const all = containers.map(({ usage }) => usage)
    remember(`pod/${namespace}/${name}`, total(all, 'cpu'), total(all, 'memory'))
  })
}
