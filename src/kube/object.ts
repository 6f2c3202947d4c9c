/** Kubernetes objects as they are on the wire: plain JSON values. */

export type Json = string | number | boolean | null | Json[] | { [key: string]: Json }

export interface OwnerReference {
  apiVersion: string
  kind: string
  name: string
  uid: string
  controller?: boolean
  blockOwnerDeletion?: boolean
}

export interface ObjectMeta {
  name?: string
  generateName?: string
  namespace?: string
  uid?: string
  resourceVersion?: string
  generation?: number
  /** RFC 3339, whole seconds, UTC. */
  creationTimestamp?: string
  deletionTimestamp?: string
  deletionGracePeriodSeconds?: number
  labels?: Record<string, string>
  annotations?: Record<string, string>
  ownerReferences?: OwnerReference[]
  finalizers?: string[]
  managedFields?: Json[]
  selfLink?: string
}

export interface KubeObject {
  apiVersion: string
  kind: string
  metadata: ObjectMeta
  [field: string]: unknown
}

/**
 * A typed kind as JSON: dates are strings, untyped fields are `Json`, metadata is ObjectMeta. Types come from
 * `@kubernetes/client-node` and vanish at run time; `types.ts` names those that are used.
 */
export type Wire<T> = unknown extends T
  ? Json
  : T extends Date
    ? string
    : T extends readonly (infer Item)[]
      ? Wire<Item>[]
      : T extends object
        ? string extends keyof T
          ? { [Key in keyof T]: Wire<T[Key]> }
          : 'managedFields' extends keyof T
            ? ObjectMeta
            : { [Key in keyof T]: Wire<T[Key]> }
        : T

/** An object of a typed kind: as `Wire`, with the parts that every stored object has. */
export type Kind<T> = Omit<Wire<T>, 'apiVersion' | 'kind' | 'metadata'> & {
  apiVersion: string
  kind: string
  metadata: ObjectMeta
}
