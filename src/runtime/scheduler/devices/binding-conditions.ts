/** Whether drivers have made a claim's devices ready, where they want to be waited for (pure). */
import { keyOf } from '../../../client/informer.ts'
import type { ResourceClaim } from '../../../kube/types.ts'
import type { AllocationResult } from './allocated.ts'

const resultsOf = ({ status }: ResourceClaim): readonly AllocationResult[] =>
  status?.allocation?.devices?.results ?? []

export const hasBindingConditions = (claim: ResourceClaim): boolean =>
  resultsOf(claim).some(({ bindingConditions = [] }) => bindingConditions.length > 0)

function isTrue({ status }: ResourceClaim, of: AllocationResult, type: string): boolean {
  const device = status?.devices?.find(
    ({ driver, pool, device, shareID }) =>
      driver === of.driver && pool === of.pool && device === of.device && shareID === of.shareID,
  )
  return device?.conditions?.some(each => each.type === type && each.status === 'True') === true
}

/** Null: no driver says that it failed. */
export function bindingProblem(claim: ResourceClaim): string | null {
  for (const result of resultsOf(claim)) {
    const failed = result.bindingFailureConditions?.find(type => isTrue(claim, result, type))
    if (failed === undefined) continue
    const what = `device ${result.driver}/${result.pool}/${result.device}`
    return `claim ${keyOf(claim)}: ${what} failed to become ready: ${failed}`
  }
  return null
}

export const isBindable = (claim: ResourceClaim): boolean =>
  resultsOf(claim).every(result =>
    (result.bindingConditions ?? []).every(type => isTrue(claim, result, type)),
  )
