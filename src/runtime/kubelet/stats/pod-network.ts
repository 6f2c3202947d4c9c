/** What went through the interfaces of a pod, as the kernel counts it in the network namespace of its processes. */
import { readFile } from 'node:fs/promises'
import { processesIn } from '../runtime/cri/pod-cgroups.ts'

export interface InterfaceCounts {
  readonly name: string
  readonly received: Counts
  readonly sent: Counts
}

export interface Counts {
  readonly bytes: number
  readonly packets: number
  readonly errors: number
  readonly dropped: number
}

/** Empty when none of its processes is there any more. */
export async function readPodNetwork(
  group: string,
  trees: readonly string[],
): Promise<readonly InterfaceCounts[]> {
  for (const pid of processesIn(group, trees)) {
    const text = await readFile(`/proc/${pid}/net/dev`, 'utf8').catch(() => undefined)
    if (text !== undefined) return parseInterfaces(text)
  }
  return []
}

/** Pure. */
export function parseInterfaces(text: string): InterfaceCounts[] {
  return text.split('\n').flatMap(line => {
    const [head, rest] = line.split(':')
    const name = head?.trim() ?? ''
    if (rest === undefined || name === 'lo') return []
    const numbers = rest.trim().split(/\s+/).map(Number)
    const countsAt = (at: number): Counts => {
      const [bytes = 0, packets = 0, errors = 0, dropped = 0] = numbers.slice(at)
      return { bytes, packets, errors, dropped }
    }
    return [{ name, received: countsAt(0), sent: countsAt(8) }]
  })
}
