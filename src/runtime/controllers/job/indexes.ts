/** Sets of completion indexes, and the text that a job's status and policies hold them in: `0,2-4,7`. */
import type { Pod } from '../../../kube/types.ts'

export const INDEX_ANNOTATION = 'batch.kubernetes.io/job-completion-index'

/** The indexes below `completions` that the text names; what cannot be read is left out. */
export function parseIndexes(text: string | undefined, completions: number): Set<number> {
  const out = new Set<number>()
  for (const part of (text ?? '').split(',')) {
    const match = /^(\d+)(?:-(\d+))?$/.exec(part)
    if (match === null) continue
    const first = Number(match[1])
    const last = Math.min(Number(match[2] ?? first), completions - 1)
    for (let index = first; index <= last; index++) out.add(index)
  }
  return out
}

/** Three neighbours and more are joined: `1,2,4-6`. */
export function formatIndexes(indexes: Iterable<number>): string {
  const sorted = [...indexes].sort((a, b) => a - b)
  const parts: string[] = []
  for (let at = 0; at < sorted.length; at++) {
    const first = sorted[at] ?? 0
    let last = first
    while (sorted[at + 1] === last + 1) {
      last += 1
      at += 1
    }
    parts.push(first === last ? `${first}` : `${first}${last === first + 1 ? ',' : '-'}${last}`)
  }
  return parts.join(',')
}

/** The index that the pod completes, or undefined when it has none below `completions`. */
export function completionIndexOf(pod: Pod, completions: number): number | undefined {
  const text = pod.metadata.annotations?.[INDEX_ANNOTATION]
  if (text === undefined || !/^\d+$/.test(text)) return undefined
  const index = Number(text)
  return index < completions ? index : undefined
}
