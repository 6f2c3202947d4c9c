/** What a manifest's pod becomes on a node, and how the API shows it (pure): names, uids and marks as upstream's. */
import { createHash } from 'node:crypto'
import { cloneJson } from '../../../kube/clone.ts'
import { stableText } from '../../../kube/hash.ts'
import { isMap } from '../../../kube/json-map.ts'
import type { Node, Pod, Toleration } from '../../../kube/types.ts'
import { parseYamlDocuments } from '../../../kube/yaml.ts'
import { containersOf } from '../pod-containers.ts'

export const HASH = 'kubernetes.io/config.hash'
export const MIRROR = 'kubernetes.io/config.mirror'
export const SOURCE = 'kubernetes.io/config.source'
const SEEN = 'kubernetes.io/config.seen'
const UID_LENGTH = 32
/** Known before any API is: the priorities of the classes that every cluster has. */
const PRIORITIES: Readonly<Record<string, number>> = {
  'system-cluster-critical': 2_000_000_000,
  'system-node-critical': 2_000_001_000,
}

/** Reads an object as the API would: decoded, with defaults, judged. */
export type PodReader = (value: unknown) => { readonly pod: Pod; readonly problems: readonly string[] }

export interface ManifestFacts {
  readonly path: string
  readonly nodeName: string
  readonly nowMs: number
  readonly read: PodReader
}

/** The pods of one file. Throws with what is wrong with it: a file with one bad pod has none. */
export function staticPodsOf(text: string, facts: ManifestFacts): readonly Pod[] {
  const documents = parseYamlDocuments(text).filter(document => document !== null)
  return documents.flatMap(podsIn).map(value => staticPod(value, facts))
}

/** A document is a pod or a list of them. */
function podsIn(document: unknown): readonly unknown[] {
  const isList = isMap(document) && ['List', 'PodList'].includes(String(document['kind']))
  return isList && Array.isArray(document['items']) ? document['items'] : [document]
}

function staticPod(value: unknown, { path, nodeName, nowMs, read }: ManifestFacts): Pod {
  if (!isMap(value) || value['apiVersion'] !== 'v1' || value['kind'] !== 'Pod') {
    throw new Error('what is in it is not a v1 Pod')
  }
  const metadata = isMap(value['metadata']) ? value['metadata'] : {}
  const hash = createHash('sha256').update(stableText([nodeName, path, value]))
  const uid = hash.digest('hex').slice(0, UID_LENGTH)
  const named = { ...metadata, name: `${metadata['name'] ?? ''}-${nodeName}` }
  const annotations = {
    ...(isMap(metadata['annotations']) ? metadata['annotations'] : {}),
    [HASH]: uid,
    [SEEN]: new Date(nowMs).toISOString(),
    [SOURCE]: 'file',
  }
  const spec = isMap(value['spec']) ? value['spec'] : {}
  const { pod, problems } = read({
    ...{ apiVersion: 'v1', kind: 'Pod' },
    metadata: { namespace: 'default', ...named, uid, annotations },
    spec: { ...spec, nodeName },
  })
  if (problems.length > 0) throw new Error(problems.join('; '))
  const reference = referenceIn(pod)
  if (reference !== null) throw new Error(`static pods may not reference ${reference}`)
  const priority = pod.spec?.priority ?? PRIORITIES[pod.spec?.priorityClassName ?? '']
  const tolerations = [...(pod.spec?.tolerations ?? []), STAYS]
  return {
    ...pod,
    spec: {
      containers: [],
      ...pod.spec,
      tolerations,
      ...(priority === undefined ? {} : { priority }),
    },
  }
}

/** Nobody but the file takes it off the node. */
const STAYS: Toleration = { operator: 'Exists', effect: 'NoExecute' }

/** Objects of the API that the pod needs; a node may not show the API a pod that refers to any. */
function referenceIn(pod: Pod): string | null {
  const { spec } = pod
  if (spec?.serviceAccountName) return 'serviceaccounts'
  if ((spec?.imagePullSecrets ?? []).length > 0) return 'secrets'
  if ((spec?.resourceClaims ?? []).length > 0) return 'resourceclaims'
  for (const volume of spec?.volumes ?? []) {
    const sources = [volume, ...(volume.projected?.sources ?? [])]
    if (sources.some(source => source.secret)) return 'secrets'
    if (sources.some(source => source.configMap)) return 'configmaps'
    if (volume.persistentVolumeClaim || volume.ephemeral) return 'persistentvolumeclaims'
    const projected = volume.projected?.sources ?? []
    if (projected.some(source => source.clusterTrustBundle)) return 'clustertrustbundles'
  }
  for (const { env = [], envFrom = [] } of containersOf(pod)) {
    if (envFrom.some(({ secretRef }) => secretRef)) return 'secrets'
    if (envFrom.some(({ configMapRef }) => configMapRef)) return 'configmaps'
    if (env.some(({ valueFrom }) => valueFrom?.secretKeyRef)) return 'secrets'
    if (env.some(({ valueFrom }) => valueFrom?.configMapKeyRef)) return 'configmaps'
  }
  return null
}

export const fullNameOf = ({ metadata }: Pick<Pod, 'metadata'>): string =>
  `${metadata.namespace ?? ''}/${metadata.name ?? ''}`

/** The object that stands for a static pod in the API. */
export function mirrorOf(pod: Pod, node: Node): Pod {
  const { uid: _uid, annotations = {}, ...metadata } = cloneJson(pod.metadata)
  const { name = '', uid = '' } = node.metadata
  const owner = { apiVersion: 'v1', kind: 'Node', name, uid, controller: true }
  const { priority: _priority, ...spec } = { containers: [], ...cloneJson(pod.spec) }
  return {
    ...{ apiVersion: 'v1', kind: 'Pod' },
    metadata: {
      ...metadata,
      annotations: { ...annotations, [MIRROR]: annotations[HASH] ?? '' },
      ownerReferences: [owner],
    },
    spec,
  }
}

export const isMirror = ({ metadata }: Pick<Pod, 'metadata'>): boolean =>
  metadata.annotations?.[MIRROR] !== undefined

export const isStatic = (pod: Pick<Pod, 'metadata'>): boolean =>
  !isMirror(pod) && (pod.metadata.annotations?.[SOURCE] ?? 'api') !== 'api'

/** True while the mirror shows this very pod, of this very node, and nobody deletes it. */
export function isTrueMirror(mirror: Pod, pod: Pod, node: Node): boolean {
  const { annotations = {}, deletionTimestamp, ownerReferences = [] } = mirror.metadata
  const isOurs = ownerReferences.some(owner => owner.controller && owner.uid === node.metadata.uid)
  return deletionTimestamp === undefined && isOurs && annotations[MIRROR] === pod.metadata.annotations?.[HASH]
}
