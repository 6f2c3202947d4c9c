/** Who the pods of a stateful set are: ordinals, names and labels, and what a pod of an ordinal looks like. */
import type { Pod, PodTemplateSpec, StatefulSet, Volume } from '../../../kube/types.ts'
import { REVISION_HASH_LABEL } from '../shared/revisions.ts'
import { podOfTemplate } from '../shared/template-pod.ts'

const POD_NAME_LABEL = 'statefulset.kubernetes.io/pod-name'
const POD_INDEX_LABEL = 'apps.kubernetes.io/pod-index'

const NAME = /^(.*)-(\d+)$/

/** A template and the name of the ControllerRevision that holds it. */
export interface Revision {
  readonly name: string
  readonly template: PodTemplateSpec
}

export const wantedReplicas = (set: StatefulSet): number => set.spec?.replicas ?? 1
export const startOrdinal = (set: StatefulSet): number => set.spec?.ordinals?.start ?? 0

/** The pod's number in the set; undefined when its name is not one of the set's. */
export function ordinalOf(set: StatefulSet, pod: Pod): number | undefined {
  const [, parent, digits] = NAME.exec(pod.metadata.name ?? '') ?? []
  return parent === set.metadata.name && digits !== undefined ? Number(digits) : undefined
}

export function isInRange(set: StatefulSet, ordinal: number): boolean {
  const start = startOrdinal(set)
  return ordinal >= start && ordinal < start + wantedReplicas(set)
}

export const podName = (set: StatefulSet, ordinal: number): string => `${set.metadata.name}-${ordinal}`

export const revisionOf = (pod: Pod): string => pod.metadata.labels?.[REVISION_HASH_LABEL] ?? ''

/** The name of the claim that a template becomes for a pod. */
export const claimName = (set: StatefulSet, template: string, ordinal: number): string =>
  `${template}-${podName(set, ordinal)}`

export function renderPod(set: StatefulSet, ordinal: number, revision: Revision): Pod {
  const pod = podOfTemplate(set, revision.template)
  const name = podName(set, ordinal)
  const subdomain = set.spec?.serviceName
  const labels = {
    ...pod.metadata.labels,
    ...identityLabels(set, ordinal),
    [REVISION_HASH_LABEL]: revision.name,
  }
  return {
    ...pod,
    metadata: { ...pod.metadata, name, labels },
    spec: {
      containers: [],
      ...pod.spec,
      hostname: name,
      ...(subdomain ? { subdomain } : {}),
      volumes: volumesOf(set, ordinal, pod.spec?.volumes ?? []),
    },
  }
}

const identityLabels = (set: StatefulSet, ordinal: number): Record<string, string> => ({
  [POD_NAME_LABEL]: podName(set, ordinal),
  [POD_INDEX_LABEL]: String(ordinal),
})

/** A claim takes the place of a volume of the same name. */
function volumesOf(set: StatefulSet, ordinal: number, volumes: readonly Volume[]): Volume[] {
  const names = (set.spec?.volumeClaimTemplates ?? []).map(template => template.metadata?.name ?? '')
  const claims = names.map(name => ({
    name,
    persistentVolumeClaim: { claimName: claimName(set, name, ordinal) },
  }))
  return [...claims, ...volumes.filter(volume => !names.includes(volume.name))]
}

/** The pod with its labels put right; undefined when they are. */
export function withIdentity(set: StatefulSet, pod: Pod, ordinal: number): Pod | undefined {
  const wanted = identityLabels(set, ordinal)
  const { labels } = pod.metadata
  if (Object.entries(wanted).every(([key, value]) => labels?.[key] === value)) return undefined
  return { ...pod, metadata: { ...pod.metadata, labels: { ...labels, ...wanted } } }
}
