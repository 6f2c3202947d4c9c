/** A daemon set's pod for a node: what it looks like, which node it is for, and which nodes are to have one. */
import { matchesNodeSelection } from '../../../client/node-affinity.ts'
import { tolerates } from '../../../client/taints.ts'
import type { Affinity, DaemonSet, Node, Pod, PodSpec, Toleration } from '../../../kube/types.ts'
import { REVISION_HASH_LABEL } from '../shared/revisions.ts'
import { generateNameOf, podOfTemplate } from '../shared/template-pod.ts'

/** Counts changes of the template; older than revisions, and still on objects. */
const GENERATION_ANNOTATION = 'deprecated.daemonset.template.generation'
const GENERATION_LABEL = 'pod-template-generation'

const NODE_NAME_FIELD = 'metadata.name'

const isToleration = (key: string, effect: string): Toleration => ({
  key: `node.kubernetes.io/${key}`,
  operator: 'Exists',
  effect,
})

/** A daemon stays on a node that is in trouble, and comes to one that takes no other pods. */
const TOLERATIONS: readonly Toleration[] = [
  isToleration('not-ready', 'NoExecute'),
  isToleration('unreachable', 'NoExecute'),
  isToleration('disk-pressure', 'NoSchedule'),
  isToleration('memory-pressure', 'NoSchedule'),
  isToleration('pid-pressure', 'NoSchedule'),
  isToleration('unschedulable', 'NoSchedule'),
]

export function renderPod(set: DaemonSet, node: string, hash: string): Pod {
  const pod = podOfTemplate(set, set.spec?.template)
  const generation = generationOf(set)
  const labels = {
    ...pod.metadata.labels,
    ...(generation === undefined ? {} : { [GENERATION_LABEL]: generation }),
    [REVISION_HASH_LABEL]: hash,
  }
  const spec: PodSpec = { containers: [], ...pod.spec }
  return {
    ...pod,
    metadata: { ...pod.metadata, generateName: generateNameOf(set), labels },
    spec: {
      ...spec,
      affinity: withNode(spec.affinity, node),
      tolerations: mergeTolerations(spec.tolerations ?? [], defaultTolerations(spec)),
    },
  }
}

export const generationOf = (set: DaemonSet): string | undefined =>
  set.metadata.annotations?.[GENERATION_ANNOTATION]

/** Of the set's present template. */
export function isUpdated(set: DaemonSet, pod: Pod, hash: string): boolean {
  const { labels } = pod.metadata
  const generation = generationOf(set)
  const isSameGeneration = generation !== undefined && labels?.[GENERATION_LABEL] === generation
  return isSameGeneration || labels?.[REVISION_HASH_LABEL] === hash
}

/** The node takes the place of what was required; the set has looked at that already. */
function withNode(affinity: Affinity | undefined, node: string): Affinity {
  const term = { matchFields: [{ key: NODE_NAME_FIELD, operator: 'In', values: [node] }] }
  const required = { nodeSelectorTerms: [term] }
  return {
    ...affinity,
    nodeAffinity: { ...affinity?.nodeAffinity, requiredDuringSchedulingIgnoredDuringExecution: required },
  }
}

function defaultTolerations(spec: PodSpec | undefined): readonly Toleration[] {
  return spec?.hostNetwork === true
    ? [...TOLERATIONS, isToleration('network-unavailable', 'NoSchedule')]
    : TOLERATIONS
}

/** One of the same key and effect gives way. */
function mergeTolerations(own: readonly Toleration[], added: readonly Toleration[]): Toleration[] {
  const isReplaced = (one: Toleration) =>
    added.some(each => each.key === one.key && each.effect === one.effect && each.operator === one.operator)
  return [...own.filter(one => !isReplaced(one)), ...added]
}

/** Where the pod runs, or where it is to run; undefined when nobody can say. */
export function targetNode(pod: Pod): string | undefined {
  if (pod.spec?.nodeName) return pod.spec.nodeName
  const required = pod.spec?.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution
  for (const term of required?.nodeSelectorTerms ?? []) {
    const field = (term.matchFields ?? []).find(
      each => each.key === NODE_NAME_FIELD && each.operator === 'In',
    )
    if (field?.values?.length === 1) return field.values[0]
  }
  return undefined
}

export interface Eligibility {
  readonly shouldRun: boolean
  /** A pod that is there may stay, although none would be started. */
  readonly shouldContinue: boolean
}

const NEITHER: Eligibility = { shouldRun: false, shouldContinue: false }

export function eligibilityOf(set: DaemonSet, node: Node): Eligibility {
  const spec = set.spec?.template?.spec
  const name = node.metadata.name ?? ''
  if (spec?.nodeName && spec.nodeName !== name) return NEITHER
  const template: Pod = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {},
    ...(spec === undefined ? {} : { spec }),
  }
  if (!matchesNodeSelection(template, node)) return NEITHER
  const tolerations = [...(spec?.tolerations ?? []), ...defaultTolerations(spec)]
  const untolerated = (node.spec?.taints ?? []).filter(
    taint => taint.effect !== 'PreferNoSchedule' && !tolerations.some(one => tolerates(one, taint)),
  )
  if (untolerated.length === 0) return { shouldRun: true, shouldContinue: true }
  return { shouldRun: false, shouldContinue: !untolerated.some(taint => taint.effect === 'NoExecute') }
}
