/** Which replica set is a deployment's newest, which are old, and what a new one looks like. */

import { semanticEqual } from '../../../kube/equality.ts'
import { templateHash } from '../../../kube/hash.ts'
import type { Deployment, PodTemplateSpec, ReplicaSet } from '../../../kube/types.ts'
import { controllerReference } from '../shared/owners.ts'
import { timeMs } from '../shared/pods.ts'
import { HASH_LABEL, isRollingUpdate, maxSurge, newSetAnnotations, replicasOf } from './annotations.ts'

/** The oldest one whose template is the deployment's, apart from the hash label. */
export function findNewSet(deployment: Deployment, sets: readonly ReplicaSet[]): ReplicaSet | undefined {
  return [...sets].sort(byAge).find(set => equalTemplates(set.spec?.template, deployment.spec?.template))
}

export function byAge(a: ReplicaSet, b: ReplicaSet): number {
  return (
    timeMs(a.metadata.creationTimestamp) - timeMs(b.metadata.creationTimestamp) ||
    (a.metadata.name ?? '').localeCompare(b.metadata.name ?? '')
  )
}

export function equalTemplates(a: PodTemplateSpec | undefined, b: PodTemplateSpec | undefined): boolean {
  return semanticEqual(withoutHash(a), withoutHash(b))
}

function withoutHash(template: PodTemplateSpec | undefined): unknown {
  const labels = { ...template?.metadata?.labels }
  delete labels[HASH_LABEL]
  return { ...template, metadata: { ...template?.metadata, labels, creationTimestamp: undefined } }
}

/** The replica set of the deployment's present template, not created yet. */
export function renderNewSet(
  deployment: Deployment,
  options: { readonly revision: number; readonly oldSets: readonly ReplicaSet[] },
): ReplicaSet {
  const hash = templateHash(deployment.spec?.template, deployment.status?.collisionCount)
  const template = deployment.spec?.template
  const labels = { ...template?.metadata?.labels, [HASH_LABEL]: hash }
  const selector = deployment.spec?.selector ?? {}
  const minReadySeconds = deployment.spec?.minReadySeconds
  const set: ReplicaSet = {
    apiVersion: 'apps/v1',
    kind: 'ReplicaSet',
    metadata: {
      name: `${deployment.metadata.name}-${hash}`,
      namespace: deployment.metadata.namespace ?? '',
      labels,
      ownerReferences: [controllerReference(deployment)],
    },
    spec: {
      replicas: 0,
      selector: { ...selector, matchLabels: { ...selector.matchLabels, [HASH_LABEL]: hash } },
      template: { ...template, metadata: { ...template?.metadata, labels } },
      ...(minReadySeconds === undefined ? {} : { minReadySeconds }),
    },
  }
  set.metadata.annotations = newSetAnnotations(deployment, set, { revision: options.revision, exists: false })
  const replicas = newSetReplicas(deployment, { newSet: set, allSets: [...options.oldSets, set] })
  return { ...set, spec: { ...set.spec, replicas, selector: set.spec?.selector ?? {} } }
}

/** How large the newest may be now without exceeding the surge. */
export function newSetReplicas(
  deployment: Deployment,
  parts: { readonly newSet: ReplicaSet; readonly allSets: readonly ReplicaSet[] },
): number {
  const wanted = replicasOf(deployment)
  if (!isRollingUpdate(deployment)) return wanted
  const current = sumReplicas(parts.allSets)
  const most = wanted + maxSurge(deployment)
  const has = replicasOf(parts.newSet)
  if (current >= most) return has
  return has + Math.min(most - current, wanted - has)
}

export const sumReplicas = (sets: readonly ReplicaSet[]): number =>
  sets.reduce((sum, set) => sum + replicasOf(set), 0)

export const sumAvailable = (sets: readonly ReplicaSet[]): number =>
  sets.reduce((sum, set) => sum + (set.status?.availableReplicas ?? 0), 0)

/** Those that are to have pods. */
export const activeSets = (sets: readonly ReplicaSet[]): ReplicaSet[] =>
  sets.filter(set => replicasOf(set) > 0)
