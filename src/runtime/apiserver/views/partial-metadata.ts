/** PartialObjectMetadata: an object's metadata and nothing else. */
import type { KubeObject } from '../../../kube/object.ts'

export const PARTIAL_API_VERSION = 'meta.k8s.io/v1'

export const partialMetadata = (object: KubeObject): KubeObject => ({
  kind: 'PartialObjectMetadata',
  apiVersion: PARTIAL_API_VERSION,
  metadata: object.metadata,
})
