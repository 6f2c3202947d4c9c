/** The ConfigMap with the cluster's authority that every namespace has. */
import type { ConfigMap, Namespace } from '../../../kube/types.ts'

export const ROOT_CA_NAME = 'kube-root-ca.crt'

export type RootCaPlan =
  | { readonly kind: 'nothing' }
  | { readonly kind: 'create'; readonly object: ConfigMap }
  | { readonly kind: 'update'; readonly object: ConfigMap }

export function planRootCa(
  namespace: Namespace | undefined,
  current: ConfigMap | undefined,
  caPem: string,
): RootCaPlan {
  if (namespace === undefined || namespace.metadata.deletionTimestamp !== undefined)
    return { kind: 'nothing' }
  const data = { 'ca.crt': caPem }
  if (current === undefined) {
    const metadata = { name: ROOT_CA_NAME, namespace: namespace.metadata.name ?? '' }
    return { kind: 'create', object: { apiVersion: 'v1', kind: 'ConfigMap', metadata, data } }
  }
  const isSame = current.data?.['ca.crt'] === caPem && Object.keys(current.data).length === 1
  return isSame ? { kind: 'nothing' } : { kind: 'update', object: { ...current, data } }
}
