/**
 * What a kind needs beyond the model: the one interface that every file of this folder implements.
 * Everything here is pure and synchronous; the generic path in `../requests/` calls it in the order below.
 */
import type { FieldError } from '../../../kube/field-error.ts'
import type { KubeObject } from '../../../kube/object.ts'
import type { UserInfo } from '../user.ts'

/** What a strategy may ask of its surroundings, answered from memory. */
export interface StrategyContext {
  /** Wall time of the request, milliseconds since the epoch. */
  readonly nowMs: number
  /** The user's name, for kinds that record it. */
  readonly username: string
  /** All that is known of the user: signing requests record it. */
  readonly user?: UserInfo
  readonly uuid: () => string
  readonly random: () => number
  readonly settings: ClusterSettings
}

/** The cluster facts that strategies decide on. */
export interface ClusterSettings {
  readonly clusterDomain: string
  readonly serviceCidr: string
  readonly podCidr: string
  /** Where Services have addresses of two families: the networks of the one that is not first. */
  readonly ipv6?: { readonly serviceCidr: string; readonly podCidr: string }
  readonly ipv4?: { readonly serviceCidr: string; readonly podCidr: string }
  readonly nodePorts: { readonly first: number; readonly last: number }
}

/**
 * A name in a space of its own that an object holds while it exists (a service's cluster IP, a node port).
 * It is written in the same transaction as the object, so that two objects never hold the same one.
 */
export interface Claim {
  /** `service-ip` or `node-port`. */
  readonly space: string
  /** `10.152.183.7`, `30080/TCP`. */
  readonly value: string
}

export interface ClaimPool {
  /** True when nobody holds it. */
  isFree(claim: Claim): boolean
  /** Networks of ServiceCIDRs that addresses are taken from beside the cluster's own. */
  serviceNetworks(): readonly string[]
}

export interface TableColumn {
  readonly name: string
  readonly type: 'string' | 'integer' | 'number' | 'boolean' | 'date'
  readonly format?: string
  readonly description: string
  /** 0 is always shown, 1 only with `-o wide`. */
  readonly priority: number
}

export interface TableSpec {
  readonly columns: readonly TableColumn[]
  /** One cell per column; durations are given as kubectl shows them (`5d3h`). */
  cells(object: KubeObject, nowMs: number): readonly unknown[]
}

/** How an update through a subresource other than `status` differs from one of the object itself. */
export interface SubresourceStrategy {
  /** Takes everything the subresource may not change from `previous`; changes `next`. */
  prepareForUpdate(next: KubeObject, previous: KubeObject, context: StrategyContext): void
  /** Beside the rules of metadata; neither `validate` nor the kind's `validateUpdate` is called. */
  validateUpdate?(next: KubeObject, previous: KubeObject): readonly FieldError[]
}

export interface Strategy {
  readonly group: string
  readonly resource: string
  /** Fills in what is omitted, after the model's own defaults and before admission; changes `object`. */
  applyDefaults?(object: KubeObject): void
  /** Clears what a client may not set at creation (status) and sets what the server decides; changes `object`. */
  prepareForCreate?(object: KubeObject, context: StrategyContext): void
  /** Clears what a client may not change, raises generation when the spec changed; changes `next`. */
  prepareForUpdate?(next: KubeObject, previous: KubeObject, context: StrategyContext): void
  /** After everything but metadata and status was taken from `previous`; changes `next`. */
  prepareForStatusUpdate?(next: KubeObject, previous: KubeObject, context: StrategyContext): void
  validate?(object: KubeObject, settings?: ClusterSettings): readonly FieldError[]
  /** In addition to `validate`, for an object that is new. */
  validateCreate?(object: KubeObject): readonly FieldError[]
  /** In addition to `validate` and the generic metadata rules. */
  validateUpdate?(next: KubeObject, previous: KubeObject): readonly FieldError[]
  /** True: an update is checked by `validateUpdate` alone, which lets pass what it leaves as it was. */
  readonly ratchets?: boolean
  validateStatusUpdate?(next: KubeObject, previous: KubeObject): readonly FieldError[]
  /** What the client is told about an object that is fine otherwise; `previous` is null for a new one. */
  warnings?(next: KubeObject, previous: KubeObject | null): readonly string[]
  /**
   * Chooses what is to be chosen (a cluster IP, node ports; changes `object`) and returns every claim the
   * object then holds. Errors: the value asked for is taken or out of range.
   */
  claim?(
    object: KubeObject,
    previous: KubeObject | null,
    pool: ClaimPool,
    context: StrategyContext,
  ): { readonly claims: readonly Claim[]; readonly errors: readonly FieldError[] }
  /** Field selectors beyond `metadata.name` and `metadata.namespace`: label → value of this object. */
  selectableFields?(object: KubeObject): Readonly<Record<string, string>>
  /** Seconds of grace a deletion gets; absent kinds are deleted at once (0). */
  gracePeriodSeconds?(object: KubeObject, requested: number | null): number
  /**
   * Called on the object that a deletion marks but does not remove yet (its deletionTimestamp is set, and
   * finalizers, grace or `isHeldBack` keep it): a namespace becomes Terminating here. Changes `object`.
   */
  prepareForDelete?(object: KubeObject, context: StrategyContext): void
  /** True while something beyond metadata.finalizers keeps a deleted object (a namespace's spec.finalizers). */
  isHeldBack?(object: KubeObject): boolean
  /** By name: `finalize`, `approval`, `ephemeralcontainers`, `resize`. Only these are served. */
  readonly subresources?: Readonly<Record<string, SubresourceStrategy>>
  /** Names may be generated or checked by other rules than a DNS subdomain. Returns the problem or null. */
  validateName?(name: string): string | null
  /** False: PUT to an absent name is 404 rather than a create (the default), as upstream for most kinds. */
  readonly allowCreateOnUpdate?: boolean
  /** False for kinds that accept an update without resourceVersion; most do (default true). */
  readonly allowUnconditionalUpdate?: boolean
  /** False: this kind has no status that is split off (create and update keep it). */
  readonly hasStatus?: boolean
  readonly table?: TableSpec
}
