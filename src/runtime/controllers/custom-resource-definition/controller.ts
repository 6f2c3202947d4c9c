/** Accepts the names of definitions and establishes them; empties those that are deleted, then lets them go. */
import type { Informer } from '../../../client/informer.ts'
import { isConflict, isNotFound } from '../../../client/kube-client.ts'
import { CUSTOM_RESOURCE_DEFINITIONS, type ResourceRef } from '../../../client/resources.ts'
import {
  CLEANUP_FINALIZER,
  type CustomDefinition,
  type DefinitionCondition,
  isDefinition,
} from '../../../kube/custom-definition.ts'
import { formatTime } from '../../../kube/time.ts'
import type { Controller, ControllerContext } from '../shared/context.ts'
import { definitionInformer } from '../shared/custom-resources.ts'
import { keyedController, keysFrom } from '../shared/keyed-controller.ts'
import { planStatus, setCondition } from './plan.ts'

const NAME = 'custom-resource-definition-controller'
/** Between two looks at what is left of instances that are going. */
const LOOK_AGAIN_MS = 1_000
const PAGE = 500

interface Parts {
  readonly context: ControllerContext
  readonly definitions: Informer<CustomDefinition>
}

export function createDefinitionController(context: ControllerContext): Controller {
  const definitions = definitionInformer(context.informers)
  const parts: Parts = { context, definitions }
  /** Names that one gives up may be what another waits for. */
  const keysOf = (changed: CustomDefinition): string[] =>
    definitions
      .list()
      .filter(one => one.spec.group === changed.spec.group || one.metadata.name === changed.metadata.name)
      .map(one => one.metadata.name ?? '')
  return keyedController({
    name: NAME,
    context,
    sources: [keysFrom(definitions, keysOf)],
    workers: 1,
    reconcile: name => reconcile(parts, name),
  })
}

async function reconcile(parts: Parts, name: string): Promise<number | undefined> {
  const definition = parts.definitions.get(name)
  if (definition === undefined) return undefined
  try {
    if (definition.metadata.deletionTimestamp !== undefined) return await cleanUp(parts, definition)
    const others = parts.definitions.list().filter(one => one.metadata.name !== name)
    const builtIn = parts.context.model.resources
    const now = formatTime(parts.context.clock.now())
    const status = planStatus(definition, { others, builtIn }, now)
    if (status !== null) await writeStatus(parts, definition, status)
  } catch (error) {
    // What has changed meanwhile comes back as a change.
    if (!isNotFound(error) && !isConflict(error)) throw error
  }
  return undefined
}

async function writeStatus(
  { context }: Parts,
  { metadata }: CustomDefinition,
  status: NonNullable<CustomDefinition['status']>,
): Promise<void> {
  const { name = '', resourceVersion } = metadata
  await context.serverClient.patch(CUSTOM_RESOURCE_DEFINITIONS, {
    name,
    subresource: 'status',
    type: 'merge',
    patch: { metadata: { resourceVersion }, status },
  })
}

/** Undefined when the definition has gone; otherwise when to look again. */
async function cleanUp(parts: Parts, definition: CustomDefinition): Promise<number | undefined> {
  const { metadata } = definition
  if (!(metadata.finalizers ?? []).includes(CLEANUP_FINALIZER)) return undefined
  if (!isDefinition(definition, 'Established')) {
    await say(parts, definition, 'False', 'NeverEstablished', 'resource was never established')
    return undefined
  }
  const resource = servedResource(definition)
  if (resource === undefined) {
    const problem = 'no version is stored, so that its instances cannot be deleted'
    await say(parts, definition, 'True', 'InstanceDeletionFailed', problem)
    return LOOK_AGAIN_MS
  }
  const namespaces = await namespacesWithInstances(parts, resource)
  if (namespaces.size === 0) {
    await say(parts, definition, 'False', 'InstanceDeletionCompleted', 'removed all instances')
    return undefined
  }
  for (const namespace of namespaces) {
    await parts.context.serverClient.deleteCollection(resource, {
      namespace,
      propagationPolicy: 'Background',
    })
  }
  const left = await namespacesWithInstances(parts, resource)
  if (left.size === 0) {
    await say(parts, definition, 'False', 'InstanceDeletionCompleted', 'removed all instances')
    return undefined
  }
  const message = 'CustomResource deletion is in progress'
  await say(parts, definition, 'True', 'InstanceDeletionInProgress', message)
  return LOOK_AGAIN_MS
}

/** Sets the condition Terminating; what is no more terminating loses the finalizer with it. */
async function say(
  parts: Parts,
  definition: CustomDefinition,
  status: 'True' | 'False',
  reason: string,
  message: string,
): Promise<void> {
  const conditions: DefinitionCondition[] = [...(definition.status?.conditions ?? [])]
  const before = conditions.find(one => one.type === 'Terminating')
  const now = formatTime(parts.context.clock.now())
  setCondition(conditions, { type: 'Terminating', status, reason, message }, now)
  const isSame = before?.status === status && before.reason === reason
  if (!isSame && status === 'True') await writeStatus(parts, definition, { ...definition.status, conditions })
  if (status === 'True') return
  const { name = '', uid, resourceVersion, finalizers = [] } = definition.metadata
  const left = finalizers.filter(one => one !== CLEANUP_FINALIZER)
  await parts.context.serverClient.patch(CUSTOM_RESOURCE_DEFINITIONS, {
    name,
    type: 'merge',
    patch: { metadata: { uid, resourceVersion, finalizers: left.length === 0 ? null : left } },
  })
}

function servedResource({ spec }: CustomDefinition): ResourceRef | undefined {
  const { versions } = spec
  // Of what is going, the stored version is served when no other is.
  const version =
    versions.find(one => one.storage && one.served) ??
    versions.find(one => one.served) ??
    versions.find(one => one.storage)
  if (version === undefined) return undefined
  const namespaced = spec.scope === 'Namespaced'
  return { group: spec.group, version: version.name, resource: spec.names.plural, namespaced }
}

async function namespacesWithInstances(parts: Parts, resource: ResourceRef): Promise<ReadonlySet<string>> {
  const found = new Set<string>()
  let next: string | undefined
  do {
    const page = await parts.context.serverClient.list(resource, {
      limit: PAGE,
      continue: next,
      metadataOnly: true,
    })
    for (const { metadata } of page.items) found.add(metadata.namespace ?? '')
    next = page.continue
  } while (next !== undefined)
  return found
}
