/** How much of a pod's images a node has already; an image that few nodes have draws less, so that no node is crowded. */
import type { Pod } from '../../kube/types.ts'
import type { NodeInfo } from './node-info.ts'

const MEBIBYTE = 1024 * 1024
const BYTES_MIN = 23 * MEBIBYTE
const BYTES_MAX_PER_CONTAINER = 1_000 * MEBIBYTE
const SCORE_MAX = 100

/** Null when no node has any of them. */
export function imageScores(pod: Pod, all: readonly NodeInfo[], nodes: readonly NodeInfo[]): number[] | null {
  const containers = [...(pod.spec?.initContainers ?? []), ...(pod.spec?.containers ?? [])]
  const wanted = containers.map(({ image = '' }) => withTag(image))
  const spread = new Map<string, number>()
  for (const image of new Set(wanted)) {
    const holders = countHolders(image, all)
    if (holders > 0) spread.set(image, holders / all.length)
  }
  if (spread.size === 0) return null
  const max = BYTES_MAX_PER_CONTAINER * containers.length
  return nodes.map(({ images }) => {
    let sum = 0
    for (const image of wanted) sum += Math.trunc((images.get(image) ?? 0) * (spread.get(image) ?? 0))
    const bytes = Math.min(max, Math.max(BYTES_MIN, sum))
    return Math.trunc((SCORE_MAX * (bytes - BYTES_MIN)) / (max - BYTES_MIN))
  })
}

/** By the list of nodes, which is another one as soon as any node's images are others. */
const holdersKnown = new WeakMap<readonly NodeInfo[], Map<string, number>>()
const IMAGES_MAX = 1_024

function countHolders(image: string, nodes: readonly NodeInfo[]): number {
  const counts = holdersKnown.get(nodes) ?? new Map<string, number>()
  holdersKnown.set(nodes, counts)
  const known = counts.get(image)
  if (known !== undefined) return known
  let count = 0
  for (const { images } of nodes) if (images.has(image)) count++
  if (counts.size >= IMAGES_MAX) counts.clear()
  counts.set(image, count)
  return count
}

const withTag = (image: string): string =>
  image.lastIndexOf(':') <= image.lastIndexOf('/') ? `${image}:latest` : image
