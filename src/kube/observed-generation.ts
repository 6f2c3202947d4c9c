/** Which generation of a pod those who set a condition of it had seen. */
import type { Pod } from './types.ts'

/** To be spread into the condition; nothing for a pod that has no generation. */
export function observedGeneration({ metadata }: Pod): { readonly observedGeneration?: number } {
  return metadata.generation === undefined ? {} : { observedGeneration: metadata.generation }
}
