/** Which objects of a backup a part of it is, in which order they are written, and in which form. Pure. */

import type { ResourceRef } from '../../client/resources.ts'
import { isMap, type JsonMap } from '../../kube/json-map.ts'
import type { Model } from '../../kube/model-types.ts'
import type { KubeObject } from '../../kube/object.ts'
import { kindsIn, type ObjectSelector, parseSelector, selectObjects } from '../backup/object-selector.ts'
import { decode, type ObjectKey, parseObjectKey, prefixOf, resourceNameOf } from '../backup/state-contents.ts'
import type { ReadableState } from './opened-state.ts'

export interface PartItem {
  readonly key: ObjectKey
  readonly resource: ResourceRef
  /** As it is in the backup. */
  readonly object: KubeObject
}

export interface LeftOut {
  /** `pods shop/web-1`. */
  readonly name: string
  readonly why: string
}

export interface Part {
  /** In the order of writing. */
  readonly items: readonly PartItem[]
  readonly leftOut: readonly LeftOut[]
}

const NAMESPACE = { group: '', resource: 'namespaces' }

/** `namespace/NAME` is all that is in it. Throws `usage`. */
export function selectPart(state: ReadableState, texts: readonly string[], model: Model): Part {
  const kinds = kindsIn(state, model)
  const selectors = texts.flatMap((text): ObjectSelector[] => {
    const selector = parseSelector(text, kinds)
    const { name } = selector
    const isNamespace = name !== null && selector.kinds.some(kind => resourceNameOf(kind) === 'namespaces')
    if (!isNamespace) return [selector]
    return [selector, { kinds: kinds.filter(({ namespaced }) => namespaced), namespace: name, name: null }]
  })
  const items = new Map<string, PartItem>()
  for (const selector of selectors) {
    for (const kv of selectObjects(state, selector)) {
      const item = itemOf(kv.key, kv.value)
      if (item !== null) items.set(kv.key, item)
    }
  }
  return sortOut([...items.values()])
}

/** The Namespace that objects of a part are in, when it is not a part itself. */
export function namespaceIn(state: ReadableState, name: string): PartItem | null {
  const kv = state.get(`${prefixOf(NAMESPACE)}${name}`)
  return kv === null ? null : itemOf(kv.key, kv.value)
}

export const nameOfItem = ({ key }: Pick<PartItem, 'key'>): string =>
  `${resourceNameOf(key)} ${key.namespace === '' ? '' : `${key.namespace}/`}${key.name}`

function itemOf(path: string, value: Buffer): PartItem | null {
  const [key, object] = [parseObjectKey(path), decode(value)]
  if (key === null || object === null) return null
  const [version = ''] = String(object['apiVersion']).split('/').reverse()
  const { group, resource, namespace } = key
  return {
    key,
    resource: { group, version, resource, namespaced: namespace !== '' },
    object: object as unknown as KubeObject,
  }
}

function sortOut(all: readonly PartItem[]): Part {
  const judged = all.map(item => ({ item, why: reasonToLeaveOut(item) }))
  const items = judged.flatMap(({ item, why }) => (why === null ? [item] : []))
  const leftOut = judged.flatMap(({ item, why }) => (why === null ? [] : [{ name: nameOfItem(item), why }]))
  const byUid = new Map(items.map(item => [item.object.metadata.uid ?? '', item]))
  const ranked = items.map(item => ({ item, rank: rankOf(item, byUid) }))
  return { items: ranked.sort((a, b) => a.rank - b.rank).map(({ item }) => item), leftOut }
}

/** What the cluster makes itself, and would not keep as it was. */
const MADE: Readonly<Record<string, string>> = {
  events: 'events tell what happened then',
  'events.events.k8s.io': 'events tell what happened then',
  endpoints: 'it follows from its Service',
  'endpointslices.discovery.k8s.io': 'it follows from its Service',
  'leases.coordination.k8s.io': 'whoever holds it renews it',
  nodes: 'a machine makes its own Node when it joins',
  'csinodes.storage.k8s.io': 'a machine makes its own',
}
const MIRROR = 'kubernetes.io/config.mirror'

function reasonToLeaveOut({ key, object }: PartItem): string | null {
  const resource = resourceNameOf(key)
  const made = MADE[resource]
  if (made !== undefined) return made
  const { deletionTimestamp, annotations = {}, ownerReferences = [] } = object.metadata
  if (deletionTimestamp !== undefined) return 'it was being deleted'
  if (resource === 'configmaps' && key.name === 'kube-root-ca.crt') return 'the cluster publishes its own'
  if (resource !== 'pods') return null
  if (MIRROR in annotations) return 'its kubelet makes it'
  return ownerReferences.some(({ controller }) => controller) ? 'its controller makes another one' : null
}

/** In this order, the rest after them; an owner is always before what it owns. */
const FIRST = [
  'namespaces',
  'customresourcedefinitions.apiextensions.k8s.io',
  'priorityclasses.scheduling.k8s.io',
  'storageclasses.storage.k8s.io',
  'serviceaccounts',
  'secrets',
  'configmaps',
  'persistentvolumeclaims',
  'persistentvolumes',
]
const DEPTH_MAX = 16

function rankOf(item: PartItem, byUid: ReadonlyMap<string, PartItem>): number {
  const at = FIRST.indexOf(resourceNameOf(item.key))
  if (at >= 0) return at
  let depth = 0
  for (let owner: PartItem | undefined = item; owner !== undefined && depth < DEPTH_MAX; depth++)
    owner = byUid.get(owner.object.metadata.ownerReferences?.[0]?.uid ?? '')
  return FIRST.length + depth
}

const TOKEN_TYPE = 'kubernetes.io/service-account-token'
/** That it was bound, which it is again once its volume names it by its new uid. */
const BINDING = ['pv.kubernetes.io/bind-completed', 'pv.kubernetes.io/bound-by-controller']
const TOKEN_UID = 'kubernetes.io/service-account.uid'
const JOB_LABELS = ['controller-uid', 'batch.kubernetes.io/controller-uid']

/** What is written: without what the API server gives, and without status, which is not the writer's. */
export function writableFormOf({ key, object }: PartItem): KubeObject {
  const { status: _, ...rest } = object
  const { name, namespace, labels, annotations, ownerReferences, finalizers } = object.metadata
  const metadata = Object.fromEntries(
    Object.entries({ name, namespace, labels, annotations, ownerReferences, finalizers }).filter(
      ([, value]) => value !== undefined,
    ),
  )
  const written: KubeObject = { ...rest, metadata }
  switch (resourceNameOf(key)) {
    case 'pods':
      return withSpec(written, ({ nodeName: _node, ...spec }) => spec)
    case 'jobs.batch':
      return withSpec(written, jobSpec)
    case 'secrets':
      return object['type'] === TOKEN_TYPE ? tokenSecret(written) : written
    case 'persistentvolumeclaims':
      return withoutAnnotations(written, BINDING)
    case 'persistentvolumes':
      return withSpec(written, spec => ({
        ...spec,
        ...(isMap(spec['claimRef']) && claimed(spec['claimRef'])),
      }))
    default:
      return written
  }
}

const withSpec = (object: KubeObject, change: (spec: JsonMap) => JsonMap): KubeObject =>
  isMap(object['spec']) ? { ...object, spec: change(object['spec']) } : object

/** The uid is that of the claim as it will be. */
function claimed({ uid: _, resourceVersion: __, ...claimRef }: JsonMap): JsonMap {
  return { claimRef }
}

function tokenSecret({ data: _, ...secret }: KubeObject): KubeObject {
  return withoutAnnotations(secret as KubeObject, [TOKEN_UID])
}

function withoutAnnotations(object: KubeObject, names: readonly string[]): KubeObject {
  const all = Object.entries(object.metadata.annotations ?? {})
  const annotations = Object.fromEntries(all.filter(([name]) => !names.includes(name)))
  return { ...object, metadata: { ...object.metadata, annotations } }
}

/** The selector of a Job names its uid, and is given anew. */
function jobSpec({ selector, ...spec }: JsonMap): JsonMap {
  if (spec['manualSelector'] === true) return { ...spec, selector }
  const template = isMap(spec['template']) ? spec['template'] : {}
  const metadata = isMap(template['metadata']) ? template['metadata'] : {}
  const labels = Object.entries(isMap(metadata['labels']) ? metadata['labels'] : {})
  const left = Object.fromEntries(labels.filter(([label]) => !JOB_LABELS.includes(label)))
  return { ...spec, template: { ...template, metadata: { ...metadata, labels: left } } }
}
