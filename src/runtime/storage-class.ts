/** The storage class of a new cluster: directories on the nodes, so that a claim just works. */
import type { KubeObject } from '../kube/object.ts'
import type { StorageClass } from '../kube/types.ts'
import { defaultClass, HOSTPATH_PROVISIONER } from '../kube/volumes/claims.ts'

export const HOSTPATH_CLASS = 'hostpath-storage'

/** The default unless the cluster is given another one at install. */
export function hostpathClass(given: readonly KubeObject[]): StorageClass {
  const classes = given.filter(({ kind }) => kind === 'StorageClass') as unknown as StorageClass[]
  const isDefault = defaultClass(classes) === undefined
  return {
    apiVersion: 'storage.k8s.io/v1',
    kind: 'StorageClass',
    metadata: {
      name: HOSTPATH_CLASS,
      annotations: { 'storageclass.kubernetes.io/is-default-class': String(isDefault) },
    },
    provisioner: HOSTPATH_PROVISIONER,
    reclaimPolicy: 'Delete',
    volumeBindingMode: 'WaitForFirstConsumer',
    allowVolumeExpansion: true,
  }
}
