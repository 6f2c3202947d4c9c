/** As much of a kubelet's summary as metrics are made of (pure). */

export interface Usage {
  readonly timeMs: number
  readonly nanoCores: number
  readonly workingSetBytes: number
}

export interface Summary {
  readonly node: Usage | null
  /** By pod uid, by container. */
  readonly pods: ReadonlyMap<string, ReadonlyMap<string, Usage>>
}

interface WireUsage {
  readonly cpu?: { readonly time: string; readonly usageNanoCores?: number }
  readonly memory?: { readonly workingSetBytes?: number }
}

interface WireSummary {
  readonly node: WireUsage
  readonly pods: readonly {
    readonly podRef: { readonly uid: string }
    readonly containers: readonly (WireUsage & { readonly name: string })[]
  }[]
}

export function parseSummary(text: string): Summary {
  const { node, pods } = JSON.parse(text) as WireSummary
  const byPod = pods.map(({ podRef, containers }) => {
    const usages = containers.flatMap(container => {
      const usage = usageOf(container)
      return usage === null ? [] : [[container.name, usage] as const]
    })
    return [podRef.uid, new Map(usages)] as const
  })
  return { node: usageOf(node), pods: new Map(byPod) }
}

/** Null while there is no rate yet: one look is none. */
function usageOf({ cpu, memory }: WireUsage): Usage | null {
  if (cpu?.usageNanoCores === undefined || memory?.workingSetBytes === undefined) return null
  const timeMs = Date.parse(cpu.time)
  return { timeMs, nanoCores: cpu.usageNanoCores, workingSetBytes: memory.workingSetBytes }
}
