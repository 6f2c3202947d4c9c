/** Keeps an add-on's objects as its manifests have them: makes what is missing, and puts back what somebody changed. */
import type { Clock } from '../../base/clock.ts'
import type { KubeClient } from '../../client/kube-client.ts'
import { HORIZONTAL_POD_AUTOSCALERS } from '../../client/resources.ts'
import type { KubeObject } from '../../kube/object.ts'
import type { HorizontalPodAutoscaler } from '../../kube/types.ts'
import type { ObjectName } from './addon-object.ts'
import {
  hasLostReplicas,
  heldFields,
  isChanged,
  type Kept,
  lastWriter,
  nextCount,
  pauseMs,
  withoutReplicas,
} from './drift.ts'
import type { ObjectStore } from './object-store.ts'
import { describe, identity, nameOf } from './plan-objects.ts'

export interface ObjectKeeperParts {
  readonly client: KubeClient
  readonly objects: ObjectStore
  readonly clock: Clock
}

/** What became of an object that was to be kept. */
export type KeepOutcome =
  | { readonly kind: 'as-it-was' }
  | { readonly kind: 'put-back'; readonly object: string; readonly by: string; readonly count: number }
  /** Somebody changes it again and again. */
  | { readonly kind: 'waits'; readonly forMs: number }

export class ObjectKeeper {
  readonly #parts: ObjectKeeperParts
  readonly #kept = new Map<string, Kept>()

  constructor(parts: ObjectKeeperParts) {
    this.#parts = parts
  }

  /** Returns its name as it is kept. */
  async apply(object: KubeObject): Promise<ObjectName> {
    const live = hasReplicas(object) ? await this.#parts.objects.get(nameOf(object)) : null
    return nameOf(await this.#write(object, live))
  }

  /** `placed`: its name as it was kept when it was applied. */
  async keep(object: KubeObject, placed: ObjectName | undefined): Promise<KeepOutcome> {
    const live = placed === undefined ? null : await this.#parts.objects.get(placed)
    const kept = placed === undefined ? undefined : this.#kept.get(identity(placed))
    if (live === null || placed === undefined) {
      await this.#write(object, null)
      return { kind: 'as-it-was' }
    }
    if (live.metadata.deletionTimestamp !== undefined || !isChanged(live, kept)) return { kind: 'as-it-was' }
    const forMs = pauseMs(kept, this.#parts.clock.monotonic())
    if (forMs > 0) return { kind: 'waits', forMs }
    const next = await this.#write(object, live)
    if (next.metadata.resourceVersion === live.metadata.resourceVersion) return { kind: 'as-it-was' }
    const count = this.#count(placed)
    return { kind: 'put-back', object: describe(placed), by: lastWriter(live), count }
  }

  forget(names: readonly ObjectName[]): void {
    for (const name of names) this.#kept.delete(identity(name))
  }

  async #write(object: KubeObject, live: KubeObject | null): Promise<KubeObject> {
    const isScaled = live !== null && hasLostReplicas(object, live) && (await this.#hasAutoscaler(live))
    const next = await this.#parts.objects.apply(isScaled ? withoutReplicas(object) : object)
    const key = identity(nameOf(next))
    const { count = 0, lastMs = 0 } = this.#kept.get(key) ?? {}
    this.#kept.set(key, { uid: next.metadata.uid ?? '', held: heldFields(next), count, lastMs })
    return next
  }

  #count(name: ObjectName): number {
    const kept = this.#kept.get(identity(name))
    const lastMs = this.#parts.clock.monotonic()
    const count = nextCount(kept, lastMs)
    if (kept !== undefined) this.#kept.set(identity(name), { ...kept, count, lastMs })
    return count
  }

  /** An autoscaler's number of replicas is not to be argued with. */
  async #hasAutoscaler({ kind, metadata }: KubeObject): Promise<boolean> {
    const { namespace } = metadata
    const { items } = await this.#parts.client.list<HorizontalPodAutoscaler>(HORIZONTAL_POD_AUTOSCALERS, {
      namespace,
    })
    return items.some(({ spec }) => {
      const target = spec?.scaleTargetRef
      return target?.kind === kind && target?.name === metadata.name
    })
  }
}

const hasReplicas = (object: KubeObject): boolean =>
  (object as { spec?: { replicas?: number } }).spec?.replicas !== undefined
