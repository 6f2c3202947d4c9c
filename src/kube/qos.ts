/** The quality-of-service class of a pod, by its containers' requests and limits of cpu and memory; pure. */
import { compareQuantities, parseQuantity, type Quantity } from './quantity.ts'
import type { Container, Pod } from './types.ts'

export type QosClass = 'Guaranteed' | 'Burstable' | 'BestEffort'

const RESOURCES = ['cpu', 'memory']

/**
 * Guaranteed: every limit set and equal to its request; BestEffort: nothing asked for; else Burstable. What a pod asks
 * for as a whole decides alone.
 */
export function qosClassOf(pod: Pod): QosClass {
  const whole = { resources: pod.spec?.resources }
  if (asksForSomething(whole)) return isGuaranteed(whole) ? 'Guaranteed' : 'Burstable'
  const containers = [...(pod.spec?.initContainers ?? []), ...(pod.spec?.containers ?? [])]
  if (!containers.some(asksForSomething)) return 'BestEffort'
  return containers.every(isGuaranteed) ? 'Guaranteed' : 'Burstable'
}

type Asking = { readonly resources?: Container['resources'] | undefined }

function asksForSomething({ resources }: Asking): boolean {
  return RESOURCES.some(name =>
    [resources?.requests?.[name], resources?.limits?.[name]].some(
      text => (quantityOf(text)?.nano ?? 0n) > 0n,
    ),
  )
}

function isGuaranteed({ resources }: Asking): boolean {
  return RESOURCES.every(name => {
    const limit = quantityOf(resources?.limits?.[name])
    const request = quantityOf(resources?.requests?.[name]) ?? limit
    return limit !== null && limit.nano > 0n && request !== null && compareQuantities(limit, request) === 0
  })
}

/** Null when there is none, or none that can be read: validation tells of that. */
function quantityOf(text: string | undefined): Quantity | null {
  if (text === undefined) return null
  try {
    return parseQuantity(text)
  } catch {
    return null
  }
}
