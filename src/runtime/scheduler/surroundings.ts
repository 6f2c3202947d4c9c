/** What the scheduler knows beside pods and nodes: labels of namespaces, and who selects a pod. */
import { type Informer, keyOf } from '../../client/informer.ts'
import type { InformerSet } from '../../client/informer-set.ts'
import {
  NAMESPACES,
  REPLICA_SETS,
  REPLICATION_CONTROLLERS,
  SERVICES,
  STATEFUL_SETS,
} from '../../client/resources.ts'
import { type LabelRequirement, type Labels, matchesLabels, requirementsOf } from '../../kube/labels.ts'
import type {
  LabelSelector,
  Namespace,
  Pod,
  ReplicaSet,
  ReplicationController,
  Service,
  StatefulSet,
} from '../../kube/types.ts'
import type { NamespaceView } from './world.ts'

type Requirements = readonly LabelRequirement[]

export class Surroundings implements NamespaceView {
  version = 0
  readonly #namespaces: Informer<Namespace>
  readonly #services: Informer<Service>
  readonly #replicaSets: Informer<ReplicaSet>
  readonly #replicationControllers: Informer<ReplicationController>
  readonly #statefulSets: Informer<StatefulSet>
  /** The selectors of each namespace's services; made anew when any changes. */
  #selectors: Map<string, Requirements[]> | null = null

  constructor(informers: InformerSet) {
    this.#namespaces = informers.informer(NAMESPACES)
    this.#services = informers.informer(SERVICES)
    this.#replicaSets = informers.informer(REPLICA_SETS)
    this.#replicationControllers = informers.informer(REPLICATION_CONTROLLERS)
    this.#statefulSets = informers.informer(STATEFUL_SETS)
  }

  get synced(): Promise<unknown> {
    return Promise.all(this.#informers.map(({ synced }) => synced))
  }

  /** Returns an unsubscribe; `listener` hears of namespaces whose labels are others. */
  follow(listener: () => void): () => void {
    const subscriptions = [
      this.#services.onChange(() => {
        this.#selectors = null
      }),
      this.#namespaces.onChange(() => {
        this.version++
        listener()
      }),
    ]
    return () => {
      for (const unsubscribe of subscriptions) unsubscribe()
    }
  }

  labelsOf = (namespace: string): Labels => this.#namespaces.get(namespace)?.metadata.labels ?? {}

  /** What services and the controller select the pod by; null when nothing does. */
  selectorOf = (pod: Pod): Requirements | null => {
    const all = [...this.#ofServices(pod), ...this.#ofController(pod)]
    return all.length === 0 ? null : all
  }

  get #informers(): readonly { readonly synced: Promise<void> }[] {
    return [
      this.#namespaces,
      this.#services,
      this.#replicaSets,
      this.#replicationControllers,
      this.#statefulSets,
    ]
  }

  #ofServices({ metadata }: Pod): Requirements {
    this.#selectors ??= selectorsByNamespace(this.#services.list())
    const here = this.#selectors.get(metadata.namespace ?? '') ?? []
    return here.filter(selector => matchesLabels(selector, metadata.labels)).flat()
  }

  #ofController({ metadata }: Pod): Requirements {
    const owner = metadata.ownerReferences?.find(({ controller }) => controller === true)
    if (owner === undefined) return []
    const key = keyOf({ metadata: { namespace: metadata.namespace ?? '', name: owner.name } })
    switch (owner.kind) {
      case 'ReplicaSet':
        return ofSelector(this.#replicaSets.get(key)?.spec?.selector)
      case 'StatefulSet':
        return ofSelector(this.#statefulSets.get(key)?.spec?.selector)
      case 'ReplicationController':
        return ofPairs(this.#replicationControllers.get(key)?.spec?.selector)
      default:
        return []
    }
  }
}

function selectorsByNamespace(services: readonly Service[]): Map<string, Requirements[]> {
  const selectors = new Map<string, Requirements[]>()
  for (const { metadata, spec } of services) {
    const selector = ofPairs(spec?.selector)
    if (selector.length === 0) continue
    const namespace = metadata.namespace ?? ''
    selectors.set(namespace, [...(selectors.get(namespace) ?? []), selector])
  }
  return selectors
}

const ofPairs = (pairs: Labels | undefined): Requirements =>
  ofSelector(pairs === undefined ? undefined : { matchLabels: pairs })

const ofSelector = (selector: LabelSelector | undefined): Requirements => requirementsOf(selector) ?? []
