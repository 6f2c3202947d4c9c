/** The terms of a pod's affinity to other pods, made ready to be asked often. */
import { type LabelRequirement, matchesLabels, requirementsOf } from '../../kube/labels.ts'
import type { Pod } from '../../kube/types.ts'
import type { NamespaceView } from './world.ts'

type Affinity = NonNullable<NonNullable<Pod['spec']>['affinity']>
type Term = NonNullable<
  NonNullable<Affinity['podAffinity']>['requiredDuringSchedulingIgnoredDuringExecution']
>[number]

export interface PodTerm {
  /** The same for terms that say the same of the same namespaces. */
  readonly id: string
  readonly topologyKey: string
  /** 0: must hold. */
  readonly weight: number
  matches(candidate: Pod, namespaces: NamespaceView): boolean
}

export interface PodTerms {
  readonly affinity: readonly PodTerm[]
  readonly antiAffinity: readonly PodTerm[]
  readonly preferred: readonly PodTerm[]
  readonly avoided: readonly PodTerm[]
}

const NONE: PodTerms = { affinity: [], antiAffinity: [], preferred: [], avoided: [] }
/** Pods of one template often share their parts. */
const known = new WeakMap<Affinity, Map<string, PodTerms>>()

/** Terms that say the same are one, so that what is asked of one need not be asked of the other. */
const compiled = new Map<string, PodTerm>()
const COMPILED_MAX = 1_024

export function termsOf(pod: Pod): PodTerms {
  const affinity = pod.spec?.affinity
  if (affinity?.podAffinity === undefined && affinity?.podAntiAffinity === undefined) return NONE
  const namespace = pod.metadata.namespace ?? ''
  const byNamespace = known.get(affinity) ?? new Map<string, PodTerms>()
  known.set(affinity, byNamespace)
  const found = byNamespace.get(namespace) ?? readTerms(affinity, namespace)
  byNamespace.set(namespace, found)
  return found
}

function readTerms({ podAffinity, podAntiAffinity }: Affinity, namespace: string): PodTerms {
  const read = (term: Term, weight = 0) => compile(term, namespace, weight)
  const required = (from: typeof podAffinity) =>
    (from?.requiredDuringSchedulingIgnoredDuringExecution ?? []).map(term => read(term))
  const weighted = (from: typeof podAffinity) =>
    (from?.preferredDuringSchedulingIgnoredDuringExecution ?? []).map(each =>
      read(each.podAffinityTerm, each.weight),
    )
  return {
    affinity: required(podAffinity),
    antiAffinity: required(podAntiAffinity),
    preferred: weighted(podAffinity),
    avoided: weighted(podAntiAffinity),
  }
}

function compile(term: Term, owner: string, weight: number): PodTerm {
  const { topologyKey, labelSelector, namespaces: named = [], namespaceSelector } = term
  const labels = requirementsOf(labelSelector)
  const ofNamespaces = requirementsOf(namespaceSelector)
  const names = named.length === 0 && ofNamespaces === null ? [owner] : named
  const id = JSON.stringify([topologyKey, weight, names, labels, ofNamespaces])
  const alike = compiled.get(id)
  if (alike !== undefined) return alike
  const made: PodTerm = {
    id,
    topologyKey,
    weight,
    matches({ metadata }, namespaces) {
      if (labels === null || !matchesLabels(labels, metadata.labels)) return false
      const namespace = metadata.namespace ?? ''
      return names.includes(namespace) || isSelected(ofNamespaces, namespace, namespaces)
    },
  }
  if (compiled.size >= COMPILED_MAX) compiled.clear()
  compiled.set(id, made)
  return made
}

const isSelected = (
  requirements: readonly LabelRequirement[] | null,
  namespace: string,
  { labelsOf }: NamespaceView,
): boolean => requirements !== null && matchesLabels(requirements, labelsOf(namespace))
