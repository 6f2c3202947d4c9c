/**
 * Has the open claims of a pod bound before the pod is: sets volumes aside for them, or says on which node they are
 * to be made, and waits until both sides agree.
 */
import type { Clock } from '../../base/clock.ts'
import { type Informer, keyOf } from '../../client/informer.ts'
import type { InformerSet } from '../../client/informer-set.ts'
import type { KubeClient } from '../../client/kube-client.ts'
import {
  CSI_DRIVERS,
  CSI_NODES,
  CSI_STORAGE_CAPACITIES,
  PERSISTENT_VOLUME_CLAIMS,
  PERSISTENT_VOLUMES,
  STORAGE_CLASSES,
} from '../../client/resources.ts'
import type {
  CSIDriver,
  CSINode,
  CSIStorageCapacity,
  Node,
  PersistentVolume,
  PersistentVolumeClaim,
  Pod,
  StorageClass,
} from '../../kube/types.ts'
import { BOUND_BY_CONTROLLER, isBoundTo, isFullyBound, SELECTED_NODE } from '../../kube/volumes/claims.ts'
import { chooseVolumes, isReachable, prepareVolumes, type VolumeChoice } from './volume-filters.ts'
import type { VolumeView } from './volume-view.ts'
import { waitUntil } from './wait-until.ts'

const CLASS_INDEX = 'class'

export interface Reservation extends VolumeChoice {
  readonly node: Node
}

export class VolumeBinder implements VolumeView {
  readonly #client: KubeClient
  readonly #clock: Clock
  readonly #claims: Informer<PersistentVolumeClaim>
  readonly #volumes: Informer<PersistentVolume>
  readonly #classes: Informer<StorageClass>
  readonly #csiNodes: Informer<CSINode>
  readonly #drivers: Informer<CSIDriver>
  readonly #capacities: Informer<CSIStorageCapacity>
  /** Volumes that are given away, by name: to the uid of a claim. */
  readonly #taken = new Map<string, string>()

  constructor(parts: {
    readonly client: KubeClient
    readonly clock: Clock
    readonly informers: InformerSet
  }) {
    const { informers } = parts
    this.#client = parts.client
    this.#clock = parts.clock
    this.#claims = informers.informer(PERSISTENT_VOLUME_CLAIMS)
    this.#volumes = informers.informer(PERSISTENT_VOLUMES)
    this.#classes = informers.informer(STORAGE_CLASSES)
    this.#csiNodes = informers.informer(CSI_NODES)
    this.#drivers = informers.informer(CSI_DRIVERS)
    this.#capacities = informers.informer(CSI_STORAGE_CAPACITIES)
    this.#capacities.addIndex(CLASS_INDEX, ({ storageClassName }) => [storageClassName])
  }

  get synced(): Promise<unknown> {
    return Promise.all(this.#informers.map(({ synced }) => synced))
  }

  /** Calls when something changed that may let a pod with claims run; returns an unsubscribe. */
  onChange(listener: () => void): () => void {
    const subscriptions = [
      this.#claims.onChange(listener),
      this.#volumes.onChange(listener),
      this.#classes.onChange(listener),
      this.#csiNodes.onChange(listener),
      this.#drivers.onChange(listener),
      this.#capacities.onChange(listener),
    ]
    return () => {
      for (const unsubscribe of subscriptions) unsubscribe()
    }
  }

  claim(namespace: string, name: string): PersistentVolumeClaim | undefined {
    return this.#claims.get(`${namespace}/${name}`)
  }

  volume(name: string): PersistentVolume | undefined {
    return this.#volumes.get(name)
  }

  volumes(): readonly PersistentVolume[] {
    return this.#volumes.list()
  }

  storageClass(name: string): StorageClass | undefined {
    return this.#classes.get(name)
  }

  csiNode(name: string): CSINode | undefined {
    return this.#csiNodes.get(name)
  }

  csiDriver(name: string): CSIDriver | undefined {
    return this.#drivers.get(name)
  }

  capacities(storageClass: string): readonly CSIStorageCapacity[] {
    return this.#capacities.byIndex(CLASS_INDEX, storageClass)
  }

  isTaken({ metadata }: PersistentVolume, claim: PersistentVolumeClaim): boolean {
    const taker = this.#taken.get(metadata.name ?? '')
    return taker !== undefined && taker !== claim.metadata.uid
  }

  /** What the pod's open claims get on the node, kept for them until `release`; null when there are none. */
  reserve(pod: Pod, node: Node): Reservation | null {
    const volumes = prepareVolumes(pod, [], this)
    if (volumes === null || volumes.delayed.length === 0) return null
    const choice = chooseVolumes(volumes, node)
    if (!('bindings' in choice)) return null
    for (const { volume, claim } of choice.bindings) {
      this.#taken.set(volume.metadata.name ?? '', claim.metadata.uid ?? '')
    }
    return { ...choice, node }
  }

  release({ bindings }: Reservation): void {
    for (const { volume } of bindings) this.#taken.delete(volume.metadata.name ?? '')
  }

  /** Resolves once every claim has a volume that the node can reach. */
  async bind(
    { bindings, provisions, node }: Reservation,
    timeoutMs: number,
    signal: AbortSignal,
  ): Promise<void> {
    for (const { volume, claim } of bindings) await this.#setAside(volume, claim)
    for (const claim of provisions) await this.#select(claim, node.metadata.name ?? '')
    const claims = [...bindings.map(({ claim }) => claim), ...provisions]
    const isDone = () => claims.every(claim => this.#isBound(claim, node))
    const onChange = (listener: () => void) => this.onChange(listener)
    await waitUntil({ isDone, onChange, clock: this.#clock, timeoutMs, signal })
  }

  get #informers(): readonly { readonly synced: Promise<void> }[] {
    const rest = [this.#csiNodes, this.#drivers, this.#capacities]
    return [this.#claims, this.#volumes, this.#classes, ...rest]
  }

  async #setAside(volume: PersistentVolume, claim: PersistentVolumeClaim): Promise<void> {
    if (isBoundTo(volume, claim)) return
    const { name = '', namespace = '', uid = '', resourceVersion = '' } = claim.metadata
    const claimRef = {
      ...{ apiVersion: 'v1', kind: 'PersistentVolumeClaim' },
      ...{ name, namespace, uid, resourceVersion },
    }
    const annotations = { ...volume.metadata.annotations, [BOUND_BY_CONTROLLER]: 'yes' }
    await this.#client.update(PERSISTENT_VOLUMES, {
      ...volume,
      metadata: { ...volume.metadata, annotations },
      spec: { ...volume.spec, claimRef },
    })
  }

  async #select(claim: PersistentVolumeClaim, node: string): Promise<void> {
    if (claim.metadata.annotations?.[SELECTED_NODE] === node) return
    const annotations = { ...claim.metadata.annotations, [SELECTED_NODE]: node }
    const next = { ...claim, metadata: { ...claim.metadata, annotations } }
    const written = await this.#client.update<PersistentVolumeClaim>(PERSISTENT_VOLUME_CLAIMS, next)
    await this.#claims.caughtUp(written.metadata.resourceVersion)
  }

  /** Throws when it will not come to that any more. */
  #isBound(claim: PersistentVolumeClaim, node: Node): boolean {
    const key = keyOf(claim)
    const current = this.#claims.get(key)
    if (current === undefined || current.metadata.uid !== claim.metadata.uid) {
      throw new Error(`persistentvolumeclaim "${claim.metadata.name}" not found`)
    }
    if (!isFullyBound(current)) {
      const selected = current.metadata.annotations?.[SELECTED_NODE]
      if (!this.#isPromised(claim) && selected !== node.metadata.name)
        throw new Error(`provisioning failed for PVC "${key}"`)
      return false
    }
    const volume = this.#volumes.get(current.spec?.volumeName ?? '')
    if (volume === undefined) return false
    if (isReachable(volume, node)) return true
    throw new Error(`pv "${volume.metadata.name}" node affinity doesn't match node "${node.metadata.name}"`)
  }

  #isPromised({ metadata }: PersistentVolumeClaim): boolean {
    return [...this.#taken.values()].includes(metadata.uid ?? '')
  }
}
