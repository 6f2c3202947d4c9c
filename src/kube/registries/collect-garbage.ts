/**
 * How a collection of the registry's garbage is asked for and told of (pure): annotations of its claim, which the node
 * that has the registry follows, and of its endpoint slice, which that node may write.
 */

export const COLLECT = 'registry.mk8s.io/collect'
export const COLLECTED = 'registry.mk8s.io/collected'

export interface CollectRequest {
  readonly id: string
  readonly graceMs: number
  readonly untagged: boolean
}

export interface CollectResult {
  /** Of the request. */
  readonly id: string
  readonly manifests: number
  readonly blobs: number
  readonly bytes: number
  readonly uploads: number
  /** Empty when it was done. */
  readonly problem: string
}

type Annotations = Readonly<Record<string, string>> | undefined

/** What is asked for and not yet done; null: nothing. */
export function collectAsked(annotations: Annotations): CollectRequest | null {
  const asked = parse(annotations?.[COLLECT])
  const { id, graceMs, untagged } = asked
  if (typeof id !== 'string' || typeof graceMs !== 'number' || graceMs < 0) return null
  if (parse(annotations?.[COLLECTED])['id'] === id) return null
  return { id, graceMs, untagged: untagged === true }
}

/** Of this request; null while it is not known. */
export function collectResult(annotations: Annotations, id: string): CollectResult | null {
  const result = parse(annotations?.[COLLECTED])
  return result['id'] === id ? (result as unknown as CollectResult) : null
}

function parse(text = '{}'): Readonly<Record<string, unknown>> {
  try {
    return (JSON.parse(text) ?? {}) as Readonly<Record<string, unknown>>
  } catch {
    return {}
  }
}
