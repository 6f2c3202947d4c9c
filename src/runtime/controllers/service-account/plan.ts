/** Which service accounts every namespace has. */
import type { Namespace } from '../../../kube/types.ts'

export const DEFAULT_ACCOUNT = 'default'

/** True when the account is to be created now. */
export function needsDefaultAccount(
  namespace: Namespace | undefined,
  account: { readonly metadata: object } | undefined,
): boolean {
  if (namespace === undefined || account !== undefined) return false
  return namespace.metadata.deletionTimestamp === undefined && namespace.status?.phase !== 'Terminating'
}
