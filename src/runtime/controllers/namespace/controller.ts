/** Empties namespaces that are being deleted, then lets them go. */
import { messageOf } from '../../../base/errors.ts'
import { type Informer, keyOf } from '../../../client/informer.ts'
import { isNotFound, type KubeClient } from '../../../client/kube-client.ts'
import { API_SERVICES, NAMESPACES, type ResourceRef } from '../../../client/resources.ts'
import { semanticEqual } from '../../../kube/equality.ts'
import type { KubeObject } from '../../../kube/object.ts'
import type { APIService, Namespace } from '../../../kube/types.ts'
import type { Controller, ControllerContext } from '../shared/context.ts'
import { keyedController, keysFrom } from '../shared/keyed-controller.ts'
import {
  finalizersOf,
  KUBERNETES_FINALIZER,
  namespacedResources,
  nextToDelete,
  planConditions,
  type Remaining,
} from './plan.ts'
import { type RemoteContents, remoteContents } from './remote-contents.ts'

const SERVICE_ACCOUNT = 'namespace-controller'
const NAMESPACE_INDEX = 'namespace'
/** Contents that vanish are seen at once; this is for what is still there and tells nothing. */
const RETRY_MS = 15_000

interface Parts {
  readonly context: ControllerContext
  readonly client: KubeClient
  readonly namespaces: Informer<Namespace>
  readonly apiServices: Informer<APIService>
  /** Of the model and, as they come and go, of custom resources. */
  readonly contents: () => readonly Informer<KubeObject>[]
}

export function createNamespaceController(context: ControllerContext): Controller {
  const namespaces = context.informers.informer<Namespace>(NAMESPACES)
  const known = namespacedResources(context.model.resources).map(resource => {
    const informer = context.informers.metadataInformer(resource)
    informer.addIndex(NAMESPACE_INDEX, object => [object.metadata.namespace ?? ''])
    return informer
  })
  const custom = () => context.custom.all.filter(({ resource }) => resource.namespaced)
  const contents = () => [...known, ...custom().map(({ informer }) => informer)]
  const apiServices = context.informers.informer<APIService>(API_SERVICES)
  const client = context.client(SERVICE_ACCOUNT)
  const parts: Parts = { context, client, namespaces, apiServices, contents }
  const isTerminating = (name: string) => namespaces.get(name)?.metadata.deletionTimestamp !== undefined
  const whenVanished = (informer: Informer<KubeObject>, add: (key: string) => void) =>
    informer.onChange((_key, next, previous) => {
      const namespace = previous?.metadata.namespace
      if (next === null && namespace !== undefined && isTerminating(namespace)) add(namespace)
    })
  const vanished = known.map(informer => ({
    subscribe: (add: (key: string) => void) => whenVanished(informer, add),
  }))
  // An informer that ends has nobody to tell any more: its subscription goes with it.
  const customVanished = {
    subscribe: (add: (key: string) => void) =>
      context.custom.subscribe({
        added: ({ informer }) => void whenVanished(informer, add),
        removed: () => {},
      }),
  }
  // A server that can be asked again, or is there no more.
  const answering = {
    subscribe: (add: (key: string) => void) =>
      apiServices.onChange(() => {
        for (const { metadata } of namespaces.list())
          if (isTerminating(metadata.name ?? '')) add(metadata.name ?? '')
      }),
  }
  return keyedController({
    name: SERVICE_ACCOUNT,
    context,
    sources: [
      keysFrom(namespaces, namespace =>
        namespace.metadata.deletionTimestamp === undefined ? [] : [keyOf(namespace)],
      ),
      ...vanished,
      customVanished,
      answering,
    ],
    reconcile: name => reconcile(parts, name),
  })
}

async function reconcile(parts: Parts, name: string): Promise<number | undefined> {
  const namespace = parts.namespaces.get(name)
  if (namespace?.metadata.deletionTimestamp === undefined) return undefined
  if (!namespace.spec?.finalizers?.includes(KUBERNETES_FINALIZER)) return undefined
  const present = () => parts.contents().map(informer => countCached(informer, name))
  const before = await remoteContents(parts.client, parts.apiServices.list(), name)
  const failure = await deleteContents(parts, name, nextToDelete([...present(), ...before.remaining]))
  const remote = isEmpty(before) ? before : await remoteContents(parts.client, parts.apiServices.list(), name)
  const remaining = [...present(), ...remote.remaining]
  const { failure: undiscovered } = remote
  const isDone = failure === null && undiscovered === null && remaining.every(each => each.count === 0)
  if (isDone && (await isReallyEmpty(parts, name))) return finalize(parts, name)
  await writeConditions(parts, namespace, { remaining, failure, undiscovered })
  if (failure !== null) throw new Error(failure)
  return RETRY_MS
}

const isEmpty = ({ remaining }: RemoteContents): boolean => remaining.every(each => each.count === 0)

function countCached(informer: Informer<KubeObject>, namespace: string): Remaining {
  const objects = informer.byIndex(NAMESPACE_INDEX, namespace)
  return { resource: informer.resource, count: objects.length, finalizers: finalizersOf(objects) }
}

/** Returns what went wrong, or null. */
async function deleteContents(
  parts: Parts,
  namespace: string,
  targets: readonly Remaining[],
): Promise<string | null> {
  const problems: string[] = []
  for (const { resource } of targets) {
    try {
      await parts.client.deleteCollection(resource, { namespace, propagationPolicy: 'Background' })
    } catch (error) {
      if (!isNotFound(error)) problems.push(messageOf(error))
    }
  }
  return problems.length === 0 ? null : problems.join(', ')
}

/** The caches may be behind, so the API server has the last word. */
async function isReallyEmpty(parts: Parts, namespace: string): Promise<boolean> {
  for (const { resource } of parts.contents()) {
    if (!(await hasNone(parts.client, resource, namespace))) return false
  }
  return true
}

async function hasNone(client: KubeClient, resource: ResourceRef, namespace: string): Promise<boolean> {
  try {
    const page = await client.list(resource, { namespace, limit: 1, metadataOnly: true })
    return page.items.length === 0
  } catch (error) {
    // The kind itself has gone.
    if (isNotFound(error)) return true
    throw error
  }
}

/** Takes the finalizer off, which deletes the namespace. */
async function finalize(parts: Parts, name: string): Promise<undefined> {
  const { client } = parts
  try {
    const fresh = await client.get<Namespace>(NAMESPACES, { name })
    const finalizers = (fresh.spec?.finalizers ?? []).filter(each => each !== KUBERNETES_FINALIZER)
    const next: Namespace = { ...fresh, spec: { ...fresh.spec, finalizers } }
    await client.update<Namespace>(NAMESPACES, next, { subresource: 'finalize' })
  } catch (error) {
    if (!isNotFound(error)) throw error
  }
  return undefined
}

async function writeConditions(
  parts: Parts,
  namespace: Namespace,
  found: Omit<Parameters<typeof planConditions>[1], 'nowMs'>,
): Promise<void> {
  const nowMs = parts.context.clock.now()
  const conditions = planConditions(namespace, { ...found, nowMs })
  const status = { ...namespace.status, phase: 'Terminating', conditions }
  if (semanticEqual(status, namespace.status)) return
  await parts.client.update<Namespace>(NAMESPACES, { ...namespace, status }, { subresource: 'status' })
}
