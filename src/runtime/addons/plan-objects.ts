/** In which order an add-on's objects come, and which of them go. Pure. */
import { createHash } from 'node:crypto'
import type { KubeObject } from '../../kube/object.ts'
import type { ObjectName } from './addon-object.ts'
import type { ObjectPattern } from './definition.ts'

/** What others need comes first, what calls them last. */
const ORDER = [
  'Namespace',
  'CustomResourceDefinition',
  'PriorityClass',
  'StorageClass',
  'ServiceAccount',
  'ClusterRole',
  'Role',
  'ClusterRoleBinding',
  'RoleBinding',
  'ResourceQuota',
  'LimitRange',
  'NetworkPolicy',
  'Secret',
  'ConfigMap',
  'PersistentVolume',
  'PersistentVolumeClaim',
  'Service',
]
const LAST = ['APIService', 'ValidatingWebhookConfiguration', 'MutatingWebhookConfiguration']

function rankOf({ kind }: { readonly kind: string }): number {
  if (LAST.includes(kind)) return ORDER.length + 1
  const at = ORDER.indexOf(kind)
  return at < 0 ? ORDER.length : at
}

export function inOrder<T extends { readonly kind: string }>(objects: readonly T[]): T[] {
  return objects.toSorted((a, b) => rankOf(a) - rankOf(b))
}

export function nameOf({ apiVersion, kind, metadata }: KubeObject): ObjectName {
  const { namespace, name = '' } = metadata
  return { apiVersion, kind, ...(namespace === undefined ? {} : { namespace }), name }
}

/** As people read it: `Deployment kube-system/web`. */
export const describe = ({ kind, namespace, name }: ObjectName): string =>
  `${kind} ${namespace === undefined ? '' : `${namespace}/`}${name}`

/** The version of a kind may change from one release of an add-on to the next. */
export const identity = ({ apiVersion, kind, namespace = '', name }: ObjectName): string =>
  [apiVersion.split('/').at(-2) ?? '', kind, namespace, name].join('\0')

/** What `earlier` has and `next` has not, last made first. */
export function planPrune(earlier: readonly ObjectName[], next: readonly ObjectName[]): ObjectName[] {
  const wanted = new Set(next.map(identity))
  return inOrder(earlier.filter(object => !wanted.has(identity(object)))).reverse()
}

/** Both, each once. */
export function unionOf(a: readonly ObjectName[], b: readonly ObjectName[]): ObjectName[] {
  return [...new Map([...a, ...b].map(object => [identity(object), object])).values()]
}

export interface RemovalPlan {
  /** In the order in which they go. */
  readonly remove: readonly ObjectName[]
  readonly kept: readonly ObjectName[]
}

/** A namespace stays while anything that is kept may lie in it. */
export function planRemoval(
  objects: readonly ObjectName[],
  keep: readonly ObjectPattern[],
  options: { readonly purge: boolean },
): RemovalPlan {
  const isKept = (object: ObjectName) =>
    !options.purge &&
    keep.length > 0 &&
    (object.kind === 'Namespace' || keep.some(pattern => matches(pattern, object)))
  return {
    remove: inOrder(objects.filter(object => !isKept(object))).reverse(),
    kept: objects.filter(isKept),
  }
}

const matches = (pattern: ObjectPattern, object: ObjectName): boolean =>
  pattern.kind === object.kind &&
  (pattern.name === undefined || pattern.name === object.name) &&
  (pattern.namespace === undefined || pattern.namespace === object.namespace)

/** Tells one set of manifests from another. */
export const fingerprintOf = (value: unknown): string =>
  createHash('sha256').update(JSON.stringify(value)).digest('hex').slice(0, 16)
