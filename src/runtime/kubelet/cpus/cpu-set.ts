/** Sets of processors as Linux and the kubelet write them, `0-2,5` (pure). */

const PART = /^(\d{1,5})(?:-(\d{1,5}))?$/

/** Null: not such a text. */
export function parseCpus(text: string): ReadonlySet<number> | null {
  const cpus = new Set<number>()
  for (const part of text.trim() === '' ? [] : text.trim().split(',')) {
    const [, first, last = first] = PART.exec(part.trim()) ?? []
    if (first === undefined || Number(last) < Number(first)) return null
    for (let cpu = Number(first); cpu <= Number(last); cpu++) cpus.add(cpu)
  }
  return cpus
}

export function formatCpus(cpus: Iterable<number>): string {
  const runs: [number, number][] = []
  for (const cpu of [...cpus].sort((a, b) => a - b)) {
    const run = runs.at(-1)
    if (run !== undefined && run[1] === cpu - 1) run[1] = cpu
    else runs.push([cpu, cpu])
  }
  return runs.map(([first, last]) => (first === last ? `${first}` : `${first}-${last}`)).join(',')
}
