/**
 * The shape of the Kubernetes API model: every kind, its fields and its verbs, as data.
 * `scripts/generate-model.ts` makes the data; `model.ts` loads it; the API server is driven by it. Descriptions
 * are apart (`Descriptions`), because only the OpenAPI documents need them.
 */

/** What a value of a field looks like on the wire. */
export type TypeRef =
  | { readonly kind: 'string' }
  | { readonly kind: 'bytes' }
  | { readonly kind: 'integer'; readonly bits: 32 | 64 }
  | { readonly kind: 'number' }
  | { readonly kind: 'boolean' }
  | { readonly kind: 'time' }
  | { readonly kind: 'micro-time' }
  | { readonly kind: 'quantity' }
  | { readonly kind: 'int-or-string' }
  /** Anything at all (RawExtension, FieldsV1, JSON). */
  | { readonly kind: 'any' }
  | { readonly kind: 'array'; readonly items: TypeRef }
  | { readonly kind: 'map'; readonly values: TypeRef }
  /** `name` is a key of `Model.types`. */
  | { readonly kind: 'object'; readonly name: string }

export interface FieldInfo {
  readonly name: string
  readonly type: TypeRef
  readonly required: boolean
  /** The value an omitted field gets, whatever else the object says. Never changed: copy it. */
  readonly defaultValue?: unknown
  /** True when the default is kube-apiserver's own business and no OpenAPI document states it. */
  readonly defaultUnpublished?: true
  /** An explicit 0 gets the default too. */
  readonly zeroMeansOmitted?: true
  /** A zero ('', 0, false) is left out: upstream's Go type is no pointer and its tag says `omitempty`. */
  readonly omitsZero?: true
  /** The default that OpenAPI documents state, where it is not `defaultValue`. */
  readonly publishedDefault?: unknown
  /** Strategic merge patch: the key that identifies an item of a list. */
  readonly patchMergeKey?: string
  readonly patchStrategy?: readonly ('merge' | 'replace' | 'retainKeys')[]
  /** Server-side apply. */
  readonly listType?: 'atomic' | 'set' | 'map'
  readonly listMapKeys?: readonly string[]
  readonly mapType?: 'atomic' | 'granular'
  readonly enumValues?: readonly string[]
}

export interface TypeInfo {
  /** OpenAPI name, for example `io.k8s.api.core.v1.PodSpec`. */
  readonly name: string
  readonly fields: ReadonlyMap<string, FieldInfo>
  /** Those of `fields` that have a default. */
  readonly defaulted: readonly FieldInfo[]
  /** Server-side apply: the whole type is replaced at once. */
  readonly mapType?: 'atomic' | 'granular'
  /** The kinds that the type is the body of; empty for parts. */
  readonly kinds: readonly GroupVersionKind[]
}

export interface GroupVersionKind {
  /** Empty for the core group. */
  readonly group: string
  readonly version: string
  readonly kind: string
}

export interface SubresourceInfo {
  /** `status`, `scale`, `log`, `binding`, `eviction`, `token`, … */
  readonly name: string
  /** The kind of the subresource's body: `Scale`, `Binding`, or the parent's. */
  readonly kind: GroupVersionKind
  readonly verbs: readonly string[]
}

/** One served resource: a plural in a group and version. */
export interface ResourceInfo extends GroupVersionKind {
  /** Plural, lower case: `pods`. */
  readonly resource: string
  readonly singular: string
  readonly listKind: string
  readonly namespaced: boolean
  /** Of create delete deletecollection get list patch update watch. */
  readonly verbs: readonly string[]
  readonly shortNames: readonly string[]
  readonly categories: readonly string[]
  readonly subresources: readonly SubresourceInfo[]
  /** Key of `Model.types`. */
  readonly typeName: string
  /** The group and version that objects of this resource are stored as, and the resource's own when they agree. */
  readonly storage: { readonly group: string; readonly version: string; readonly resource: string }
}

export interface Model {
  /** In the order of discovery: groups as kube-apiserver orders them, preferred version first. */
  readonly resources: readonly ResourceInfo[]
  readonly types: ReadonlyMap<string, TypeInfo>
  byResource(group: string, version: string, resource: string): ResourceInfo | undefined
  byKind(gvk: GroupVersionKind): ResourceInfo | undefined
}

/** Texts by type name: the type's own, and its fields'. The content of `descriptions.json`. */
export type Descriptions = Readonly<
  Record<string, readonly [type: string, fields: Readonly<Record<string, string>>]>
>
