/**
 * Deletes what its owners have left behind: one graph over every deletable resource, those of extension API servers
 * too, fed by watches.
 */
import type { Informer } from '../../../client/informer.ts'
import { isNoSuchPath, isNotFound, type KubeClient } from '../../../client/kube-client.ts'
import { ReconcileLoop } from '../../../client/reconcile-loop.ts'
import { API_SERVICES, type ResourceRef } from '../../../client/resources.ts'
import type { ResourceInfo } from '../../../kube/model-types.ts'
import type { KubeObject, OwnerReference } from '../../../kube/object.ts'
import type { APIService } from '../../../kube/types.ts'
import type { Controller, ControllerContext } from '../shared/context.ts'
import type { ContentsListener, CustomContents } from '../shared/custom-resources.ts'
import { deleteIfThere } from '../shared/deletion.ts'
import { RemoteInformers } from '../shared/remote-informers.ts'
import { type GraphNode, OwnerGraph } from './graph.ts'
import {
  blockingDependents,
  FOREGROUND,
  isOrphaning,
  isWaitingForDependents,
  ORPHAN,
  type OwnerState,
  planGarbage,
} from './plan.ts'

const SERVICE_ACCOUNT = 'generic-garbage-collector'
/** Owners that were looked for and found absent; the oldest answers are forgotten. */
const ABSENT_OWNERS_MAX = 500

interface Parts {
  readonly context: ControllerContext
  readonly remote: () => readonly CustomContents[]
  readonly client: KubeClient
  readonly graph: OwnerGraph
  readonly absent: Set<string>
}

export function createGarbageCollector(context: ControllerContext): Controller {
  const informers = deletableResources(context.model.resources).map(resource =>
    context.informers.metadataInformer(resource),
  )
  const client = context.client(SERVICE_ACCOUNT)
  const graph = new OwnerGraph()
  const contents = followContents(graph, uid => loop.add(uid))
  const remote = new RemoteInformers({
    ...{ informers: context.informers, client, clock: context.clock, log: context.log },
    apiServices: context.informers.informer<APIService>(API_SERVICES),
    listener: contents.listener,
  })
  const parts: Parts = { context, remote: () => remote.all, client, graph, absent: new Set() }
  const loop = new ReconcileLoop({
    clock: context.clock,
    log: context.log.child({ controller: SERVICE_ACCOUNT }),
    reconcile: (uid, signal) => reconcile(parts, uid, signal),
  })
  let subscriptions: (() => void)[] = []
  return {
    name: SERVICE_ACCOUNT,
    start() {
      const add = (uid: string) => loop.add(uid)
      subscriptions = informers.map(informer => follow(parts.graph, informer, add))
      subscriptions.push(context.custom.subscribe(contents.listener), contents.end)
      remote.start()
      loop.start()
    },
    async stop() {
      for (const unsubscribe of subscriptions) unsubscribe()
      subscriptions = []
      await remote.stop()
      await loop.stop()
    },
  }
}

/** One reference per stored resource that can be listed, watched and deleted. Events own and are owned by nothing. */
function deletableResources(resources: readonly ResourceInfo[]): ResourceRef[] {
  const seen = new Set<string>()
  const found: ResourceRef[] = []
  for (const info of resources) {
    const stored = `${info.storage.group}/${info.storage.resource}`
    const isUsable = ['delete', 'list', 'watch'].every(verb => info.verbs.includes(verb))
    if (!isUsable || seen.has(stored) || info.resource === 'events') continue
    seen.add(stored)
    const { group, version, resource, namespaced } = info
    found.push({ group, version, resource, namespaced })
  }
  return found
}

function follow(graph: OwnerGraph, informer: Informer<KubeObject>, add: (uid: string) => void): () => void {
  const unsubscribe = informer.onChange((_key, next, previous) => {
    const isReplaced = previous !== null && previous.metadata.uid !== next?.metadata.uid
    if (isReplaced) onGone(graph, previous, add)
    if (next !== null) onPut(graph, informer.resource, next, add)
  })
  for (const object of informer.list()) onPut(graph, informer.resource, object, add)
  return unsubscribe
}

/** Kinds that come while this runs are followed, and those that go leave the graph. */
function followContents(graph: OwnerGraph, add: (uid: string) => void) {
  const following = new Map<Informer<KubeObject>, () => void>()
  const listener: ContentsListener = {
    added({ informer, resource: { group, kind } }) {
      following.set(informer, follow(graph, informer, add))
      // Until now nobody could tell whether their owners are there.
      for (const uid of graph.dependentsOfKind(group, kind)) add(uid)
    },
    removed({ informer }) {
      following.get(informer)?.()
      following.delete(informer)
      for (const { metadata } of informer.list()) graph.remove(metadata.uid ?? '')
    },
  }
  const end = () => {
    for (const stop of following.values()) stop()
  }
  return { listener, end }
}

function onPut(
  graph: OwnerGraph,
  resource: ResourceRef,
  object: KubeObject,
  add: (uid: string) => void,
): void {
  const uid = object.metadata.uid ?? ''
  const before = graph.get(uid)?.object.metadata.ownerReferences ?? []
  graph.put(resource, object)
  if ((object.metadata.ownerReferences ?? []).length > 0) add(uid)
  for (const owner of before) addWhenWaiting(graph, owner.uid, add)
  if (!isWaitingForDependents(object) && !isOrphaning(object)) return
  add(uid)
  if (isWaitingForDependents(object)) addDependents(graph, uid, add)
}

function onGone(graph: OwnerGraph, object: KubeObject, add: (uid: string) => void): void {
  const uid = object.metadata.uid ?? ''
  graph.remove(uid)
  addDependents(graph, uid, add)
  for (const owner of object.metadata.ownerReferences ?? []) addWhenWaiting(graph, owner.uid, add)
}

function addDependents(graph: OwnerGraph, uid: string, add: (uid: string) => void): void {
  for (const { object } of graph.dependentsOf(uid)) add(object.metadata.uid ?? '')
}

function addWhenWaiting(graph: OwnerGraph, uid: string, add: (uid: string) => void): void {
  const owner = graph.get(uid)
  if (owner !== undefined && isWaitingForDependents(owner.object)) add(uid)
}

async function reconcile(parts: Parts, uid: string, signal: AbortSignal): Promise<undefined> {
  const node = parts.graph.get(uid)
  if (node === undefined) return undefined
  if (isOrphaning(node.object)) await orphanDependents(parts, node, signal)
  else if (isWaitingForDependents(node.object)) await releaseWhenAlone(parts, node)
  else await collect(parts, node)
  return undefined
}

async function collect(parts: Parts, node: GraphNode): Promise<void> {
  const { object, resource } = node
  const uid = object.metadata.uid ?? ''
  const owners = new Map<string, OwnerState>()
  for (const owner of object.metadata.ownerReferences ?? []) {
    owners.set(owner.uid, await stateOfOwner(parts, object, owner))
  }
  const plan = planGarbage(object, owners, {
    hasDependents: parts.graph.hasDependents(uid),
    dependentsWait: parts.graph.dependentsOf(uid).some(each => isWaitingForDependents(each.object)),
  })
  if (plan.kind === 'nothing') return
  if (plan.kind === 'drop-owners') return dropOwners(parts, node, plan.uids)
  if (plan.unblock) await stopBlocking(parts, node)
  await deleteIfThere(parts.client, resource, object, { uid, propagationPolicy: plan.policy })
}

/** The graph may be behind, so "absent" is asked of the API server, once per owner. */
async function stateOfOwner(parts: Parts, object: KubeObject, owner: OwnerReference): Promise<OwnerState> {
  const known = parts.graph.get(owner.uid)
  const namespace = object.metadata.namespace
  if (known !== undefined) {
    const ownerNamespace = known.object.metadata.namespace
    const isReachable = ownerNamespace === undefined || ownerNamespace === namespace
    if (!isReachable || known.object.metadata.name !== owner.name) return 'absent'
    return isWaitingForDependents(known.object) ? 'waiting' : 'solid'
  }
  const sought = [owner.apiVersion, owner.kind, namespace, owner.name, owner.uid].join(' ')
  if (parts.absent.has(sought)) return 'absent'
  const resource = resourceOfKind(parts, owner)
  if (resource === undefined || (resource.namespaced && !namespace)) return 'solid'
  try {
    const found = await parts.client.get(resource, { namespace, name: owner.name })
    if (found.metadata.uid === owner.uid) return isWaitingForDependents(found) ? 'waiting' : 'solid'
  } catch (error) {
    // A kind that was served a moment ago says nothing about its objects.
    if (!isNotFound(error) || isNoSuchPath(error)) throw error
  }
  rememberAbsent(parts.absent, sought)
  return 'absent'
}

/** By all that a reference says: one that names the wrong kind tells nothing of the right one. */
function rememberAbsent(absent: Set<string>, sought: string): void {
  absent.add(sought)
  if (absent.size <= ABSENT_OWNERS_MAX) return
  for (const oldest of absent) {
    absent.delete(oldest)
    return
  }
}

/** Undefined for kinds that are not served: whether such an owner exists cannot be known, so nothing is done. */
function resourceOfKind(parts: Parts, owner: OwnerReference): ResourceRef | undefined {
  const slash = owner.apiVersion.indexOf('/')
  const group = slash === -1 ? '' : owner.apiVersion.slice(0, slash)
  const version = owner.apiVersion.slice(slash + 1)
  const known = parts.context.model.byKind({ group, version, kind: owner.kind })
  if (known !== undefined) return known
  return [...parts.context.custom.all, ...parts.remote()]
    .map(({ resource }) => resource)
    .find(one => one.group === group && one.kind === owner.kind)
}

async function dropOwners(parts: Parts, node: GraphNode, uids: readonly string[]): Promise<void> {
  const owners = (node.object.metadata.ownerReferences ?? []).filter(owner => !uids.includes(owner.uid))
  await patchMetadata(parts, node, { ownerReferences: owners.length === 0 ? null : owners })
}

async function stopBlocking(parts: Parts, node: GraphNode): Promise<void> {
  const owners = node.object.metadata.ownerReferences ?? []
  if (!owners.some(owner => owner.blockOwnerDeletion)) return
  const ownerReferences = owners.map(owner => ({ ...owner, blockOwnerDeletion: false }))
  await patchMetadata(parts, node, { ownerReferences }, { anyVersion: true })
}

/** Foreground: the owner goes when nothing blocks it any more. */
async function releaseWhenAlone(parts: Parts, node: GraphNode): Promise<void> {
  const uid = node.object.metadata.uid ?? ''
  const dependents = parts.graph.dependentsOf(uid).map(each => each.object)
  const blocking = blockingDependents(uid, dependents)
  if (blocking.length === 0) await removeFinalizer(parts, node, FOREGROUND)
}

async function orphanDependents(parts: Parts, node: GraphNode, signal: AbortSignal): Promise<void> {
  const uid = node.object.metadata.uid ?? ''
  for (const dependent of parts.graph.dependentsOf(uid)) {
    if (signal.aborted) return
    await dropOwners(parts, dependent, [uid])
  }
  await removeFinalizer(parts, node, ORPHAN)
}

async function removeFinalizer(parts: Parts, node: GraphNode, finalizer: string): Promise<void> {
  const finalizers = (node.object.metadata.finalizers ?? []).filter(each => each !== finalizer)
  await patchMetadata(parts, node, { finalizers: finalizers.length === 0 ? null : finalizers })
}

/** Refused with a conflict when the object has changed since; the change brings it back here. */
async function patchMetadata(
  parts: Parts,
  node: GraphNode,
  change: object,
  options: { readonly anyVersion?: boolean } = {},
): Promise<void> {
  const { namespace, name, uid, resourceVersion } = node.object.metadata
  const version = options.anyVersion ? {} : { resourceVersion }
  const patch = { metadata: { uid, ...version, ...change } }
  try {
    await parts.client.patch(node.resource, { namespace, name: name ?? '', type: 'merge', patch })
  } catch (error) {
    if (!isNotFound(error)) throw error
  }
}
