/** Which processors a container gets for itself (pure): whole sockets, then whole cores, then what is left of cores. */
import type { Cpu } from './cpu-topology.ts'

/** Null: there are too few. */
export function takeCpus(
  all: readonly Cpu[],
  available: ReadonlySet<number>,
  count: number,
): ReadonlySet<number> | null {
  if (available.size < count) return null
  const taken = new Set<number>()
  const takeWhole = (of: (cpu: Cpu) => string) => {
    for (const cpus of Map.groupBy(all, of).values()) {
      const isFree = cpus.every(({ id }) => available.has(id) && !taken.has(id))
      if (!isFree || cpus.length > count - taken.size) continue
      for (const { id } of cpus) taken.add(id)
    }
  }
  takeWhole(({ socket }) => socket)
  takeWhole(({ core }) => core)
  const left = all.filter(({ id }) => available.has(id) && !taken.has(id))
  const byCore = [...Map.groupBy(left, ({ core }) => core).values()]
  // Cores that others have begun come first, so that whole ones stay whole.
  const rest = byCore.toSorted((a, b) => a.length - b.length).flat()
  for (const { id } of rest.slice(0, count - taken.size)) taken.add(id)
  return taken
}
